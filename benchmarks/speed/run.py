"""Speed of a frozen model on the full grid of a structure: points per second, memory.

    python benchmarks/speed/run.py --model frozen_model.pb --system DATA/w32 -o results.json

Each row is a process of its own, with 1 and with 2 threads; the time of one FFT of the same grid
stands beside it. Prints a table and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--system", required=True, nargs="+", help="systems with full grids")
    parser.add_argument("-o", "--output", type=Path, help="JSON file of the table")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.model, args.system[0])))
        return
    rows = [
        {"system": Path(system).name, "threads": threads, **run_child(args.model, system, threads)}
        for system in args.system
        for threads in (1, 2)
    ]
    columns = (
        "system",
        "atoms",
        "points",
        "threads",
        "seconds",
        "points_per_s",
        "fft_s",
        "peak_MB",
    )
    print(" ".join(f"{name:>12s}" for name in columns))
    for row in rows:
        print(" ".join(f"{_text(row[name]):>12s}" for name in columns))
    if args.output:
        args.output.write_text(json.dumps(rows, indent=1) + "\n")


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run_child(model: str, system: str, threads: int) -> dict:
    """Figures of one process with the given number of threads."""
    environment = {
        **os.environ,
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, __file__, "--child", "--model", model, "--system", system]
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return json.loads(done.stdout)


def measure(model_file: str, path: str) -> dict:
    """Best of three evaluations of the first frame's grid, after one to warm up."""
    from deepdensity_tf.data.system import DensitySystem
    from deepdensity_tf.infer.deep_density import DeepDensity

    model = DeepDensity(model_file)
    frame = DensitySystem(path, model.type_map).frame(0)

    def evaluate() -> np.ndarray:
        return model.eval_grid(frame.coord, frame.box, frame.atype, frame.grid_shape, pbc=frame.pbc)

    density = evaluate()
    seconds = best_of_three(evaluate)
    return {
        "atoms": len(frame.coord),
        "points": density.size,
        "seconds": seconds,
        "points_per_s": density.size / seconds,
        "fft_s": best_of_three(lambda: np.fft.fftn(density)),
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def best_of_three(function) -> float:
    """Shortest of three calls, s."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
