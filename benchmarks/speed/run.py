"""Speed of frozen models on full grids, against the machine's peak and an FFT of the same grid.

    python benchmarks/speed/run.py --data DATA --water water.pb --aluminium al.pb --ethane ethane.pb

DATA holds the reference systems ethane, al4 and w8; larger structures are supercells of their first
frames with the same distance of grid points. Models are those of benchmarks/accuracy. Every row is
a process of its own, with 1 or 2 threads, before and after `dd-tf compress`. Prints a table, writes
results.json, results.png and RESULTS.md beside this script.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
COLUMNS = (
    "system atoms points threads model seconds points_per_s per_point_us atoms_s fft_s peak_MB "
    "gflops of_peak"
).split()


@dataclass(frozen=True)
class Structure:
    """First frame of a reference system, repeated along the cell vectors."""

    name: str
    model: str
    system: str
    repeat: tuple[int, int, int] = (1, 1, 1)


STRUCTURES = [
    Structure("ethane", "ethane", "ethane"),
    *(Structure(f"Al {4 * n**3}", "aluminium", "al4", (n, n, n)) for n in (1, 2, 3, 4)),
    Structure("8 H2O", "water", "w8"),
    Structure("32 H2O", "water", "w8", (2, 2, 1)),
    Structure("64 H2O", "water", "w8", (2, 2, 2)),
    Structure("128 H2O", "water", "w8", (4, 2, 2)),
    Structure("256 H2O", "water", "w8", (4, 4, 2)),
    Structure("512 H2O", "water", "w8", (4, 4, 4)),
]
# Uncompressed models and single threads are timed on structures up to this size.
LARGEST_IN_FULL = 32 * 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    for name in ("ethane", "aluminium", "water"):
        parser.add_argument(f"--{name}", type=Path, help=f"frozen model of {name}")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(CHILDREN[args.child](**json.loads(sys.stdin.read()))))
        return
    peaks = {threads: run_child("peak", threads) for threads in (1, 2)}
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for structure in STRUCTURES:
            model = getattr(args, structure.model)
            if model is not None:
                rows += measure_structure(structure, model, args.data, Path(scratch), peaks)
    report = {"peak": peaks, "rows": rows}
    (HERE / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(markdown(report))
    picture(rows)
    print(table(rows))


def measure_structure(structure, model, data, scratch, peaks) -> list[dict]:
    """Rows of one structure: both models, both numbers of threads; large ones in part."""
    compressed = scratch / f"{structure.model}.pb"
    if not compressed.exists():
        command = [sys.executable, "-m", "deepdensity_tf", "compress"]
        subprocess.run([*command, "-i", str(model), "-o", str(compressed)], check=True)
    rows = []
    for label, file in (("frozen", model), ("compressed", compressed)):
        for threads in (1, 2):
            size = 24 if structure.model == "water" else 4
            large = size * np.prod(structure.repeat) > LARGEST_IN_FULL
            if large and (label == "frozen" or threads == 1):
                continue
            job = {
                "model_file": str(Path(file).resolve()),
                "system": str((data / structure.system).resolve()),
                "repeat": structure.repeat,
            }
            row = run_child("measure", threads, **job)
            row |= {"system": structure.name, "threads": threads, "model": label}
            row["of_peak"] = row["gflops"] / peaks[threads]["gflops"]
            rows.append(row)
            print(f"{structure.name}: {label}, {threads} threads", file=sys.stderr, flush=True)
    return rows


def run_child(name: str, threads: int, **job) -> dict:
    """Figures of one process with the given number of threads."""
    limits = {"TF_NUM_INTRAOP_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--data", ".", "--child", name]
    done = subprocess.run(
        command,
        env={**os.environ, **limits, "TF_CPP_MIN_LOG_LEVEL": "3"},
        input=json.dumps(job),
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return json.loads(done.stdout)


def peak() -> dict:
    """What the machine reaches in a matrix product (float32) and in copying memory."""
    import tensorflow as tf

    n = 3000
    a = tf.random.normal((n, n))
    seconds = best_of_three(lambda: tf.matmul(a, a).numpy())
    source, target = np.ones(2**26), np.empty(2**26)
    copy = best_of_three(lambda: np.copyto(target, source))
    return {"gflops": 2 * n**3 / seconds / 1e9, "copy_GB_per_s": 2 * source.nbytes / copy / 1e9}


def measure(model_file: str, system: str, repeat: list[int]) -> dict:
    """Best of three evaluations of the structure's grid, after one to warm up."""
    from deepdensity_tf.data.system import DensitySystem
    from deepdensity_tf.infer.deep_density import DeepDensity

    model = DeepDensity(model_file)
    frame = DensitySystem(system, model.type_map).frame(0)
    shifts = np.indices(repeat).reshape(3, -1).T @ frame.box
    coord = (frame.coord + shifts[:, None]).reshape(-1, 3)
    box = frame.box * np.array(repeat)[:, None]
    atype = np.tile(frame.atype, len(shifts))
    shape = tuple(np.array(frame.grid_shape) * repeat)
    npoints = int(np.prod(shape))

    def evaluate() -> np.ndarray:
        return model.eval_grid(coord, box, atype, shape, pbc=frame.pbc)

    one_point = np.zeros((1, 3))
    density = evaluate()
    seconds = best_of_three(evaluate)
    cell = box if frame.pbc else None
    atoms = best_of_three(lambda: model.eval(coord, cell, atype, one_point))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pairs = pairs_per_point(model, coord, box if frame.pbc else np.zeros(9), shape, box)
    flops = pairs * flops_per_pair(model.training_script["model"])
    return {
        "atoms": len(coord),
        "points": npoints,
        "seconds": seconds,
        "points_per_s": npoints / seconds,
        "per_point_us": 1e6 * seconds / npoints,
        "atoms_s": atoms,
        "fft_s": best_of_three(lambda: np.fft.fftn(density)),
        "peak_MB": peak_mb,
        "pairs_per_point": pairs,
        "gflops": flops * npoints / seconds / 1e9,
    }


def pairs_per_point(model, coord, cell, shape, box) -> float:
    """Atoms within rcut_point of a point of the grid, mean over 2000 of them."""
    from deepdensity_tf.utils.ops import neighbor_list

    rng = np.random.default_rng(0)
    points = (rng.integers(0, shape, (2000, 3)) / shape) @ box
    ends = [np.array([0, len(points)], np.int32), np.array([0, len(coord)], np.int32)]
    cell = np.reshape(cell, (1, 9))
    center, _, _ = neighbor_list(points, ends[0], coord, ends[1], cell, model.rcut_point)
    return len(center) / len(points)


def flops_per_pair(section: dict) -> int:
    """Additions and multiplications of op/density.cc for one point and atom.

    Distance and direction 15, splines 24, harmonics 4 for each component of l >= 2, contraction
    with four rows of coefficients 8 for each component, sum of the four 8.
    """
    nlm = (section["descriptor"].get("lmax", 1) + 1) ** 2
    return 15 + 24 + 4 * (nlm - 4) + 8 * nlm + 8


def best_of_three(function) -> float:
    """Shortest of three calls, s."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def table(rows: list[dict]) -> str:
    """The rows as text."""
    lines = [" ".join(f"{name:>12s}" for name in COLUMNS)]
    lines += [" ".join(f"{_text(row[name]):>12s}" for name in COLUMNS) for row in rows]
    return "\n".join(lines)


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown(report: dict) -> str:
    """RESULTS.md."""
    rows = report["rows"]
    lines = [
        "# Speed",
        "",
        "Made by `python benchmarks/speed/run.py`; each row is a process of its own, best of three "
        "whole grids, Python included. `atoms_s` is the time of the atoms' own part, which is in "
        "`seconds` once; `fft_s` that of one complex NumPy FFT of the same grid (one thread); "
        "`gflops` counts the arithmetic of the point loop alone, and `of_peak` compares it with "
        "a matrix product of TensorFlow with as many threads.",
        "",
    ]
    for threads, figures in report["peak"].items():
        lines.append(
            f"- {threads} threads: matrix product {figures['gflops']:.0f} GFLOP/s (float32), "
            f"copy {figures['copy_GB_per_s']:.0f} GB/s"
        )
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(_text(row[name]) for name in COLUMNS) + " |" for row in rows]
    return "\n".join([*lines, "", "![time against atoms](results.png)", ""])


def picture(rows: list[dict]) -> None:
    """Time per structure and per point against the number of atoms."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for family, word in (("water", "H2O"), ("aluminium", "Al")):
        for model, style in (("compressed", "o-"), ("frozen", "s--")):
            chosen = [
                row
                for row in rows
                if word in row["system"] and row["threads"] == 2 and row["model"] == model
            ]
            x = [row["atoms"] for row in chosen]
            left.plot(x, [row["seconds"] for row in chosen], style, label=f"{family}, {model}")
            right.plot(x, [row["per_point_us"] for row in chosen], style)
    left.set(xscale="log", yscale="log", xlabel="atoms", ylabel="time of the full grid (s)")
    right.set(xscale="log", yscale="log", xlabel="atoms", ylabel="time of a point (µs)")
    left.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
    figure.savefig(HERE / "results.png", dpi=130)


CHILDREN = {"measure": measure, "peak": peak}

if __name__ == "__main__":
    main()
