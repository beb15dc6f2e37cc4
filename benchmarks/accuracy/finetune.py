"""A shipped model fine-tuned on a few frames of another level of theory, against a fresh one.

    python benchmarks/accuracy/finetune.py --data DATA

The model `organic` (gth-qzv3p) learns ethane and the water molecule (gth-tzv2p) from 1, 2, 4 and 8
frames; a fresh model of the same type map gets the same frames and the same time. Figures go to
results/finetune.json, where those that are there already stay, and results/finetune.png.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from run import HERE, dd_tf, fresh_folder, tested

FILE = HERE / "results" / "finetune.json"
FRAMES = (1, 2, 4, 8)
SYSTEMS = {"ethane": (["C", "H"], "32:"), "h2o": (["H", "O"], "24:")}
# Of each start: its label, options of the training.
STARTS = {
    "fresh": ("from scratch", []),
    "organic": ("organic, fine-tuned", ["--finetune", "organic"]),
}
SECONDS = 180


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="folder of the reference systems")
    parser.add_argument("--work", type=Path, default=HERE / "run", help="scratch folder")
    args = parser.parse_args()
    rows = json.loads(FILE.read_text())["rows"] if FILE.is_file() else []
    done = {(row["system"], row["frames"], row["start"]) for row in rows}
    for system, frames, start in itertools.product(SYSTEMS, FRAMES, STARTS):
        if (system, frames, start) in done:
            continue
        work = fresh_folder(args, f"finetune_{system}_{frames}_{start}")
        rows.append({"system": system, "frames": frames, "start": start})
        rows[-1]["nmae"] = error(work, system, frames, STARTS[start][1])
        FILE.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        print("{system:8s} {frames} frames, {start:8s} NMAE {nmae:.3f} %".format(**rows[-1]))
    draw(rows)


def error(work: Path, system: str, frames: int, options: list[str]) -> float:
    """NMAE in percent on the frames that no training gets."""
    types, unseen = SYSTEMS[system]
    config = {
        "model": {"type_map": types},
        "training": {
            "training_data": {"systems": f"data/{system}", "frames": f"0:{frames}"},
            "numb_models": 1,
            "numb_steps": 1_000_000,
            "max_time": SECONDS,
            "disp_freq": 500,
        },
    }
    (work / "input.json").write_text(json.dumps(config, indent=4))
    dd_tf(work, "train", "input.json", *options)
    dd_tf(work, "freeze")
    return tested(work, system, unseen)["nmae"]


def draw(rows: list[dict]) -> None:
    """Error against frames."""
    figure, pair = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained", sharey=True)
    for axes, system in zip(pair, SYSTEMS, strict=True):
        for start, (label, _) in STARTS.items():
            chosen = [row for row in rows if row["system"] == system and row["start"] == start]
            axes.plot([r["frames"] for r in chosen], [r["nmae"] for r in chosen], "o-", label=label)
        axes.set(xscale="log", yscale="log", xlabel="frames trained on", title=system)
        axes.set_xticks(FRAMES, [str(n) for n in FRAMES])
        axes.minorticks_off()
        axes.grid(alpha=0.3, which="both")
    pair[0].set_ylabel("NMAE on unseen frames (%)")
    pair[0].legend()
    figure.savefig(FILE.with_suffix(".png"), dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
