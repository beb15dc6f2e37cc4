"""RESULTS.md and its pictures from results/*.json:  python benchmarks/accuracy/report.py"""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from finetune import STARTS
from systems import SYSTEMS

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

_HEADER = """\
# Accuracy

Made by `python benchmarks/accuracy/run.py --data DATA` (also `--curve`, `--molecules`,
`--ablations`) and `python benchmarks/accuracy/report.py`. Models with one pass are those of version
0.1.0 (16 channels, Adam), on two cores with AVX-512. With three passes, four models have the
present defaults, on two cores with AVX-512; crystals, aluminium and water, whose numbers of steps
are given, beside each other and other work (twice the time); single ones shared nothing between
types and had 24 channels, on **one core without AVX-512**, beside other work on a second one.
Version 0.1.0 gives ethane 0.185 % after 420 s on that one core. NMAE = 100 sum|rho - rho_ref| /
sum|rho_ref| over the full grid, mean over the structures of a set; none of those tested was trained
on. "Constant" is the NMAE of the reference's own mean density. Inputs are in `inputs/`;
`examples/data_recipes` and `examples/one_d` make the data. What no local model trained on 8 atoms
can know of longer one-dimensional chains is in `examples/one_d/README.md`: 0.05 % for insulator2,
0.12 to 0.26 % for the mixed chain. Aluminium is trained on 4-atom cells alone: the 64-atom cell has
waves that none of them holds; k-points alone (4x4x4 or 6x6x6) are worth 0.30 %.
"""


def main() -> None:
    found = {name: load(name) for name in SYSTEMS if load(name)}
    parts = [_HEADER, "## Systems\n", systems_table(found), derived_table(found)]
    if found:
        against_time(found)
        parts.append("![error against training time](results/time.png)\n")
    if load("curve"):
        learning_curves(load("curve"))
        parts.append(
            "## Frames and points\n\nVersion 0.1.0: ethane, 40 splines, "
            f"{load('curve')['seconds']} s of training each.\n\n"
            "![error against frames and points](results/curve.png)\n"
        )
    if load("molecules"):
        parts.append(molecules_table(load("molecules")))
    if load("ablations"):
        parts.append(ablation_table(load("ablations")))
    if load("finetune"):
        parts.append(finetune_table(load("finetune")["rows"]))
    (HERE / "RESULTS.md").write_text("\n".join(parts), encoding="utf-8")


def load(name: str) -> dict | None:
    """Figures of one run, if it was made."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def systems_table(found: dict) -> str:
    lines = [
        "| model | passes | models | trained on frames | parameters | training s | tested on | "
        "structures | NMAE % | asked | median | worst | RMSE | constant NMAE % |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, result in found.items():
        for test in result["tests"]:
            asked = "" if test["asked"] is None else f"{test['asked']:g}"
            lines.append(
                f"| {name} | {result['npass']} | {result.get('models', 1)} | "
                f"{result['train_frames']} | {result['parameters']:,} | {result['seconds']:.0f} | "
                f"{test['label']} | {test['nframes']} | **{percent(test['nmae'])}** | {asked} | "
                f"{percent(test['nmae_median'])} | {percent(test['nmae_worst'])} | "
                f"{test['rmse']:.2e} | "
                f"{test['constant_nmae']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def percent(value: float | None) -> str:
    """Three decimals, or two digits where these would show nothing."""
    if value is None:
        return ""
    return f"{value:.3f}" if value >= 0.01 else f"{value:.1e}"


def derived_table(found: dict) -> str:
    lines = [
        "## Derived quantities\n",
        "Mean absolute errors, nothing rescaled. Electrons: the sum over the grid against that of "
        "the reference, which near a nucleus is itself off (water molecule: 0.16 %), and the exact "
        "integral against the whole number.\n",
        "| model | tested on | electrons | error % | of the integral % | "
        "Hartree energy eV | error eV | dipole e Å | error e Å | spin density NMAE % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, result in found.items():
        for test in result["tests"]:
            if "hartree" not in test:
                continue
            charge = 100 * test["electrons_error"] / test["electrons"]
            exact = test.get("integral_error")
            exact = "" if exact is None else f"{100 * exact / round(test['electrons']):.3f}"
            dipole = f"{test['dipole']:.4f}" if "dipole" in test else ""
            error = f"{test['dipole_error']:.4f}" if "dipole" in test else ""
            spin = f"{test['spin_nmae']:.2f}" if "spin_nmae" in test else ""
            lines.append(
                f"| {name} | {test['label']} | {test['electrons']:.2f} | {charge:.3f} | {exact} | "
                f"{test['hartree']:.2f} | {test['hartree_error']:.4f} | {dipole} | {error} | "
                f"{spin} |"
            )
    return "\n".join(lines) + "\n"


def molecules_table(result: dict) -> str:
    """Learning curve over molecules."""
    lines = [
        "## Molecules\n",
        f"The 24 molecules of `organics` that are never seen, by models trained for "
        f"{result['seconds']} s on a part of the others, each part within the next; without "
        "directions (`descriptor.crossed` false).\n",
        "| molecules | frames | steps | NMAE % | median | worst | of sampled points trained on |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        test = row["tests"][0]
        lines.append(
            f"| {row['molecules']} | {row['train_frames']} | {row['steps']:,} | "
            f"**{test['nmae']:.3f}** | {test['nmae_median']:.3f} | {test['nmae_worst']:.3f} | "
            f"{row['lcurve']['nmae_trn'][-1]:.3f} |"
        )
    return "\n".join(lines) + "\n"


def ablation_table(result: dict) -> str:
    lines = [
        "## Ablations\n",
        f"Version 0.1.0: ethane, 40 splines, {result['seconds']} s of training each, unseen "
        "frames.\n",
        "| model | parameters | steps | NMAE % |",
        "|---|---|---|---|",
    ]
    for row in result["rows"]:
        nmae = row["tests"][0]["nmae"]
        lines.append(f"| {row['label']} | {row['parameters']:,} | {row['steps']:,} | {nmae:.3f} |")
    return "\n".join(lines) + "\n"


def against_time(found: dict) -> None:
    """Validation error of every training against its time."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name, result in found.items():
        curve = result["lcurve"]
        axes.plot(curve["time"], curve["nmae_val"], label=name)
    axes.set(xscale="log", yscale="log", xlabel="training time (s)", ylabel="validation NMAE (%)")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(RESULTS / "time.png", dpi=130)
    plt.close(figure)


def finetune_table(rows: list[dict]) -> str:
    """A shipped model fine-tuned against a fresh one; the picture is finetune.py's."""
    found = {(row["system"], row["frames"], row["start"]): row["nmae"] for row in rows}
    lines = [
        "## Fine-tuning\n",
        "`organic` (gth-qzv3p) on a few frames of gth-tzv2p, a fresh model on the same frames, "
        "three minutes of one core; NMAE % on frames never seen. `finetune.py`.\n",
        " | ".join(["| system", "frames", *(label for label, _ in STARTS.values()), ""]).rstrip(),
        "|---|---" + "|---" * len(STARTS) + "|",
    ]
    for system, frames in sorted({key[:2] for key in found}):
        errors = (found.get((system, frames, start)) for start in STARTS)
        cells = " | ".join("" if nmae is None else f"{nmae:.2f}" for nmae in errors)
        lines.append(f"| {system} | {frames} | {cells} |")
    return "\n".join([*lines, "\n![error against frames](results/finetune.png)\n"])


def learning_curves(result: dict) -> None:
    """Error against the number of frames, and against the points of a frame and step."""
    figure, pair = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
    labels = {"frames": "frames trained on", "points": "points of a frame in a step"}
    for axes, (key, label) in zip(pair, labels.items(), strict=True):
        x = [point[key] for point in result[key]]
        y = [point["tests"][0]["nmae"] for point in result[key]]
        axes.plot(x, y, "o-")
        axes.set(xscale="log", yscale="log", xlabel=label)
        axes.set_xticks(x, [str(n) for n in x])
        axes.minorticks_off()
        axes.grid(alpha=0.3, which="both")
    pair[0].set_ylabel("NMAE on unseen frames (%)")
    figure.savefig(RESULTS / "curve.png", dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
