"""Learning rate and weight decay over a run."""

from __future__ import annotations

import math

import tensorflow as tf

# The warm-up is never longer than this share of the run, which time may end before its steps.
_LONGEST_WARM_UP = 0.05

# A whole run leaves exp(-_FORGOTTEN) of what the data do not ask for (docs/performance.md).
_FORGOTTEN = 1.0


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

    @property
    def mean(self) -> float:
        """Of a run, without warm-up."""
        if self._start == self._stop:
            return self._start
        return (self._start - self._stop) / math.log(self._start / self._stop)


class WeightDecay:
    """What a step takes from the matrices, in proportion to its learning rate.

    Parameters
    ----------
    given : float or "auto"
        `training.weight_decay`, in units of the learning rate. "auto": as much as makes the shares
        of a run, whatever its length, add up to the same.
    mean_rate : float
        Of the run (`LearningRate.mean`).
    """

    def __init__(self, given: float | str, mean_rate: float):
        self._given, self._mean_rate = given, mean_rate

    def __call__(self, rate, step, fraction) -> tf.Tensor:
        """The share that a step takes, from its rate and what that was made of."""
        if self._given != "auto":
            return self._given * rate
        steps = tf.maximum(tf.cast(step, tf.float64), 1.0)
        each = tf.convert_to_tensor(fraction, tf.float64) / steps  # of the run, so far
        return -tf.math.expm1(-_FORGOTTEN * each * rate / self._mean_rate)
