"""Densities and PAW occupancies of small crystals and molecules by GPAW, plane waves.

    PYTHONPATH=. /usr/bin/python3 examples/data_recipes/gpaw_periodic.py silicon --nframes 30 -o si
    dd-tf convert si/*.npz -o data/si

Needs a Python with GPAW (Debian: apt-get install gpaw gpaw-data). Every frame is a file of the
output folder; a run that was killed goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.dft.kpoints import monkhorst_pack
from gpaw import GPAW, PW, FermiDirac

from deepdensity_tf.interfaces.gpaw import save_density

# Displacements of the atoms, standard deviation in Å: from the coldest to the hottest frames.
DISPLACEMENT = {
    "silicon": (0.03, 0.15),
    "magnesia": (0.03, 0.12),
    "water": (0.02, 0.06),
    "aluminium": (0.03, 0.15),
    "iron": (0.02, 0.06),
    "two_irons": (0.02, 0.06),
}
# 3 to 10 s a frame on one core, enough to try restarts on. Metals are not converged in k points.
SETTINGS = {
    "silicon": {"mode": PW(300), "kpts": (2, 2, 2)},
    "magnesia": {"mode": PW(350), "kpts": (2, 2, 2)},
    "water": {"mode": PW(400), "xc": "PBE"},
    "aluminium": {"mode": PW(300), "kpts": (3, 3, 3), "occupations": FermiDirac(0.2)},
    "iron": {"mode": PW(300), "kpts": (2, 2, 2), "xc": "PBE", "occupations": FermiDirac(0.4)},
    # Stretched, so that moments up and down in turn stay: every second frame has them.
    "two_irons": {"mode": PW(300), "kpts": (2, 2, 2), "xc": "PBE", "occupations": FermiDirac(0.2)},
}
STRAIN = 0.01  # of the crystals: standard deviation of a component
WATER_BOX = 5.5  # Å


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system", choices=SETTINGS)
    parser.add_argument("--nframes", type=int, default=30)
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        choices=(1, 2),
        help="of the cell along its first axis",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--accuracy", type=float, default=1e-4, help="of the density, electrons per electron"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the frames")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for index in range(args.nframes):
        path = args.output / f"frame_{index:03d}.npz"
        if path.exists():
            continue
        atoms = structure(args.system, args.repeat, np.random.RandomState([args.seed, index]))
        if args.system == "two_irons" and index % 2:
            atoms.set_initial_magnetic_moments([2.2, -2.2] * (len(atoms) // 2))
        start = time.perf_counter()
        atoms.calc = calculator(args.system, args.repeat, convergence={"density": args.accuracy})
        energy = atoms.get_potential_energy()
        save_density(atoms.calc, path)
        print(f"{path}: {energy:.6f} eV, {time.perf_counter() - start:.0f} s", flush=True)


def structure(system: str, repeat: int, rng: np.random.RandomState) -> Atoms:
    """A displaced structure; the cells of crystals are strained, molecules turned at random."""
    if system == "water":
        atoms = molecule("H2O", cell=[WATER_BOX] * 3, pbc=True)
        axis, angle = rng.normal(size=3), rng.uniform(0, 360)
        atoms.rotate(angle, axis)
        atoms.center()
        atoms.translate(rng.uniform(0, WATER_BOX, 3))
        atoms.wrap()
    else:
        atoms = {
            "silicon": lambda: bulk("Si", cubic=True),
            "magnesia": lambda: bulk("MgO", "rocksalt", a=4.21, cubic=True),
            "aluminium": lambda: bulk("Al", cubic=True),
            "iron": lambda: bulk("Fe", "bcc", a=2.87, cubic=True),
            "two_irons": lambda: bulk("Fe", "bcc", a=3.0, cubic=True),
        }[system]().repeat((repeat, 1, 1))
        strain = rng.normal(0, STRAIN, (3, 3))
        stretch = np.eye(3) + 0.5 * (strain + strain.T)
        atoms.set_cell(atoms.cell.array @ stretch, scale_atoms=True)
    atoms = atoms[np.argsort(atoms.get_chemical_symbols(), kind="stable")]  # as systems have them
    if "iron" in system:
        atoms.set_initial_magnetic_moments([2.2] * len(atoms))
    low, high = DISPLACEMENT[system]
    atoms.positions += rng.normal(0, rng.uniform(low, high), (len(atoms), 3))
    return atoms


def calculator(system: str, repeat: int = 1, **settings) -> GPAW:
    """GPAW with the settings of the system; the k points of a repeated cell are the same ones."""
    settings = {**SETTINGS[system], "txt": None, "symmetry": {"point_group": False}, **settings}
    if "kpts" in settings:
        mesh = monkhorst_pack(settings["kpts"]) * (repeat, 1, 1)
        mesh -= np.rint(mesh - 1e-9)  # back into the smaller zone, where some fall together
        settings["kpts"] = np.unique(mesh.round(9), axis=0)
    return GPAW(**settings)


if __name__ == "__main__":
    main()
