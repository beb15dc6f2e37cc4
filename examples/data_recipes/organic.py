"""Valence densities of organic molecules of H C N O F S Cl: PBE, GTH pseudopotentials, PySCF.

Example: python organic.py organic_train.smi -o organic/train
         python organic.py organic_train.smi -o organic/train --part 1/2     another process

A line of the list is a name and a SMILES. Each molecule gets a conformer (RDKit: ETKDG, MMFF),
displaced at random, and a system of its own: NAME/ in the output, isolated (`nopbc`). Finished
molecules are passed over, so the same command goes on after a kill; what does not converge is said.
"""

from __future__ import annotations

import argparse
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build.tools import sort
from molecule import density
from pyscf import dft, gto
from rdkit import Chem
from rdkit.Chem import AllChem

from deepdensity_tf.reference.system_writer import write_system

log = logging.getLogger("organic")


def main() -> None:
    args = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.output.mkdir(parents=True, exist_ok=True)
    for name, smiles in molecules(args.list, args.part):
        folder = args.output / name
        if not (folder / "type.raw").exists():
            make(name, smiles, folder, args)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path, help="file with a name and a SMILES a line")
    parser.add_argument("--frames", type=int, default=1, help="of each molecule")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sigma", type=float, default=0.05, help="of the displacements, Å")
    parser.add_argument("--basis", default="gth-qzv3p")
    parser.add_argument("--spacing", type=float, default=0.25, help="of the grid, Å")
    parser.add_argument("--pad", type=float, default=3.25, help="from atoms to the grid's end, Å")
    parser.add_argument("--part", default="0/1", help="K/N: every Nth molecule from the Kth on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the systems")
    return parser.parse_args()


def molecules(path: Path, part: str) -> Iterator[tuple[str, str]]:
    """Names and SMILES of one of several processes."""
    first, step = map(int, part.split("/"))
    lines = path.read_text(encoding="utf-8").splitlines()
    for line in lines[first::step]:
        name, smiles = line.split()
        yield name, smiles


def make(name: str, smiles: str, folder: Path, args: argparse.Namespace) -> None:
    """One system; nothing is written before all of its frames are there."""
    rest = conformer(smiles, args.seed)
    if rest is None:
        log.info("%s: RDKit finds no geometry", name)
        return
    rng = np.random.default_rng([args.seed, zlib.crc32(name.encode())])
    shape = np.ceil((np.ptp(rest.positions, axis=0) + 2 * args.pad) / args.spacing).astype(int)
    box = shape * args.spacing
    axes = [np.arange(n) * args.spacing for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    frames, labels = [], []
    for _ in range(3 * args.frames):
        atoms = displaced(rest, box, args.sigma, rng)
        label = solve(atoms, points, args.basis)
        if label is None:
            log.info("%s: not converged, drawn again", name)
            continue
        frames.append(atoms)
        labels.append({**label, "grid_shape": shape.astype(np.int32)})
        if len(frames) == args.frames:
            break
    else:
        log.info("%s: left out", name)
        return
    stacked = {key: np.array([label[key] for label in labels]) for key in labels[0]}
    write_system(
        folder,
        rest.get_chemical_symbols(),
        np.array([atoms.positions for atoms in frames]),
        np.array([np.diag(box)] * len(frames), dtype=float),
        stacked,
        periodic=False,
    )
    electrons = labels[-1]["density"].sum() * args.spacing**3
    log.info("%s: %s, %.4f electrons on the grid", name, rest.get_chemical_formula(), electrons)


def conformer(smiles: str, seed: int) -> Atoms | None:
    """A geometry at rest, atoms sorted by element; None where none is found."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(molecule, randomSeed=seed) != 0:
        if AllChem.EmbedMolecule(molecule, randomSeed=seed, useRandomCoords=True) != 0:
            return None
    AllChem.MMFFOptimizeMolecule(molecule, maxIters=2000)
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    return sort(Atoms(symbols, molecule.GetConformer().GetPositions()))


def displaced(rest: Atoms, box: np.ndarray, sigma: float, rng: np.random.Generator) -> Atoms:
    """The molecule with random displacements, in the middle of the box."""
    atoms = rest.copy()
    x = rest.positions + rng.normal(0, sigma, rest.positions.shape)
    atoms.positions = x + box / 2 - (x.max(0) + x.min(0)) / 2
    return atoms


def solve(atoms: Atoms, points: np.ndarray, basis: str) -> dict[str, np.ndarray] | None:
    """Energy (eV) and density (npoints,) in electrons/Å³; None if it does not converge."""
    mol = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)),
        unit="Angstrom",
        basis=basis,
        pseudo="gth-pbe",
        verbose=0,
    )
    field = dft.RKS(mol).density_fit(auxbasis="def2-universal-jkfit")
    field.xc, field.conv_tol = "pbe", 1e-6
    field.with_df.build()  # else its integrals are made anew in each cycle, for half of the time
    for level in (0, 1):  # most of the cycles on the coarse quadrature, a quarter of the points
        field.grids = dft.Grids(mol)
        field.grids.level = level
        energy = field.kernel(field.make_rdm1() if level else None)
    if not field.converged:
        return None
    return {"energy": energy * units.Hartree, "density": density(mol, field.make_rdm1(), points)}


if __name__ == "__main__":
    main()
