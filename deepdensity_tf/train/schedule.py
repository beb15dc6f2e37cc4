"""The learning rate over a run."""

from __future__ import annotations

import tensorflow as tf

# The warm-up is never longer than this share of the run, which time may end before its steps.
_LONGEST_WARM_UP = 0.05


class LearningRate:
    """A linear warm-up times an exponential decay.

    Parameters
    ----------
    config : dict
        The `learning_rate` section of the input, completed.
    """

    def __init__(self, config: dict):
        self._start, self._stop = config["start_lr"], config["stop_lr"]
        self._warm_up = config["warmup_steps"]

    def __call__(self, step, fraction) -> tf.Tensor:
        """The rate of a step.

        Parameters
        ----------
        step : int or tf.Tensor
            Steps done before it.
        fraction : float or tf.Tensor
            Share of the run that is done, by steps or time.
        """
        fraction = tf.minimum(tf.convert_to_tensor(fraction, tf.float64), 1.0)
        rate = self._start * (self._stop / self._start) ** fraction
        if not self._warm_up:
            return rate
        by_steps = (tf.cast(step, tf.float64) + 1) / self._warm_up
        return rate * tf.minimum(tf.maximum(by_steps, fraction / _LONGEST_WARM_UP), 1.0)
