"""Valence densities of thermally displaced molecules: PBE, GTH pseudopotentials, PySCF.

Example: python molecule.py C2H6 --nframes 40 --sigma 0.06 -o ethane
         python molecule.py CH3 --unpaired 1 --nframes 40 -o ch3

A molecule is isolated: the box only spans the grid (`nopbc`).
"""

from __future__ import annotations

import argparse
import logging

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.build.tools import sort
from pyscf import dft, gto

from deepdensity_tf.reference.system_writer import write_system

log = logging.getLogger("molecule")
CHUNK = 20000


def main() -> None:
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rng = np.random.default_rng(args.seed)
    rest = centred(args.name, args.box)
    points = grid_points(args.points, args.box)
    frames, labels = [], []
    while len(frames) < args.nframes:
        atoms = rest.copy()
        atoms.positions += rng.normal(0, args.sigma, atoms.positions.shape)
        label = solve(atoms, points, args.unpaired)
        if label is None:
            log.info("not converged, drawn again")
            continue
        electrons = label["density"].sum() * (args.box / args.points) ** 3
        log.info("frame %d: %.4f electrons on the grid", len(frames), electrons)
        frames.append(atoms)
        labels.append(label)
    stacked = {name: np.array([label[name] for label in labels]) for name in labels[0]}
    stacked["grid_shape"] = np.full((args.nframes, 3), args.points, np.int32)
    write_system(
        args.output,
        rest.get_chemical_symbols(),
        np.array([atoms.positions for atoms in frames]),
        np.array([atoms.cell.array for atoms in frames]),
        stacked,
        periodic=False,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="a molecule of ase.build.molecule, such as C2H6")
    parser.add_argument("--nframes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sigma", type=float, default=0.05, help="of the displacements, Å")
    parser.add_argument("--box", type=float, default=10.0, help="edge of the grid's cube, Å")
    parser.add_argument("--points", type=int, default=40, help="of the grid along an edge")
    parser.add_argument(
        "--unpaired", type=int, default=0, help="unpaired electrons; any: spin_density is written"
    )
    parser.add_argument("-o", "--output", required=True, help="folder of the system")
    return parser.parse_args()


def centred(name: str, box: float) -> Atoms:
    """The molecule at rest in the middle of a cube, atoms sorted by element."""
    atoms = sort(molecule(name))
    atoms.set_cell([box] * 3)
    atoms.center()
    return atoms


def grid_points(n: int, box: float) -> np.ndarray:
    """Points (n**3, 3) in Å, C order."""
    edge = np.arange(n) / n * box
    return np.stack(np.meshgrid(edge, edge, edge, indexing="ij"), -1).reshape(-1, 3)


def solve(atoms: Atoms, points: np.ndarray, unpaired: int) -> dict[str, np.ndarray] | None:
    """Energy (eV), density and spin density (electrons/Å³); None if it does not converge."""
    mol = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)),
        unit="Angstrom",
        basis="gth-tzv2p",
        pseudo="gth-pbe",
        spin=unpaired,
        verbose=0,
    )
    field = dft.UKS(mol) if unpaired else dft.RKS(mol)
    field.xc = "pbe"
    field.conv_tol = 1e-8
    energy = field.kernel()
    if not field.converged:
        return None
    matrix = field.make_rdm1()
    label = {"energy": energy * units.Hartree}
    if unpaired:
        up, down = (density(mol, one, points) for one in matrix)
        return label | {"density": up + down, "spin_density": up - down}
    return label | {"density": density(mol, matrix, points)}


def density(mol: gto.Mole, matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Density of a density matrix at points (n, 3) in Å: (n,) float32, electrons/Å³."""
    parts = []
    for start in range(0, len(points), CHUNK):
        orbitals = mol.eval_gto("GTOval_sph", points[start : start + CHUNK] / units.Bohr)
        parts.append(np.einsum("pi,pi->p", orbitals @ matrix, orbitals))
    return (np.concatenate(parts) / units.Bohr**3).astype(np.float32)


if __name__ == "__main__":
    main()
