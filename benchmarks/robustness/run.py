"""Limits, memory and time of the native code where it once failed.

    python benchmarks/robustness/run.py [WORD ...]

Each row is measured in a process of its own; prints a table and writes results.json beside it.
RESULTS.md holds the figures of before beside those of after.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent

_COMMON = """
import json, os, resource, subprocess, sys, tempfile, time
from pathlib import Path
import numpy as np, tensorflow as tf
from deepdensity_tf.utils import ops
from deepdensity_tf.model.density_model import Batch
ops.library()
rng = np.random.default_rng(0)
NONE = np.zeros((1, 9))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def best(call, n=3):
    times = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)

def frozen(**changes):
    from deepdensity_tf.model import DensityModel
    from deepdensity_tf.model.frozen import freeze
    from deepdensity_tf.schema import complete_input
    from tests.conftest import SMALL_INPUT
    config = complete_input({**SMALL_INPUT, "model": {**SMALL_INPUT["model"], **changes}})
    model = DensityModel(config["model"], seed=3)
    model.scale.assign(np.full(model.ndensity, 0.2))
    path = Path(tempfile.mkdtemp()) / "frozen_model.pb"
    freeze(model, config, path)
    return path

def in_c(path):
    from tests.capi.library import Model, open_library
    model = Model(open_library(), path)
    assert model.status == 0, model.error()
    return model

MOLECULE = np.array([[3.0, 3.0, 3.0], [4.0, 3.2, 3.0], [2.6, 3.9, 3.3]])

def beyond_out(shape):
    from tests.capi.library import Structure
    box = np.diag([200.0] * 3)
    model, atoms = in_c(frozen()), Structure(MOLECULE, [0, 1, 1], box)
    model.eval_grid(atoms, (10, 10, 10), box)
    before = peak()
    status, out = model.eval_grid(atoms, shape, box)
    assert status == 0, model.error()
    print(peak() - before - out.nbytes / 2**20)
"""

# Name, unit, and what prints the figure.
ROWS = {
    "2 channels beyond 2048: largest relative error": """
        n = 2051
        coef = np.ones((1, n, 14, 1), "float32") * np.arange(1, n + 1)[:, None, None]
        points = rng.uniform(0, 1, (8200, 3))
        batch = Batch(np.full((1, 3), 0.5), [0, 1], None, NONE, points, [0, 8200])
        found = ops.density(batch, coef.astype("float32"), np.array([3.0, 0.3])).numpy()
        print(np.abs(found / np.arange(1, n + 1) - 1).max())
    """,
    "4, 5 a part of a grid with 2e5 atoms, empty (ms)": """
        coord, box = rng.uniform(0, 126, (200000, 3)), np.diag([126.0] * 2 + [400.0])
        coef = tf.zeros((200000, 1, 14, 1), tf.float32)
        part = [0, 0, 3000, 10, 10, 3010]
        call = lambda: ops.density_on_grid(
            [1200, 1200, 4000], part, box.ravel(), coord, box.reshape(1, 9), coef,
            np.array([3.0, 0.3]))
        call()
        print(1000 * best(call, 5))
    """,
    "5 largest part of 1x4000x4000, of 2000^3 (million points)": """
        box = np.diag([200.0] * 3)
        coord = rng.uniform(0, 9, (20, 3))
        sizes = []
        for shape in ([1, 4000, 4000], [2000] * 3):
            parts = ops.grid_parts(shape, box.ravel(), coord, box.reshape(1, 9), 4.0, 2**20).numpy()
            sizes.append(np.prod(np.int64(parts[:, 3:] - parts[:, :3]), axis=1).max() / 1e6)
        print(max(sizes))
    """,
    "4 DD_Eval of 3e6 points, 3 atoms in a box of 100 Å (s)": """
        from tests.capi.library import Structure
        box = np.diag([100.0] * 3)
        model, atoms = in_c(frozen()), Structure(MOLECULE, [0, 1, 1], box)
        points = rng.uniform(0, 100, (3 * 10**6, 3))
        out = np.zeros(len(points))
        arrays = (len(points), points.ctypes.data, out.ctypes.data)
        print(best(lambda: model.lib.DD_Eval(model.handle, 0, atoms, *arrays), 5))
    """,
    "5 C library: memory beyond out, 1x4000x4000 (MB)": "beyond_out((1, 4000, 4000))",
    "5 C library: memory beyond out, 1000^3 in the box of the 2000^3 (MB)": """
        beyond_out((1000,) * 3)
    """,
    "8 memory kept after 30 calls on 2e6 pairs (MB)": """
        def call():
            n = 2 * 10**6
            index = tf.zeros(n, tf.int32)
            ops.expansion(tf.zeros((n, 3), tf.float64), index, index, tf.zeros((1, 1, 4, 1)),
                          np.array([3.0, 1.0]), 1)
        tf.zeros(3)
        resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
        before = resident()
        for _ in range(30):
            call()
        print(resident() - before)
    """,
    "9 pair model: memory for a droplet in vacuum over that for a liquid": """
        from tests.infer.test_memory import PAIR, SCRIPT
        code = __import__("textwrap").dedent(SCRIPT)
        done = subprocess.run([sys.executable, "-c", code, str(frozen(**PAIR))], text=True,
                              capture_output=True, check=True)
        plan, droplet = map(float, done.stdout.split())
        print(droplet / plan)
    """,
    "10 peak memory of a list of 18 million pairs (bytes a pair)": """
        coord = rng.uniform(0, 60, (21600, 3))
        points = rng.uniform(0, 60, (200000, 3))
        splits = [0, 21600]
        before = peak()
        pairs = ops.neighbor_list(points, [0, 200000], coord, splits, NONE, 6.0)
        print((peak() - before) * 2**20 / len(pairs[0]))
    """,
    "12 79507 atoms, one far: search (s)": """
        coord = rng.uniform(0, 95, (79507, 3))
        coord[0] = 1e7
        ends = [0, 79507]
        print(best(lambda: ops.neighbor_list(coord, ends, coord, ends, NONE, 3.0, True)))
    """,
    "12 the same without the far one (s)": """
        coord = rng.uniform(0, 95, (79507, 3))
        ends = [0, 79507]
        print(best(lambda: ops.neighbor_list(coord, ends, coord, ends, NONE, 3.0, True)))
    """,
    "13 memory for empty coef of 2^20 splines (MB)": """
        batch = Batch(np.zeros((0, 3)), [0, 0], None, NONE, rng.uniform(0, 1, (100, 3)), [0, 100])
        before = peak()
        try:
            ops.density(batch, tf.zeros((0, 1, 2**20, 1)), np.array([3.0, 0.3]))
        except tf.errors.InvalidArgumentError:
            pass
        print(peak() - before)
    """,
    "B validation: memory for 1000 frames beyond that for 50 (MB)": """
        from tests.conftest import SMALL_INPUT, write_small_system
        def peak_of(nframes):
            folder = Path(tempfile.mkdtemp())
            write_small_system(folder / "data")
            write_small_system(folder / "valid", nframes=nframes, seed=1)
            run = {**SMALL_INPUT["training"], "numb_steps": 1, "save_freq": 1, "disp_freq": 1}
            run["validation_data"] = {"systems": "valid", "batch_size": 0}
            (folder / "input.json").write_text(json.dumps({**SMALL_INPUT, "training": run}))
            code = ("import resource, sys; from deepdensity_tf.main import main; "
                    "assert main(['train', 'input.json']) == 0; "
                    "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)")
            done = subprocess.run([sys.executable, "-c", code], cwd=folder, text=True,
                                  capture_output=True, check=True)
            return float(done.stdout.split()[-1])
        few = peak_of(50)
        print(peak_of(1000) - few)
    """,
    "14 exported symbols that are not ours": """
        import subprocess
        text = subprocess.run(["nm", "-D", "--defined-only", str(ops.LIBRARY)], text=True,
                              capture_output=True).stdout
        print(sum(not line.split()[-1].startswith("deepdensity_") for line in text.splitlines()))
    """,
}


def measure(script: str) -> float:
    """The figure that a process of its own prints."""
    code = textwrap.dedent(_COMMON) + textwrap.dedent(script)
    path = os.pathsep.join([str(HERE.parents[1]), *os.environ.get("PYTHONPATH", "").split()])
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure all rows, or those whose names hold a word of the command line."""
    results = {}
    chosen = {n: s for n, s in ROWS.items() if any(word in n for word in sys.argv[1:] or [""])}
    for name, script in chosen.items():
        results[name] = measure(script)
        print(f"{results[name]:12.4g}  {name}", flush=True)
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
