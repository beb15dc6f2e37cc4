"""A conversion of thousands of files, killed again and again, against one in one go.

    python benchmarks/scale/kills.py                     2000 files, 6 kills

Files are .npz densities of molecules on grids of 20^3 to 24^3 points, made once into
benchmarks/scale/run. `dd-tf convert --points 500 --jobs 2` is killed (SIGKILL, all its processes or
the first alone) when a random number of files is read, and once while the system is written; then
it is let run to its end. Says whether the bytes are those of `dd-tf convert --jobs 1` in one go,
and writes kills.json beside this script.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
RUN = HERE / "run" / "kills"
BOX = np.diag([5.0, 5.0, 5.0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    files = [write_file(number) for number in range(args.files)]
    rng = np.random.default_rng(args.seed)
    for old in ("whole.hdf5", "killed.hdf5"):
        (RUN / old).unlink(missing_ok=True)
        shutil.rmtree(RUN / f"{old}.parts", ignore_errors=True)
    if start(files, "whole.hdf5", 1).wait():
        sys.exit("the run in one go failed")
    kills = []
    moments = [*sorted(rng.choice(args.files, args.kills - 1, replace=False).tolist()), None]
    for number, moment in enumerate(moments):
        kills.append(run_and_kill(files, moment, group=number % 2 == 0))
        print(kills[-1], flush=True)
    last = start(files, "killed.hdf5", 2)
    if last.wait():
        sys.exit("the last run failed")
    digests = {
        name: hashlib.sha256((RUN / name).read_bytes()).hexdigest()
        for name in ("whole.hdf5", "killed.hdf5")
    }
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {
        "files": args.files,
        "kills": kills,
        "same": digests["whole.hdf5"] == digests["killed.hdf5"],
        "sha256": digests["killed.hdf5"],
        "bytes": (RUN / "killed.hdf5").stat().st_size,
        "left behind": sorted(p.name for p in RUN.glob("*killed.hdf5?*")),
        "cpu s": used.ru_utime + used.ru_stime,
    }
    print(json.dumps(result, indent=1))
    (HERE / "kills.json").write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(0 if result["same"] else 1)


def run_and_kill(files: list[str], moment: int | None, group: bool) -> dict:
    """Kill a run when so many files are read, or when it writes the system (None)."""
    process = start(files, "killed.hdf5", 2)
    parts = RUN / "killed.hdf5.parts"
    while process.poll() is None:
        if moment is None and any(RUN.glob(".killed.hdf5.unfinished-*/*")):
            break
        if moment is not None and read(parts) > moment:
            break
        time.sleep(0.002)
    else:
        sys.exit(f"ended with code {process.returncode} before it was to be killed at {moment}")
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    return {
        "at": "the system is written" if moment is None else f"{read(parts)} files",
        "killed": "all processes" if group else "the first",
    }


def read(parts: Path) -> int:
    """Files that are read."""
    return sum(name.endswith(".npz") for name in os.listdir(parts)) if parts.is_dir() else 0


def start(files: list[str], output: str, jobs: int) -> subprocess.Popen:
    """dd-tf convert."""
    call = [sys.executable, "-m", "deepdensity_tf", "convert", *files, "--points", "500"]
    return subprocess.Popen(
        [*call, "-j", str(jobs), "-o", output],
        cwd=RUN,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def write_file(number: int) -> str:
    """A molecule of 2 to 4 atoms on a grid of its own; the name of its file."""
    path = RUN / "in" / f"{number:05d}.npz"
    if path.exists():
        return f"in/{path.name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    symbols = ["O", "H", "H", "N"][: 2 + number % 3]
    coord = np.array([[2.0, 2, 2], [2.9, 2.2, 2], [1.5, 2.8, 2.1], [3, 3, 3.5]])[: len(symbols)]
    coord += rng.normal(0, 0.05, coord.shape)
    shape = (20, 20 + number % 2, 20 + number % 5)
    points = np.moveaxis(np.indices(shape), 0, -1) / shape @ BOX
    density = np.zeros(shape)
    for symbol, position in zip(symbols, coord, strict=True):
        square = np.sum((points - position) ** 2, -1)
        density += {"O": 6, "H": 1, "N": 5}[symbol] * np.exp(-square / 0.5) / (0.5 * np.pi) ** 1.5
    arrays = {"coord": coord, "box": BOX, "density": density, "symbols": symbols}
    part = path.with_name("unfinished.npz")
    np.savez(part, pbc=[False] * 3, **arrays)
    part.rename(path)
    return f"in/{path.name}"


if __name__ == "__main__":
    main()
