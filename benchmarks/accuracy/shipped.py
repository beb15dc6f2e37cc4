"""A shipped model on molecules that it never saw: errors by size and elements, dipoles.

    python benchmarks/accuracy/shipped.py organic DATA -o organic_unseen.json

DATA: the systems of examples/data_recipes/organic_test.smi, made by organic.py. Prints a table, a
line a group of molecules, and writes it with a row for each molecule.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from run import derived_errors
from scipy.stats import spearmanr

from deepdensity_tf import DeepDensity
from deepdensity_tf.infer.evaluate import evaluate
from deepdensity_tf.infer.frames import choose_frames

MOST_HEAVY = 9  # in the training data


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="file, or name of a shipped model")
    parser.add_argument("data", help="folder of systems")
    parser.add_argument("-o", "--output", type=Path, help="JSON file")
    args = parser.parse_args()
    model = DeepDensity(args.model)
    chosen = choose_frames([args.data], model.type_map, ":")
    errors = evaluate(model, chosen)["frames"]
    frames = (each.system.frame(index) for each in chosen for index in each.indices)
    rows = [row_of(model, frame, error) for frame, error in zip(frames, errors, strict=True)]
    table = {label: summary(group) for label, group in groups(rows).items() if group}
    print("| molecules | " + " | ".join(table["all"]) + " |")
    print("|---" * (len(table["all"]) + 1) + "|")
    for label, values in table.items():
        print(f"| {label} | " + " | ".join(f"{value:.3g}" for value in values.values()) + " |")
    if args.output:
        args.output.write_text(json.dumps({"table": table, "rows": rows}, indent=1) + "\n")


def row_of(model: DeepDensity, frame, error: dict) -> dict:
    """Figures of one molecule."""
    symbols = [model.type_map[t] for t in frame.atype]
    derived = derived_errors(model, [frame])
    return {
        "molecule": error["system"],
        "elements": sorted(set(symbols)),
        "heavy": sum(symbol != "H" for symbol in symbols),
        "nmae": error["nmae"],
        "expected_nmae": error["expected_nmae"],
        "dipole_error": derived["dipole_error"],
        "electrons_error": derived["integral_error"],
    }


def groups(rows: list[dict]) -> dict[str, list[dict]]:
    """Rows by what the molecules are."""
    small = [row for row in rows if row["heavy"] <= MOST_HEAVY]
    return {
        "all": rows,
        f"up to {MOST_HEAVY} heavy atoms": small,
        "of these, with S or Cl": [row for row in small if {"S", "Cl"} & set(row["elements"])],
        f"more than {MOST_HEAVY}": [row for row in rows if row["heavy"] > MOST_HEAVY],
    }


def summary(rows: list[dict]) -> dict[str, float]:
    """Means of a group; the rank correlation of expected and true error."""
    nmae, expected = ([row[key] for row in rows] for key in ("nmae", "expected_nmae"))
    return {
        "number": len(rows),
        "NMAE %": float(np.mean(nmae)),
        "median": float(np.median(nmae)),
        "worst": float(np.max(nmae)),
        "dipole error e Å": float(np.mean([row["dipole_error"] for row in rows])),
        "electrons error": float(np.mean([row["electrons_error"] for row in rows])),
        "rank correlation": float(spearmanr(nmae, expected).statistic),
    }


if __name__ == "__main__":
    main()
