"""Molecules that might be added to a model's data: edits of known ones, fragments of larger ones.

Example: python organic_pool.py organic_train.smi --without organic_validation.smi organic_test.smi
             --edits 1200 --fragments drugs.smi.gz > organic_pool.smi

An edit is a molecule of the list after one to three random changes: an atom becomes another
element, a bond gets another order, an atom is added, a ring is closed. Fragments are what BRICS
makes of the molecules of a file (a SMILES first in each line, gzip or not; such as those of MOSES),
cut ends closed by H or CH3; those that come up several times are taken. What is charged, a radical,
too large or in a list already is left out, of the edits also what is unlikely to be stable.
organic_choose.py says what to take of them.
"""

from __future__ import annotations

import argparse
import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from organic import molecules
from rdkit import Chem, RDLogger
from rdkit.Chem import BRICS, rdMolDescriptors

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


SULFINYL_H = Chem.MolFromSmarts("[SX3;H1,SX4;H1]=O")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path, help="file with a name and a SMILES a line")
    parser.add_argument("--without", nargs="*", type=Path, default=[], help="more such lists")
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--fragments", type=Path, help="SMILES of larger molecules")
    parser.add_argument("--read", type=int, default=30000, help="of them, drawn at random")
    parser.add_argument("--times", type=int, default=4, help="that a fragment came up")
    parser.add_argument("--heavy", type=int, default=9, help="largest number of heavy atoms")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    rng = np.random.default_rng(args.seed)
    known = {
        flat(Chem.MolFromSmiles(smiles))
        for path in [args.list, *args.without]
        for smiles in smiles_of(path)
    }
    pool = dict.fromkeys(edited(smiles_of(args.list), args, rng), "edit")
    if args.fragments:
        pool |= dict.fromkeys(fragments(args, rng), "fragment")
    for number, (smiles, kind) in enumerate(pool.items()):
        if smiles not in known:
            print(f"{kind}{number:05d} {smiles}")


def smiles_of(path: Path) -> list[str]:
    return [smiles for _, smiles in molecules(path, "0/1")]


def flat(molecule: Chem.Mol) -> str:
    """Canonical SMILES, without stereochemistry."""
    return Chem.CanonSmiles(Chem.MolToSmiles(molecule, isomericSmiles=False))


def edited(starts: list[str], args: argparse.Namespace, rng: np.random.Generator) -> list[str]:
    """Different molecules."""
    pool: dict[str, None] = {}
    while len(pool) < args.edits:
        molecule = Chem.RWMol(Chem.MolFromSmiles(starts[rng.integers(len(starts))]))
        Chem.Kekulize(molecule, clearAromaticFlags=True)
        for _ in range(rng.integers(1, 4)):
            EDITS[rng.integers(len(EDITS))](molecule, rng)
        if usable(molecule, args.heavy) and likely(molecule):
            pool[flat(molecule)] = None
    return list(pool)


def usable(molecule: Chem.RWMol, heavy: int) -> bool:
    """Whether its size, elements and electrons are those of the data."""
    if Chem.SanitizeMol(molecule, catchErrors=True):
        return False
    atoms = list(molecule.GetAtoms())
    return 3 <= len(atoms) <= heavy and not any(
        atom.GetSymbol() not in ELEMENTS or atom.GetFormalCharge() or atom.GetNumRadicalElectrons()
        for atom in atoms
    )


def likely(molecule: Chem.RWMol) -> bool:
    """Whether it may be stable."""
    carbons = sum(atom.GetSymbol() == "C" for atom in molecule.GetAtoms())
    return (
        2 * carbons >= molecule.GetNumAtoms() - 1
        and not any(molecule.HasSubstructMatch(pattern) for pattern in UNLIKELY)
        and not rdMolDescriptors.CalcNumBridgeheadAtoms(molecule)
    )


def fragments(args: argparse.Namespace, rng: np.random.Generator) -> list[str]:
    """What several molecules of a file are made of, the most frequent first."""
    opened = gzip.open if args.fragments.suffix == ".gz" else open
    with opened(args.fragments, "rt", encoding="utf-8") as stream:
        words = [line.replace(",", " ").split()[0] for line in stream if line.strip()]
    times: Counter[str] = Counter()
    for index in rng.permutation(len(words))[: args.read]:
        molecule = Chem.MolFromSmiles(words[index])
        for smiles in BRICS.BRICSDecompose(molecule) if molecule else ():
            for closed in closed_ends(smiles):
                if usable(closed, args.heavy) and not closed.HasSubstructMatch(SULFINYL_H):
                    times[flat(closed)] += 1
    return [smiles for smiles, count in times.most_common() if count >= args.times]


def closed_ends(smiles: str) -> Iterator[Chem.RWMol]:
    """A fragment with H, and with CH3, where bonds were cut."""
    for number in (1, 6):
        molecule = Chem.RWMol(Chem.MolFromSmiles(smiles))
        for atom in molecule.GetAtoms():
            if atom.GetAtomicNum() == 0:
                atom.SetAtomicNum(number)
                atom.SetIsotope(0)
                atom.SetNoImplicit(False)
        yield Chem.RWMol(Chem.RemoveHs(molecule, sanitize=False))


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


if __name__ == "__main__":
    main()
