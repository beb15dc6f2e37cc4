"""Which molecules of a pool to add to a model's data: those it is least sure of, no two alike.

Example: python organic_choose.py organic_pool.smi -m organic --choose 300 > organic_more.smi

The ensemble's expected error on a conformer (RDKit) ranks the pool, lines of name and SMILES. From
the worst on, each is taken whose Morgan fingerprint is not too like that of one taken before. They
are printed, mixed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from organic import conformer, molecules
from rdkit import Chem, DataStructs, RDLogger
from rdkit.Chem import rdFingerprintGenerator

from deepdensity_tf import DeepDensity
from deepdensity_tf.infer.uncertainty import expected_error

FINGERPRINTS = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path, help="file with a name and a SMILES a line")
    parser.add_argument("-m", "--model", default="organic", help="ensemble that ranks")
    parser.add_argument("--choose", type=int, default=300)
    parser.add_argument("--alike", type=float, default=0.6, help="largest Tanimoto coefficient")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    model = DeepDensity(args.model)
    pool = molecules(args.pool, "0/1")
    ranked = sorted(
        ((likely_error(model, smiles, args.seed), name, smiles) for name, smiles in pool),
        reverse=True,
    )
    chosen = different(ranked, args.choose, args.alike)
    for place in np.random.default_rng(args.seed).permutation(len(chosen)):
        print(*chosen[place][1:])
    print(f"expected errors {chosen[-1][0]:.3f} to {chosen[0][0]:.3f} %", file=sys.stderr)


def likely_error(model: DeepDensity, smiles: str, seed: int) -> float:
    """Expected NMAE (%) on a conformer; -1 where there is none."""
    atoms = conformer(smiles, seed)
    if atoms is None:
        return -1.0
    return expected_error(model, atoms.positions, None, model.types_of(atoms)).nmae


def different(ranked: list[tuple[float, str, str]], most: int, alike: float) -> list[tuple]:
    """The first of them, without those too like an earlier one."""
    chosen: list[tuple[float, str, str]] = []
    prints: list = []
    for entry in ranked:
        found = FINGERPRINTS.GetFingerprint(Chem.MolFromSmiles(entry[2]))
        if max(DataStructs.BulkTanimotoSimilarity(found, prints), default=0.0) <= alike:
            chosen.append(entry)
            prints.append(found)
        if len(chosen) == most or entry[0] < 0:
            break
    return chosen


if __name__ == "__main__":
    main()
