"""What a line of the learning curve says of the training."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepdensity_tf.infer.metrics import Errors
from deepdensity_tf.train.workers import Workers

# Summed over steps: their number and losses; over frames: their number and errors (percent).
_SIZE = 8


def window_variable() -> tf.Variable:
    """The sums of a window as a part of checkpoints; 0 for the errors of what is not learned."""
    return tf.Variable(np.zeros(_SIZE), dtype=tf.float64, trainable=False)


class Window:
    """Means over steps and frames of all workers since the line before, also across a restart.

    Parameters
    ----------
    kept : tf.Variable
        Sums at the last checkpoint, changed by `keep`.
    workers : Workers
        Each adds its own frames.
    """

    def __init__(self, kept: tf.Variable, workers: Workers):
        self._kept, self._workers = kept, workers
        self._before = kept.numpy()  # sums of all workers
        self._own = np.zeros_like(self._before)

    def add(self, loss: float, errors: Errors) -> None:
        """Add a step."""
        self._own += [1, loss, *error_sums(errors)]

    def means(self) -> dict[str, float]:
        """Loss and `mean_errors`; nan without a step. All workers must ask."""
        steps, loss, *rest = self._total()
        return {"loss": float(loss / steps) if steps else np.nan, **mean_errors(rest)}

    def keep(self) -> None:
        """Put the sums where checkpoints find them. All workers must ask."""
        self._before, self._own = self._total(), np.zeros_like(self._own)
        self._kept.assign(self._before)

    def clear(self) -> None:
        """Begin the next line."""
        self._before, self._own = np.zeros_like(self._own), np.zeros_like(self._own)

    def _total(self) -> np.ndarray:
        return self._before + self._workers.total(self._own)


def error_sums(errors: Errors) -> list[float]:
    """Number of frames, and sums over them of the errors, in the order of `mean_errors`."""
    names = ("nmae", "charge_error", "spin_nmae", "augmentation_error", "dipole_error")
    sums = [sum(frame.get(name) or 0.0 for frame in errors.frames) for name in names]
    return [len(errors.frames), *sums]


def mean_errors(sums) -> dict[str, float]:
    """Means over frames of such sums."""
    frames, *values = (float(x) for x in sums)
    names = ("nmae", "charge", "spin", "aug", "dipole")
    return {
        name: value / frames if frames else np.nan
        for name, value in zip(names, values, strict=True)
    }
