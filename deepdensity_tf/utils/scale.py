"""Features in units of their size, which is measured once on the data."""

from __future__ import annotations

from contextvars import ContextVar

import numpy as np
import tensorflow as tf

from deepdensity_tf.utils.nn import Initializer, degeneracy, norms_per_l, per_lm

# Features this much smaller than the largest of their kind keep their size: what is nearly zero in
# the data (a rare type, odd l in a perfect crystal) must not become large elsewhere.
_FLOOR = 0.1

_TAPE: ContextVar[MomentTape | None] = ContextVar("moment tape", default=None)


class MomentTape:
    """Takes down the mean squares of what goes into every `Scale` while it is open.

    Attributes
    ----------
    moments : dict
        For each Scale, in the order in which they were called: its mean squares (size,).
    """

    def __init__(self):
        self.moments: dict[Scale, tf.Tensor] = {}

    def __enter__(self) -> MomentTape:
        self._token = _TAPE.set(self)
        return self

    def __exit__(self, *_error) -> None:
        _TAPE.reset(self._token)


class Scale(tf.Module):
    """Divides features by their root mean square over a sample of the data."""

    def __init__(self, init: Initializer, size: int):
        super().__init__()
        self.scale = init.variable(np.ones(size), "scale", trainable=False)

    def fit(self, mean_square: np.ndarray) -> None:
        """Set the scale from mean squares (size,)."""
        least = _FLOOR * np.max(mean_square)
        self.scale.assign(
            1 / np.sqrt(np.maximum(mean_square, least)) if least > 0 else np.ones_like(mean_square)
        )

    def _observe(self, mean_square) -> None:
        tape = _TAPE.get()
        if tape is not None:
            tape.moments[self] = mean_square()


class ScaleScalars(Scale):
    """Of invariants (n, size)."""

    def __call__(self, scalars):
        self._observe(lambda: tf.reduce_mean(scalars**2, 0))
        return scalars * self.scale


class ScaleTensors(Scale):
    """Of equivariant features (nlm, n, m): one number for each l.

    What is far larger than in the data is bounded smoothly, each l by itself: the features of an
    atom in surroundings that no training held stay within what the networks know.

    Parameters
    ----------
    init : Initializer
        Source of the variable.
    lmax : int
        Highest angular momentum.
    bound : float
        Of the root mean square over the channels of an l, in units of that in the data.
    """

    def __init__(self, init: Initializer, lmax: int, bound: float):
        super().__init__(init, lmax + 1)
        self._lmax, self._bound = lmax, bound
        self._degeneracy = degeneracy(lmax)

    def __call__(self, features):
        self._observe(lambda: self._mean_square(features, [1, 2]))
        scaled = features * per_lm(self.scale, self._lmax)[:, None, None]
        excess = self._mean_square(scaled, 2) / self._bound**2
        return scaled * per_lm(tf.math.rsqrt(1 + excess), self._lmax)[:, :, None]

    def _mean_square(self, features, axis):
        mean = tf.reduce_mean(norms_per_l(features, self._lmax), axis)
        shape = [-1] + [1] * (len(mean.shape) - 1)
        return mean / tf.reshape(tf.constant(self._degeneracy, mean.dtype), shape)
