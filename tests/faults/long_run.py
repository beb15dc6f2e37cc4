"""Long runs with flat memory: python tests/faults/long_run.py --steps 100000 --predictions 10000.

Trains a tiny model and predicts with it again and again; prints the resident memory along the way.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.conftest import write_small_system  # noqa: E402

# Growth from the first tenth to the end that allocators cause by themselves.
ALLOWED = 0.1

_INPUT = {
    "model": {
        "type_map": ["C", "H"],
        "rcut_point": 2.0,
        "nspline": 8,
        "descriptor": {"type": "se_e2_a", "rcut": 2.5, "neuron": [4], "axis_neuron": 2},
        "fitting_net": {"neuron": [4], "nradial": 4},
    },
    "training": {"training_data": {"systems": "data", "numb_points": 20}},
}


def memory() -> float:
    """Resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def train(steps: int) -> list[float]:
    """Train in the present folder; memory at each of ten checkpoints."""
    from deepdensity_tf.main import main
    from deepdensity_tf.train.checkpoint import CheckpointFolder

    write_small_system(Path("data"))
    settings = {"numb_steps": steps, "disp_freq": steps // 10, "save_freq": steps // 10}
    data = {**_INPUT, "training": {**_INPUT["training"], **settings}}
    Path("input.json").write_text(json.dumps(data))
    seen: list[float] = []
    save = CheckpointFolder.save

    def observed(self) -> None:
        save(self)
        seen.append(memory())

    CheckpointFolder.save = observed
    try:
        if main(["-q", "train", "input.json"]) or main(["-q", "freeze"]):
            raise RuntimeError("the training failed")
    finally:
        CheckpointFolder.save = save
    return seen


def predict(count: int) -> list[float]:
    """Predict on small grids with the model of the present folder; memory at ten moments."""
    import numpy as np

    from deepdensity_tf.infer.deep_density import DeepDensity

    model, rng, seen = DeepDensity("frozen_model.pb"), np.random.default_rng(0), []
    for number in range(1, count + 1):
        coord = rng.normal(0, 1, (int(rng.integers(2, 8)), 3))
        atype = rng.integers(0, 2, len(coord))
        shape = rng.integers(2, 7, 3)
        assert np.isfinite(model.eval_grid(coord, 8 * np.eye(3), atype, shape, pbc=False)).all()
        if number % max(1, count // 10) == 0:
            seen.append(memory())
    return seen


def growth(seen: list[float]) -> float:
    """From the first tenth to the end, as a share."""
    return seen[-1] / seen[0] - 1


def main() -> int:
    """Both runs; exit code 1 if memory grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--predictions", type=int, default=10_000)
    args = parser.parse_args()
    grown = []
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for name, run, count in (
            ("steps", train, args.steps),
            ("predictions", predict, args.predictions),
        ):
            begin = time.monotonic()
            seen = run(count)
            grown.append(growth(seen))
            print(
                f"{count} {name} in {time.monotonic() - begin:.0f} s: "
                f"{' '.join(f'{mb:.0f}' for mb in seen)} MB, {100 * grown[-1]:+.1f} %",
                flush=True,
            )
        print(f"learning curve: {Path('lcurve.out').stat().st_size} bytes")
    return int(max(grown) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
