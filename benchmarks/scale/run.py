"""Time and memory to the first step against structures and elements; compression against elements.

    python benchmarks/scale/run.py                       100 to 10 000 structures, 2 to 94 elements
    python benchmarks/scale/run.py --full                also 100 000 structures, 20 000 folders
    python benchmarks/scale/run.py --structures 100 --elements 2 10

The structures are molecules of 3 atoms with 64 loose points, made once into benchmarks/scale/run as
one mixed system, as HDF5 and as folders. Each row is `dd-tf train` of one step in a process of its
own with at most 256 files open, once without and once with the index of a run before; for the
elements also a run of more steps, `dd-tf freeze` and `dd-tf compress`. All on one thread. Memory is
the peak of the process; seconds are those of the clock and, as far as they say cpu, of the
processor, which on a machine with other work are the truer ones. Prints tables, writes
results.json and results.png beside this script after each row; rows that are there already and not
measured again stay.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import h5py
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from ase.data import chemical_symbols

HERE = Path(__file__).resolve().parent
RUN = HERE / "run"
LAYOUTS = ("mixed", "hdf5", "folders")
MOST_FOLDERS = 20_000
THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
NATOMS, NPOINTS, OPEN_FILES, STEPS = 3, 64, 256, 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--structures", nargs="*", type=int, default=[100, 1000, 10_000])
    parser.add_argument("--elements", nargs="*", type=int, default=[2, 10, 30, 94])
    parser.add_argument("--full", action="store_true", help="also 100 000 structures")
    args = parser.parse_args()
    counts = [*args.structures, *([100_000] if args.full else [])]
    RUN.mkdir(exist_ok=True)
    for number, (layout, count) in enumerate(itertools.product(LAYOUTS, counts)):
        report("structures", structures_row(layout, count), number == 0)
    for number, count in enumerate(args.elements):
        report("elements", elements_row(count), number == 0)


def report(table: str, row: dict, first: bool) -> None:
    """Print a row of a table, under a head if it is the first, and keep it."""
    if first:
        print("\n| " + " | ".join(row) + " |\n" + "|---" * len(row) + "|")
    texts = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()]
    print("| " + " | ".join(texts) + " |", flush=True)
    results = HERE / "results.json"
    rows = {"structures": [], "elements": []}
    if results.exists():
        rows = json.loads(results.read_text())
    others = [other for other in rows[table] if place(other) != place(row)]
    rows[table] = sorted([*others, row], key=place)
    results.write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows)


def place(row: dict) -> tuple[str, int]:
    """What a row is about."""
    return row.get("layout", ""), row.get("structures", row.get("elements"))


class Usage(NamedTuple):
    """What a process took."""

    clock: float  # s
    cpu: float  # s
    memory: float  # MB, the peak


def structures_row(layout: str, count: int) -> dict:
    """The first step on so many structures of 10 elements, without and with an index."""
    count = min(count, MOST_FOLDERS) if layout == "folders" else count
    data = write_data(layout, count, 10)
    forget(data)
    first, again = train(data, 10, 1), train(data, 10, 1)
    return {
        "layout": layout,
        "structures": count,
        "first s": first.clock,
        "first cpu s": first.cpu,
        "second s": again.clock,
        "second cpu s": again.cpu,
        "MB": max(first.memory, again.memory),
    }


def elements_row(count: int) -> dict:
    """A type map of so many elements, data of at most 30 of them."""
    data = write_data("mixed", 100, min(count, 30))
    forget(data)
    first, longer = train(data, count, 1), train(data, count, 1 + STEPS)
    dd_tf("freeze", "-c", "model", "-o", "frozen.pb")
    compress = dd_tf("compress", "-i", "frozen.pb", "-o", "compressed.pb")
    return {
        "elements": count,
        "first s": first.clock,
        "first cpu s": first.cpu,
        "MB": longer.memory,
        "step cpu ms": 1e3 * (longer.cpu - first.cpu) / STEPS,
        "compress s": compress.clock,
        "compress cpu s": compress.cpu,
        "compress MB": compress.memory,
        "file MB": (RUN / "compressed.pb").stat().st_size / 1e6,
    }


def train(data: Path, nelements: int, steps: int) -> Usage:
    """A training from nothing."""
    config = {
        "model": {
            "type_map": chemical_symbols[1 : nelements + 1],
            "rcut_point": 3.0,
            "descriptor": {"rcut": 4.0},
        },
        "training": {
            "training_data": {"systems": str(data), "batch_size": 4, "numb_points": NPOINTS},
            "numb_steps": steps,
            "disp_freq": 1000,
            "save_freq": 1000,
            "save_ckpt": "model",
        },
    }
    shutil.rmtree(RUN / "model", ignore_errors=True)
    (RUN / "input.json").write_text(json.dumps(config))
    return dd_tf("train", "input.json")


def dd_tf(*arguments: str) -> Usage:
    """A command."""

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))

    start = time.perf_counter()
    with open(RUN / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deepdensity_tf", *arguments],
            cwd=RUN,
            stdout=log,
            stderr=log,
            env={**os.environ, **{name: "1" for name in THREADS}},
            preexec_fn=few_files,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"dd-tf {' '.join(arguments)}: failed\n{(RUN / 'log').read_text()}")
    return Usage(
        time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    )


def forget(data: Path) -> None:
    """Remove the index that a run before has left."""
    beside = f"{data}/" if data.is_dir() else str(data)
    Path(f"{beside}.deepdensity_index.json").unlink(missing_ok=True)


def write_data(layout: str, count: int, nelements: int) -> Path:
    """The same random structures in any layout, made once."""
    path = RUN / f"{layout}_{count}_{nelements}{'.hdf5' if layout == 'hdf5' else ''}"
    if path.exists():
        return path
    part = path.with_name("unfinished")
    if part.is_dir():
        shutil.rmtree(part)
    part.unlink(missing_ok=True)
    rng = np.random.default_rng(count)
    types = (np.arange(count)[:, None] + np.arange(NATOMS) * 7) % nelements
    names = chemical_symbols[1 : nelements + 1]
    arrays = random_arrays(rng, types)
    if layout == "mixed":
        write_folder(part, names, np.zeros(NATOMS, int), arrays | {"real_atom_types": types})
    elif layout == "folders":
        for k in range(count):
            rows = {name: array[k : k + 1] for name, array in arrays.items()}
            write_folder(part / f"{k // 1000:03d}" / f"{k:06d}", names, types[k], rows)
    else:
        write_hdf5(part, names, arrays | {"real_atom_types": types})
    part.rename(path)
    return path


def random_arrays(rng: np.random.Generator, types: np.ndarray) -> dict[str, np.ndarray]:
    """Bent molecules in a box of 6 Å; each atom a Gaussian of 1 to 6 electrons."""
    count = len(types)
    rest = np.array([[3.0, 3.0, 3.0], [4.2, 3.2, 3.0], [2.5, 4.1, 3.3]])
    coord = rest + rng.normal(0, 0.1, (count, NATOMS, 3))
    grid = rng.uniform(0, 6, (count, NPOINTS, 3))
    density = np.zeros((count, NPOINTS))
    for atom in range(NATOMS):
        square = np.sum((grid - coord[:, atom, None]) ** 2, axis=-1)
        density += (1 + types[:, atom, None] % 6) * np.exp(-square / 0.6) / (0.6 * np.pi) ** 1.5
    return {
        "coord": coord.reshape(count, -1),
        "box": np.tile(6 * np.eye(3).ravel(), (count, 1)),
        "grid": grid,
        "density": density,
        "weight": np.full((count, NPOINTS), 1 / NPOINTS),
        "electrons": (1.0 + types % 6).sum(1),
    }


def write_folder(folder: Path, names: list[str], types: np.ndarray, arrays: dict) -> None:
    (folder / "set.000").mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / "set.000" / f"{name}.npy", array)
    (folder / "type.raw").write_text("\n".join(map(str, types)) + "\n")
    (folder / "type_map.raw").write_text("\n".join(names) + "\n")
    (folder / "nopbc").touch()


def write_hdf5(path: Path, names: list[str], arrays: dict) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("all")
        group["type.raw"] = np.zeros(NATOMS, int)
        group["type_map.raw"] = np.array(names, dtype="S")
        group["nopbc"] = True
        for name, array in arrays.items():
            group[f"set.000/{name}.npy"] = array


def draw(rows: dict[str, list[dict]]) -> None:
    """Time and memory against structures, and against elements."""
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
    structures, elements = rows["structures"], rows["elements"]
    for layout in LAYOUTS:
        chosen = [row for row in structures if row["layout"] == layout]
        counts = [row["structures"] for row in chosen]
        (line,) = axes[0, 0].plot(counts, [r["first cpu s"] for r in chosen], "o-", label=layout)
        color = line.get_color()
        axes[0, 0].plot(counts, [r["second cpu s"] for r in chosen], "x--", color=color)
        axes[0, 1].plot(counts, [r["MB"] for r in chosen], "o-", label=layout)
    axes[0, 0].plot([], [], "x--", color="gray", label="second start")
    axes[0, 0].set(xlabel="structures", xscale="log", ylabel="to the first step (s of processor)")
    axes[0, 1].set(xlabel="structures", xscale="log", ylabel="peak memory (MB)")
    counts = [row["elements"] for row in elements]
    axes[1, 0].plot(counts, [row["step cpu ms"] for row in elements], "o-", label="step (ms)")
    axes[1, 0].plot(counts, [row["compress cpu s"] for row in elements], "o-", label="compress (s)")
    axes[1, 0].set(xlabel="elements of the type map", ylabel="of processor")
    for key, label in (("MB", "training"), ("compress MB", "compress")):
        axes[1, 1].plot(counts, [row[key] for row in elements], "o-", label=label)
    axes[1, 1].set(xlabel="elements of the type map", ylabel="peak memory (MB)")
    for axis in axes.flat:
        axis.set_ylim(bottom=0)
        axis.legend()
    figure.savefig(HERE / "results.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
