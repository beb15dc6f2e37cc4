"""Speed of frozen models on full grids, against the machine's peak and an FFT of the same grid.

    python benchmarks/speed/run.py --data DATA --water water.pb --aluminium al.pb --ethane ethane.pb
    ... --dft      also pw.x for the same structures, where installed; else its last times are kept

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
    "flop_per_point gflops of_peak"
).split()
# What the evaluation of a grid cannot but move: the op writes a number, Python copies it.
BYTES_PER_POINT = 3 * 8
# (TF_NUM_INTRAOP_THREADS, OMP_NUM_THREADS); None: not set.
THREAD_SETTINGS = [(None, None), (1, 1), (2, 1), (1, 2), (2, 2), (None, 1), (8, 8)]


# Copies of the cell up to which structures are measured in full: 32 molecules, 32 atoms.
LARGEST_REPEAT = {"ethane": 1, "al4": 8, "w8": 4}


@dataclass(frozen=True)
class Structure:
    """First frame of a reference system, repeated along the cell vectors."""

    name: str
    model: str
    system: str
    repeat: tuple[int, int, int] = (1, 1, 1)

    @property
    def large(self) -> bool:
        """Not timed uncompressed, nor with one thread, nor with pw.x."""
        return int(np.prod(self.repeat)) > LARGEST_REPEAT[self.system]


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    for name in ("ethane", "aluminium", "water"):
        parser.add_argument(f"--{name}", type=Path, help=f"frozen model of {name}")
    parser.add_argument("--dft", action="store_true", help="time pw.x too")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(CHILDREN[args.child](**json.loads(sys.stdin.read()))))
        return
    report = {"peak": {n: run_child("peak", limits(n, n)) for n in (1, 2)}, "rows": []}
    with tempfile.TemporaryDirectory() as scratch:
        for structure in STRUCTURES:
            model = getattr(args, structure.model)
            if model is not None:
                report["rows"] += measure_structure(
                    structure, model, args.data, Path(scratch), report["peak"]
                )
        if args.water is not None:
            report["settings"] = thread_settings(args.data, Path(scratch) / "water.pb")
    results = HERE / "results.json"
    last = json.loads(results.read_text()) if results.is_file() else {}
    report["dft"] = dft_times(args.data) if args.dft else last.get("dft", [])
    results.write_text(json.dumps(report, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(markdown(report))
    picture(report["rows"])
    print(table(COLUMNS, report["rows"]))


def measure_structure(structure, model, data, scratch, peaks) -> list[dict]:
    """Rows of one structure: both models, both numbers of threads; large ones in part."""
    compressed = scratch / f"{structure.model}.pb"
    if not compressed.exists():
        command = [sys.executable, "-m", "deepdensity_tf", "compress"]
        subprocess.run([*command, "-i", str(model), "-o", str(compressed)], check=True)
    rows = []
    for label, file in (("frozen", model), ("compressed", compressed)):
        for threads in (1, 2):
            if structure.large and (label == "frozen" or threads == 1):
                continue
            row = run_child("measure", limits(threads, threads), **job_of(structure, file, data))
            row |= {"system": structure.name, "threads": threads, "model": label}
            row["of_peak"] = row["gflops"] / peaks[threads]["gflops"]
            rows.append(row)
            print(f"{structure.name}: {label}, {threads} threads", file=sys.stderr, flush=True)
    return rows


def job_of(structure: Structure, model: Path, data: Path) -> dict:
    """Arguments of `measure`."""
    return {
        "model_file": str(Path(model).resolve()),
        "system": str((data / structure.system).resolve()),
        "repeat": structure.repeat,
    }


def thread_settings(data: Path, model: Path) -> list[dict]:
    """Speed of the compressed model on 32 H2O with each of THREAD_SETTINGS."""
    (structure,) = [s for s in STRUCTURES if s.name == "32 H2O"]
    rows = []
    for setting in THREAD_SETTINGS:
        figures = run_child("measure", limits(*setting), **job_of(structure, model, data))
        names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
        shown = ["not set" if n is None else n for n in setting]
        rows.append(
            {**dict(zip(names, shown, strict=True)), "points_per_s": figures["points_per_s"]}
        )
    return rows


def dft_times(data: Path) -> list[dict]:
    """Time of pw.x and pp.x, as the recipes run them, for structures that are not large."""
    sys.path.insert(0, str(HERE.parents[1] / "examples" / "data_recipes"))
    import qe_periodic
    from ase import Atoms

    rows = []
    for structure in STRUCTURES:
        if structure.model == "ethane" or structure.large:
            continue
        symbols, coord, box, _ = supercell(str(data / structure.system), structure.repeat)
        atoms = Atoms(symbols, coord, cell=box, pbc=True)
        metal = structure.model == "aluminium"
        points = tuple(4 // n for n in structure.repeat) if metal else None
        with tempfile.TemporaryDirectory() as work:
            start = time.perf_counter()
            qe_periodic.solve(atoms, qe_periodic.SYSTEMS[structure.model], points, Path(work))
            rows.append({"system": structure.name, "pw_x_s": time.perf_counter() - start})
        print(f"{structure.name}: pw.x", file=sys.stderr, flush=True)
    return rows


def supercell(system: str, repeat: list[int]) -> tuple:
    """Symbols, coord, box and grid of a system's first frame, repeated."""
    from deepdensity_tf.data.system import DensitySystem

    elements = (Path(system) / "type_map.raw").read_text().split()
    frame = DensitySystem(system, elements).frame(0)
    shifts = np.indices(repeat).reshape(3, -1).T @ frame.box
    coord = (frame.coord + shifts[:, None]).reshape(-1, 3)
    symbols = [elements[t] for t in frame.atype] * len(shifts)
    shape = tuple(int(n) for n in np.array(frame.grid_shape) * repeat)
    return symbols, coord, frame.box * np.array(repeat)[:, None], shape


def limits(tensorflow: int | None, openmp: int | None) -> dict[str, str]:
    """Environment that limits threads; None: no limit."""
    given = {"TF_NUM_INTRAOP_THREADS": tensorflow, "OMP_NUM_THREADS": openmp}
    return {name: str(n) for name, n in given.items() if n is not None}


def run_child(name: str, environment: dict[str, str], **job) -> dict:
    """Figures of one process with these variables."""
    command = [sys.executable, __file__, "--data", ".", "--child", name]
    ours = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
    others = {key: value for key, value in os.environ.items() if key not in ours}
    done = subprocess.run(
        command,
        env={**others, **environment, "TF_CPP_MIN_LOG_LEVEL": "3"},
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
    seconds = best_time(lambda: tf.matmul(a, a).numpy())
    source, target = np.ones(2**26), np.empty(2**26)
    copy = best_time(lambda: np.copyto(target, source))
    return {"gflops": 2 * n**3 / seconds / 1e9, "copy_GB_per_s": 2 * source.nbytes / copy / 1e9}


def measure(model_file: str, system: str, repeat: list[int]) -> dict:
    """Best of evaluations of the structure's grid, after one to warm up."""
    from deepdensity_tf.infer.deep_density import DeepDensity

    model = DeepDensity(model_file)
    symbols, coord, box, shape = supercell(system, repeat)
    atype = model.atype_of(symbols)
    pbc = not (Path(system) / "nopbc").exists()
    npoints = int(np.prod(shape))

    def evaluate() -> np.ndarray:
        return model.eval_grid(coord, box, atype, shape, pbc=pbc)

    one_point = np.zeros((1, 3))
    density = evaluate()
    seconds = best_time(evaluate)
    cell = box if pbc else None
    atoms = best_time(lambda: model.eval(coord, cell, atype, one_point))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pairs = pairs_per_point(model, coord, box if pbc else np.zeros(9), shape, box)
    flops = pairs * flops_per_pair(model.training_script["model"])
    return {
        "atoms": len(coord),
        "points": npoints,
        "seconds": seconds,
        "points_per_s": npoints / seconds,
        "per_point_us": 1e6 * seconds / npoints,
        "atoms_s": atoms,
        "fft_s": best_time(lambda: np.fft.fftn(density)),
        "peak_MB": peak_mb,
        "pairs_per_point": pairs,
        "flop_per_point": flops,
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


def best_time(function) -> float:
    """Shortest of three calls or more, until half a second is over, s."""
    times = []
    while len(times) < 3 or sum(times) < 0.5:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def table(columns, rows: list[dict]) -> str:
    """The rows as text."""
    lines = [" ".join(f"{name:>12s}" for name in columns)]
    lines += [" ".join(f"{_text(row[name]):>12s}" for name in columns) for row in rows]
    return "\n".join(lines)


def markdown_table(columns, rows: list[dict]) -> list[str]:
    """The rows as lines of Markdown."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(_text(row[name]) for name in columns) + " |" for row in rows]


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def markdown(report: dict) -> str:
    """RESULTS.md."""
    rows = report["rows"]
    lines = [
        "# Speed",
        "",
        "Made by `python benchmarks/speed/run.py`; each row is a process of its own, best of three "
        "whole grids or more (half a second of them), Python included. `atoms_s` is the time of "
        "the atoms' own part, which is in `seconds` once; `fft_s` that of one complex NumPy FFT of "
        "the same grid (one thread); `flop_per_point` and `gflops` count the arithmetic of the "
        "point loop alone, and `of_peak` compares it with a matrix product of TensorFlow with as "
        "many threads.",
        "",
        *markdown_table(COLUMNS, rows),
        "",
        "![time against atoms](results.png)",
        "",
        "## Roofline",
        "",
        *roofline(report["peak"], rows),
    ]
    if "settings" in report:
        lines += ["", "## Threads", "", "Compressed model, 32 H2O.", ""]
        lines += markdown_table(list(report["settings"][0]), report["settings"])
    if report["dft"]:
        lines += [
            "",
            "## Beside DFT",
            "",
            "One process of pw.x and pp.x for the same structures.",
            "",
        ]
        lines += dft_table(report["dft"], rows)
    return "\n".join([*lines, ""])


def roofline(peaks: dict, rows: list[dict]) -> list[str]:
    """What the machine does at most, and what of it the compressed point loop reaches."""
    lines = [
        f"- {threads} thread{'s' * (int(threads) > 1)}: matrix product "
        f"{peak['gflops']:.0f} GFLOP/s (float32), copy {peak['copy_GB_per_s']:.0f} GB/s: "
        f"memory would bind below {peak['gflops'] / peak['copy_GB_per_s']:.0f} operations a byte"
        for threads, peak in peaks.items()
    ]
    chosen = [row for row in rows if row["system"] == "32 H2O" and row["model"] == "compressed"]
    for row in chosen:
        intensity = row["flop_per_point"] / BYTES_PER_POINT
        lines.append(
            f"- compressed, 32 H2O, {row['threads']} thread{'s' * (row['threads'] > 1)}: "
            f"{row['flop_per_point']:.0f} operations and {BYTES_PER_POINT} bytes of memory a "
            f"point, {intensity:.0f} operations a byte; the arithmetic binds, and "
            f"{100 * row['of_peak']:.0f} % of its peak are reached"
        )
    return lines


def dft_table(times: list[dict], rows: list[dict]) -> list[str]:
    """pw.x beside the compressed model with two threads."""
    seconds = {
        row["system"]: row["seconds"]
        for row in rows
        if row["model"] == "compressed" and row["threads"] == 2
    }
    merged = [
        {**row, "model_s": seconds[row["system"]], "ratio": row["pw_x_s"] / seconds[row["system"]]}
        for row in times
        if row["system"] in seconds
    ]
    return markdown_table(["system", "pw_x_s", "model_s", "ratio"], merged)


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
