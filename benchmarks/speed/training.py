"""Where the time of a training step goes: drawing the batch, forward, backward and update.

    python benchmarks/speed/training.py benchmarks/accuracy/inputs/ethane.json --data DATA

DATA is the folder that the input calls `data`. Batches are drawn in a thread of their own while a
step runs: a run waits for data only where they take longer than the step. Prints a table and writes
training.json beside this script.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from deepdensity_tf.data.sampler import Sample
from deepdensity_tf.model.density_model import Batch
from deepdensity_tf.schema import complete_input, read_input
from deepdensity_tf.train.checkpoint import CheckpointFolder, TrainingState
from deepdensity_tf.train.trainer import Trainer
from deepdensity_tf.train.training_data import TrainingData
from deepdensity_tf.train.workers import find_workers

HERE = Path(__file__).resolve().parent
STEPS = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    rows = [measure(path.resolve(), args.data.resolve()) for path in args.inputs]
    (HERE / "training.json").write_text(json.dumps(rows, indent=1) + "\n")
    columns = list(rows[0])
    print(" ".join(f"{name:>16s}" for name in columns))
    for row in rows:
        print(" ".join(f"{_text(row[name]):>16s}" for name in columns))


def _text(value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def measure(path: Path, data: Path) -> dict:
    """Milliseconds a step of each part, and points a second of whole steps."""
    config = complete_input(read_input(path))
    config["training"]["numb_models"] = 1
    for section in ("training_data", "validation_data"):
        systems = config["training"][section]["systems"]
        systems = [systems] if isinstance(systems, str) else systems
        config["training"][section]["systems"] = [
            str(data / Path(system).relative_to("data")) for system in systems
        ]
    workers = find_workers()
    source = TrainingData(config, workers)
    state = TrainingState(config)
    trainer = Trainer(state, CheckpointFolder("unused", state), source, workers)
    trainer.initialise()
    trainer.trace()
    batches = [Sample(*map(tf.constant, source.batches(k))) for k in range(STEPS)]
    zero = tf.constant(0.0, tf.float64)
    first = tf.constant(0, tf.int64)
    steps = timed(lambda k: trainer._step_function(*batches[k], first, zero, zero))
    forward = timed(lambda k: trainer._predict_function(*Batch.of(batches[k])))
    drawing = timed(source.batches)
    npoints = sum(len(batch.point) for batch in batches) / STEPS
    return {
        "input": path.stem,
        "points_a_step": npoints,
        "draw_ms": 1e3 * drawing,
        "forward_ms": 1e3 * forward,
        "backward_ms": 1e3 * (steps - forward),
        "step_ms": 1e3 * steps,
        "waiting_%": 100 * max(0.0, drawing - steps) / max(drawing, steps),
        "points_per_s": npoints / max(steps, drawing),
    }


def timed(function) -> float:
    """Seconds a call, after one to warm up."""
    function(0)
    start = time.perf_counter()
    for k in range(STEPS):
        function(k)
    return (time.perf_counter() - start) / STEPS


if __name__ == "__main__":
    main()
