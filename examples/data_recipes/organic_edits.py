"""Molecules near known ones of which a model is least sure: what to add to its data.

Example: python organic_edits.py organic_train.smi --without organic_validation.smi organic_test.smi
             -m organic --pool 3000 --choose 300 > organic_edits.smi

A molecule of the pool is one of the list after one to three random edits: an atom becomes another
element, a bond gets another order, an atom is added, a ring is closed. What is charged, a radical,
unlikely to be stable, too large or in a list already is passed over. The ensemble's expected error
on a conformer (RDKit) ranks the pool; the first are printed, mixed, as lines of name and SMILES.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from organic import conformer, molecules
from rdkit import Chem, RDLogger
from rdkit.Chem import rdMolDescriptors

from deepdensity_tf import DeepDensity
from deepdensity_tf.infer.uncertainty import expected_error

ELEMENTS = {"C": 10, "N": 6, "O": 6, "F": 2, "S": 4, "Cl": 2}  # and how often each is drawn
ORDERS = (Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
UNLIKELY = [
    Chem.MolFromSmarts(text)
    for text in (
        "[O,S,F,Cl;!a]~[O,F,Cl;!a]",
        "[N,O;!a]~[N;!a]~[N,O;!a]",
        "[N,O;!a][F,Cl]",
        "S[F,Cl]",
        "[N,O,S;!a][CH2,CH1;!a;$(*[OH,NH2,SH])]",
        "*=*=*",
        "*#[*;r]",
        "[r3]=[*]",
        "[r4]=[r4]-[r4]=[r4]",
        "[a;r3,r4]",
        "[#7]#[#6]-[#7]=,#[#6]",
        "[N,O,S;!a]~[S;!a]",
        "[#16;v4;!$([SX3](=O)([#6])[#6])]",
        "[#16;v6;!$([SX4](=O)(=O)([#6])[#6,#7])]",
    )
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path, help="file with a name and a SMILES a line")
    parser.add_argument("--without", nargs="*", type=Path, default=[], help="more such lists")
    parser.add_argument("-m", "--model", default="organic", help="ensemble that ranks")
    parser.add_argument("--pool", type=int, default=3000)
    parser.add_argument("--choose", type=int, default=300)
    parser.add_argument("--heavy", type=int, default=9, help="largest number of heavy atoms")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    rng = np.random.default_rng(args.seed)
    known = [smiles for path in [args.list, *args.without] for smiles in smiles_of(path)]
    pool = edited(smiles_of(args.list), set(map(flat, known)), args, rng)
    model = DeepDensity(args.model)
    errors = np.array([likely_error(model, smiles, args.seed) for smiles in pool])
    chosen = np.argsort(-errors)[: args.choose]
    for k in rng.permutation(chosen):
        print(f"edit{k:04d} {pool[k]}")
    print(f"expected errors {errors[chosen].min():.3f} to {errors.max():.3f} %", file=sys.stderr)


def smiles_of(path: Path) -> list[str]:
    return [smiles for _, smiles in molecules(path, "0/1")]


def flat(smiles: str) -> str:
    """Canonical, without stereochemistry."""
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


def edited(
    starts: list[str], known: set[str], args: argparse.Namespace, rng: np.random.Generator
) -> list[str]:
    """Different molecules that no list holds."""
    pool: dict[str, None] = {}
    while len(pool) < args.pool:
        molecule = Chem.RWMol(Chem.MolFromSmiles(starts[rng.integers(len(starts))]))
        Chem.Kekulize(molecule, clearAromaticFlags=True)
        for _ in range(rng.integers(1, 4)):
            EDITS[rng.integers(len(EDITS))](molecule, rng)
        smiles = checked(molecule, args.heavy)
        if smiles is not None and smiles not in known:
            pool[smiles] = None
    return list(pool)


def checked(molecule: Chem.RWMol, heavy: int) -> str | None:
    """Its SMILES, None for what shall not be in the data."""
    if Chem.SanitizeMol(molecule, catchErrors=True):
        return None
    atoms = list(molecule.GetAtoms())
    carbons = sum(atom.GetSymbol() == "C" for atom in atoms)
    if not 3 <= len(atoms) <= heavy or 2 * carbons < len(atoms) - 1:
        return None
    if any(atom.GetFormalCharge() or atom.GetNumRadicalElectrons() for atom in atoms):
        return None
    if any(molecule.HasSubstructMatch(pattern) for pattern in UNLIKELY):
        return None
    if rdMolDescriptors.CalcNumBridgeheadAtoms(molecule):
        return None
    return flat(Chem.MolToSmiles(molecule))


def other_element(molecule: Chem.RWMol, rng: np.random.Generator) -> None:
    atom = molecule.GetAtomWithIdx(int(rng.integers(molecule.GetNumAtoms())))
    atom.SetAtomicNum(drawn_element(rng))
    atom.SetNumExplicitHs(0)


def other_order(molecule: Chem.RWMol, rng: np.random.Generator) -> None:
    if molecule.GetNumBonds():
        bond = molecule.GetBondWithIdx(int(rng.integers(molecule.GetNumBonds())))
        bond.SetBondType(ORDERS[rng.integers(3)])


def added_atom(molecule: Chem.RWMol, rng: np.random.Generator) -> None:
    place = int(rng.integers(molecule.GetNumAtoms()))
    new = molecule.AddAtom(Chem.Atom(drawn_element(rng)))
    molecule.AddBond(place, new, ORDERS[rng.choice(3, p=[0.6, 0.25, 0.15])])


def closed_ring(molecule: Chem.RWMol, rng: np.random.Generator) -> None:
    steps = Chem.GetDistanceMatrix(molecule, force=True)
    places = np.argwhere((steps >= 3) & (steps <= 5))
    if len(places):
        first, second = places[rng.integers(len(places))]
        molecule.AddBond(int(first), int(second), ORDERS[0])


EDITS = (other_element, other_element, other_order, added_atom, added_atom, closed_ring)


def drawn_element(rng: np.random.Generator) -> int:
    weights = np.array(list(ELEMENTS.values()), dtype=float)
    symbol = rng.choice(list(ELEMENTS), p=weights / weights.sum())
    return Chem.GetPeriodicTable().GetAtomicNumber(str(symbol))


def likely_error(model: DeepDensity, smiles: str, seed: int) -> float:
    """Expected NMAE (%) on a conformer; -1 where there is none."""
    atoms = conformer(smiles, seed)
    if atoms is None:
        return -1.0
    return expected_error(model, atoms.positions, None, model.atype_of(list(atoms.symbols))).nmae


if __name__ == "__main__":
    main()
