"""Valence densities of aluminium and water with Quantum ESPRESSO (pw.x, pp.x).

Example: python qe_periodic.py aluminium --repeat 2 --kpoints 2 --nframes 4 -o al32
         python qe_periodic.py aluminium --repeat 2 2 4 --kpoints 2 2 1 --nframes 2 -o al64
         python qe_periodic.py aluminium --shape 3 --nframes 10 -o al4_shapes/3
         python qe_periodic.py water --molecules 8 --nframes 30 -o w8

Frames are snapshots of classical molecular dynamics (EMT; rigid TIP3P). Finished frames are kept in
OUTPUT_work: a run that was stopped goes on where it was, and --nframes may be raised or lowered.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk, make_supercell
from ase.build.tools import sort
from ase.calculators.emt import EMT
from ase.calculators.tip3p import TIP3P, angleHOH, rOH
from ase.geometry import minkowski_reduce
from ase.io import read, write
from ase.io.cube import read_cube_data
from ase.md.langevin import Langevin
from scipy.spatial.transform import Rotation

from deepdensity_tf.reference.system_writer import write_system
from deepdensity_tf.utils.files import atomic_path

log = logging.getLogger("qe_periodic")
# LDA for aluminium; PBE, norm-conserving, for water.
PSEUDOPOTENTIALS = {"Al": "Al.pz-vbc", "H": "H_HSCV_PBE", "O": "O_HSCV_PBE"}
PSEUDOPOTENTIAL_FOLDERS = ["/usr/share/espresso", "/usr/share/doc/quantum-espresso"]
# Section &system of pw.x.
SYSTEMS = {
    "aluminium": {
        "occupations": "smearing",
        "smearing": "mv",
        "degauss": 0.02,
        "ecutwfc": 20.0,
    },
    "water": {"ecutwfc": 60.0},
}
LATTICE = 4.05  # of aluminium, Å
WATER_DENSITY = 0.997  # g/cm^3
WATER_MASS = 18.015
AMU_PER_A3 = 0.6022140  # 1 g/cm^3

# As ASE takes them: a mesh, (n, 4) fractional k points with weights, or None for Gamma.
KPoints = tuple[int, int, int] | np.ndarray | None


def main() -> None:
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rng = np.random.RandomState(args.seed)
    if args.material == "aluminium":
        repeat, kpoints = along_axes(args.repeat, "repeat"), along_axes(args.kpoints, "kpoints")
        lattice = fcc_of_shape(args.shape).repeat(repeat)
        points = mesh(lattice.cell.array, kpoints, repeat)
        if args.strain:
            strain = rng.normal(0, args.strain, (3, 3))
            stretch = np.eye(3) + 0.5 * (strain + strain.T)
            lattice.set_cell(lattice.cell.array @ stretch, scale_atoms=True)
        snapshots = aluminium(lattice, args.temperature, rng)
    else:
        snapshots = water(args.molecules, rng)
        points = None
    system = dict(SYSTEMS[args.material])
    if args.cutoff:
        system["ecutwfc"] = args.cutoff
    work = Path(f"{args.output}_work")
    work.mkdir(parents=True, exist_ok=True)
    frames = list(islice(snapshots, args.nframes))
    labels = [label(atoms, i, system, points, work) for i, atoms in enumerate(frames)]
    write_system(
        args.output,
        frames[0].get_chemical_symbols(),
        np.array([atoms.positions for atoms in frames]),
        np.array([atoms.cell.array for atoms in frames]),
        {
            "energy": np.array([energy for energy, _ in labels]),
            "grid_shape": np.array([density.shape for _, density in labels], np.int32),
            "density": np.array([density.ravel() for _, density in labels]),
        },
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    materials = parser.add_subparsers(dest="material", required=True)
    metal = materials.add_parser("aluminium", help="fcc, LDA, 600 K")
    metal.add_argument(
        "--shape",
        type=int,
        choices=range(7),
        default=0,
        help="0: a cube; 1 to 6: others of 4 atoms",
    )
    metal.add_argument(
        "--repeat", type=int, nargs="+", default=[1], help="of the 4-atom cell, 1 or 3 numbers"
    )
    metal.add_argument(
        "--kpoints",
        type=int,
        nargs="+",
        default=[4],
        help="along each axis of the cube, 1 or 3 numbers; 1: Gamma only",
    )
    metal.add_argument(
        "--strain",
        type=float,
        default=0.0,
        help="of the cell, at random: standard deviation of a component",
    )
    metal.add_argument("--temperature", type=float, default=600.0, help="of the atoms, K")
    liquid = materials.add_parser("water", help="PBE, Gamma point, 350 K plus 0.03 Å of noise")
    liquid.add_argument("--molecules", type=int, default=8)
    for material in (metal, liquid):
        material.add_argument("--cutoff", type=float, help="of the waves, Ry; else 20 or 60")
        material.add_argument("--nframes", type=int, default=30)
        material.add_argument("--seed", type=int, default=0)
        material.add_argument("-o", "--output", required=True, help="folder of the system")
    return parser.parse_args()


def fcc_of_shape(shape: int) -> Atoms:
    """4-atom cell of fcc aluminium: the cube, or one of the six other shapes there are.

    Each shape lets atoms move along other waves. Superlattices of index 4 are the Hermite normal
    forms of determinant 4; those with the same distances are the same but for a rotation.
    """
    cube, one = bulk("Al", "fcc", a=LATTICE, cubic=True), bulk("Al", "fcc", a=LATTICE)
    if shape == 0:
        return cube
    neighbors = np.indices([9] * 3).reshape(3, -1).T - 4
    shapes = {}
    for form in hermite_normal_forms(4):
        cell, _ = minkowski_reduce(form @ one.cell.array)
        distances = np.sort(np.linalg.norm(neighbors @ cell, axis=1))[:60]
        shapes.setdefault(tuple(distances.round(4)), form)
    shapes.pop(next(key for key in shapes if np.isclose(key[1:7], LATTICE, atol=1e-3).all()))
    atoms = make_supercell(one, list(shapes.values())[shape - 1])
    atoms.set_cell(minkowski_reduce(atoms.cell.array)[0])
    return atoms


def hermite_normal_forms(determinant: int) -> Iterator[np.ndarray]:
    """Upper triangular integer matrices, one for each superlattice of this index."""
    factors = [n for n in range(1, determinant + 1) if determinant % n == 0]
    for x, y, z in product(factors, repeat=3):
        if x * y * z == determinant:
            for a, b, c in product(range(y), range(z), range(z)):
                yield np.array([[x, a, b], [0, y, c], [0, 0, z]])


def along_axes(numbers: list[int], name: str) -> tuple[int, int, int]:
    """One number for all axes, or three."""
    if len(numbers) not in (1, 3) or min(numbers) < 1:
        sys.exit(f"--{name}: found {numbers}, expected one or three positive numbers")
    return tuple(numbers * (3 // len(numbers)))


def mesh(cell: np.ndarray, kpoints: tuple, repeat: tuple) -> KPoints:
    """The mesh of the repeated cube, written for `cell`: densities of all shapes agree."""
    if np.allclose(cell, LATTICE * np.diag(repeat)):
        return None if kpoints == (1, 1, 1) else kpoints
    counts = np.multiply(kpoints, repeat)
    waves = np.indices(4 * counts).reshape(3, -1).T / (counts * LATTICE)
    weights: dict[tuple, int] = {}
    # k and -k count as one; rounding first makes equal points equal.
    for k in np.unique((waves @ cell.T).round(6) % 1, axis=0):
        opposite = tuple((-k).round(6) % 1)
        key = opposite if opposite in weights else tuple(k)
        weights[key] = weights.get(key, 0) + 1
    return np.array([[*k, weight] for k, weight in weights.items()], dtype=float)


def aluminium(atoms: Atoms, temperature: float, rng: np.random.RandomState) -> Iterator[Atoms]:
    """Snapshots of aluminium, 0.3 ps apart, EMT."""
    atoms.calc = EMT()
    dynamics = langevin(atoms, 5 * units.fs, temperature, 0.002 / units.fs, rng)
    dynamics.run(300)
    while True:
        dynamics.run(60)
        snapshot = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)
        snapshot.wrap()
        yield snapshot


def water(molecules: int, rng: np.random.RandomState) -> Iterator[Atoms]:
    """Snapshots of a cube of liquid water, 0.2 ps apart, rigid TIP3P, then 0.03 Å of noise."""
    atoms = packed_water(molecules, rng)
    edge = atoms.cell[0, 0]
    atoms.constraints = RigidWater()
    atoms.calc = TIP3P(rc=min(4.5, edge / 2 - 0.6), width=0.5 if edge > 8 else 0.3)
    dynamics = langevin(atoms, units.fs, 350.0, 0.005 / units.fs, rng)
    dynamics.run(1500)
    while True:
        dynamics.run(200)
        snapshot = Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True)
        snapshot.positions += rng.normal(0, 0.03, snapshot.positions.shape)
        snapshot.wrap()
        yield sort(snapshot)


def langevin(
    atoms: Atoms, step: float, temperature: float, friction: float, rng: np.random.RandomState
) -> Langevin:
    """Langevin dynamics whose centre of mass moves too, as the thermostat wants it."""
    return Langevin(atoms, step, temperature_K=temperature, friction=friction, rng=rng, fixcm=False)


class RigidWater:
    """ASE constraint that keeps the shape of molecules O, H, H: RATTLE, all molecules at once."""

    bonds = ((0, 1), (1, 2), (2, 0))
    tolerance = 1e-10

    def adjust_positions(self, atoms: Atoms, positions: np.ndarray) -> None:
        """Correct moved `positions` (natoms, 3) in place along the bonds before the move."""
        mass = atoms.get_masses()[:3]
        old, new = atoms.positions.reshape(-1, 3, 3), positions.reshape(-1, 3, 3)
        worst = np.inf
        while worst > self.tolerance:
            worst = 0.0
            for a, b in self.bonds:
                bond, moved = old[:, a] - old[:, b], new[:, a] - new[:, b]
                excess = (moved**2).sum(1) - (bond**2).sum(1)
                weight = 2 * (1 / mass[a] + 1 / mass[b]) * (moved * bond).sum(1)
                impulse = (excess / weight)[:, None] * bond
                new[:, a] -= impulse / mass[a]
                new[:, b] += impulse / mass[b]
                worst = max(worst, np.abs(excess).max())

    def adjust_momenta(self, atoms: Atoms, momenta: np.ndarray) -> None:
        """Take the relative velocity along each bond out of `momenta` (natoms, 3) in place."""
        mass = atoms.get_masses()[:3]
        place, momentum = atoms.positions.reshape(-1, 3, 3), momenta.reshape(-1, 3, 3)
        worst = np.inf
        while worst > self.tolerance:
            worst = 0.0
            for a, b in self.bonds:
                bond = place[:, a] - place[:, b]
                speed = momentum[:, a] / mass[a] - momentum[:, b] / mass[b]
                along = (bond * speed).sum(1)
                weight = (1 / mass[a] + 1 / mass[b]) * (bond**2).sum(1)
                impulse = (along / weight)[:, None] * bond
                momentum[:, a] -= impulse
                momentum[:, b] += impulse
                worst = max(worst, np.abs(along).max())

    def adjust_forces(self, atoms: Atoms, forces: np.ndarray) -> None:
        """Same projection as for momenta."""
        self.adjust_momenta(atoms, forces)


def packed_water(molecules: int, rng: np.random.RandomState) -> Atoms:
    """Molecules turned at random on a cubic lattice, at the density of the liquid."""
    edge = (molecules * WATER_MASS / AMU_PER_A3 / WATER_DENSITY) ** (1 / 3)
    per_edge = int(np.ceil(molecules ** (1 / 3) - 1e-9))
    sites = (np.indices([per_edge] * 3).reshape(3, -1).T[:molecules] + 0.5) * edge / per_edge
    angle = np.radians(angleHOH)
    one = rOH * np.array([[0, 0, 0], [1, 0, 0], [np.cos(angle), np.sin(angle), 0]])
    positions = [Rotation.random(random_state=rng).apply(one) + site for site in sites]
    return Atoms("OHH" * molecules, np.concatenate(positions), cell=[edge] * 3, pbc=True)


def label(
    atoms: Atoms, index: int, system: dict, kpoints: KPoints, work: Path
) -> tuple[float, np.ndarray]:
    """Energy (eV) and density (nx, ny, nz) float32, electrons/Å³; kept in `work`."""
    kept = work / f"frame_{index:03d}.npz"
    if kept.exists():
        with np.load(kept) as done:
            if not np.allclose(done["positions"], atoms.positions, atol=1e-8):
                sys.exit(f"{kept}: is of other positions, remove {work} or choose another --output")
            return float(done["energy"]), done["density"]
    start = time.perf_counter()
    energy, density = solve(atoms, system, kpoints, work)
    log.info(
        "frame %d: grid %s, %.4f electrons, lowest %.1e, %.0f s",
        index,
        density.shape,
        density.mean(dtype=float) * atoms.get_volume(),
        density.min(),
        time.perf_counter() - start,
    )
    with atomic_path(kept) as path:
        np.savez(path, energy=energy, density=density, positions=atoms.positions)
    return energy, density


def solve(atoms: Atoms, system: dict, kpoints: KPoints, work: Path) -> tuple[float, np.ndarray]:
    """Run pw.x and pp.x."""
    write_input(atoms, system, kpoints, work)
    run("pw.x", "scf", work)
    (work / "pp.in").write_text(
        "&inputpp\n prefix='x', outdir='.', plot_num=0, filplot='rho.pp'\n/\n"
        "&plot\n iflag=3, output_format=6, fileout='rho.cube'\n/\n"
    )
    run("pp.x", "pp", work)
    density, _ = read_cube_data(work / "rho.cube")
    energy = read(work / "scf.out", format="espresso-out").get_potential_energy()
    return energy, (density / units.Bohr**3).astype(np.float32)


def write_input(
    atoms: Atoms, system: dict, kpoints: KPoints, work: Path, electrons: dict | None = None
) -> None:
    """scf.in of pw.x, and the pseudopotentials; `electrons`: more of that section."""
    elements = sorted(set(atoms.get_chemical_symbols()))
    settings = {
        "control": {"prefix": "x", "outdir": ".", "pseudo_dir": ".", "disk_io": "low"},
        "system": {**system, "nosym": True},
        "electrons": {"conv_thr": 1e-9, **(electrons or {})},
    }
    write(
        work / "scf.in",
        atoms,
        format="espresso-in",
        input_data=settings,
        pseudopotentials={element: pseudopotential(element, work) for element in elements},
        kpts=kpoints,
    )


def run(program: str, name: str, work: Path) -> None:
    """Run a program of Quantum ESPRESSO on `name`.in; stop with its last words if it fails."""
    output = work / f"{name}.out"
    with open(output, "w") as stream:
        done = subprocess.run([program, "-in", f"{name}.in"], cwd=work, stdout=stream)
    if done.returncode or "JOB DONE" not in output.read_text():
        tail = " ".join(output.read_text().split()[-40:])
        sys.exit(f"{output}: {program} failed: {tail}")


def pseudopotential(element: str, work: Path) -> str:
    """Copy the element's pseudopotential from the Debian packages to `work`; its file name."""
    pattern = f"{PSEUDOPOTENTIALS[element]}*"
    found = sorted(
        path for folder in PSEUDOPOTENTIAL_FOLDERS for path in Path(folder).rglob(pattern)
    )
    if not found:
        sys.exit(f"{pattern}: not in {PSEUDOPOTENTIAL_FOLDERS}; install quantum-espresso-data")
    packed = found[0].suffix == ".gz"
    name = found[0].stem if packed else found[0].name
    data = gzip.decompress(found[0].read_bytes()) if packed else found[0].read_bytes()
    (work / name).write_bytes(data)
    return name


if __name__ == "__main__":
    main()
