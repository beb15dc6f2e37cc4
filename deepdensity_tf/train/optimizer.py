"""Steps along orthogonalised gradients, with a running average of the weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from deepdensity_tf.utils.nn import is_beside_shared, is_matrix
from deepdensity_tf.utils.ops import orthogonal

# Root mean square of the change of a matrix, in units of the learning rate.
_MATRIX_STEP = 0.4
# Share of it for what types have beside what all share: they are taken for alike until the data say
# otherwise.
_BESIDE_SHARED_STEP = 0.3


class AveragedMuon(tf.Module):
    """Muon for matrices, Adam for the rest, and an exponential average of the weights.

    A matrix is moved along its momentum with all singular values made one (Muon: Jordan et al.
    2024; scaled as in Liu et al., arXiv:2502.16982), so that directions in which the gradient is
    small are learned as fast as the others, and decays by itself (decoupled, Loshchilov and
    Hutter, arXiv:1711.05101), so that what the data do not ask for is forgotten. Biases and vectors
    of types are moved by Adam (Kingma and Ba, arXiv:1412.6980).

    The average removes the noise of the last steps; it is what is validated and frozen. Its decay
    grows with the step, min(decay, (1 + step) / (10 + step)), so that the start is forgotten.

    Parameters
    ----------
    variables : Sequence of tf.Variable
        What is trained; kept as `trained`.
    ema_decay : float
        Decay of the average.
    max_norm : float
        Gradients whose norm, taken over all variables, is larger are scaled to it; 0: none.
    """

    momentum = 0.95
    beta1, beta2, epsilon = 0.9, 0.995, 1e-8

    def __init__(self, variables: Sequence[tf.Variable], ema_decay: float, max_norm: float):
        super().__init__()
        self.trained = list(variables)
        self._decay = ema_decay
        self._max_norm = max_norm
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.skipped = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._groups = _groups_of_one_shape(self.trained)
        self._single = [place for place, v in enumerate(variables) if not is_matrix(v)]
        self.first = [_zeros(variables[place], variables[place].shape) for place in self._single]
        self.second = [_zeros(variables[place], variables[place].shape) for place in self._single]
        self.momenta = []
        for group in self._groups:
            count = sum(_count(variables[place]) for place in group)
            one = variables[group[0]]
            self.momenta.append(_zeros(one, [count, *one.shape[-2:]]))
        self.average = [tf.Variable(v, trainable=False) for v in variables]

    def apply(self, gradients: Sequence[tf.Tensor | None], rate, decay, usable) -> tf.Tensor:
        """One step with learning rate `rate`, which takes a share `decay` of the matrices (scalar
        float64).

        Where `usable` (scalar bool) is false or the norm of the gradients is no number, the step
        counts but changes nothing else.

        Returns
        -------
        tf.Tensor
            Whether the weights were changed, scalar bool.
        """
        # One number tells whether all are finite; it costs less than a look at the weights.
        norm = tf.cast(tf.linalg.global_norm(gradients), tf.float64)
        usable = tf.logical_and(usable, tf.math.is_finite(norm))
        step, skipped = self._count(usable)

        def update():
            factor = tf.constant(1, tf.float64)
            if self._max_norm:
                factor = tf.minimum(factor, self._max_norm / tf.maximum(norm, 1e-300))
            # One precision for all: made once, not for each variable.
            dtype = self.trained[0].dtype
            factor, pace, share = (tf.cast(each, dtype) for each in (factor, rate, decay))
            scaled = [
                tf.zeros_like(variable) if gradient is None else gradient * factor
                for variable, gradient in zip(self.trained, gradients, strict=True)
            ]
            self._adam(scaled, pace, step - skipped)
            for momentum, group in zip(self.momenta, self._groups, strict=True):
                self._muon(momentum, group, [scaled[place] for place in group], pace, share)
            self._follow(step)
            return usable

        return tf.cond(usable, update, lambda: usable)

    # Raw operations on handles: with several workers, each changes its own copy alike.
    def _count(self, usable) -> tuple[tf.Tensor, tf.Tensor]:
        """Steps done with this one, and those among them that changed nothing."""
        counts = []
        for variable, value in ((self.step, 1), (self.skipped, tf.logical_not(usable))):
            tf.raw_ops.AssignAddVariableOp(resource=variable.handle, value=tf.cast(value, tf.int64))
            counts.append(tf.cast(_read(variable), tf.float64))
        return counts[0], counts[1]

    def _adam(self, gradients: Sequence[tf.Tensor], rate, step) -> None:
        dtype = rate.dtype
        common = {
            "beta1_power": tf.cast(self.beta1**step, dtype),
            "beta2_power": tf.cast(self.beta2**step, dtype),
            "lr": rate,
            "beta1": tf.constant(self.beta1, dtype),
            "beta2": tf.constant(self.beta2, dtype),
            "epsilon": tf.constant(self.epsilon, dtype),
        }
        for place, first, second in zip(self._single, self.first, self.second, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=self.trained[place].handle,
                m=first.handle,
                v=second.handle,
                grad=gradients[place],
                **common,
            )

    def _muon(self, momentum, group: Sequence[int], gradients: Sequence, rate, decay) -> None:
        """A step of all matrices of one shape: a product each would cost more."""
        variables = [self.trained[place] for place in group]
        shape = variables[0].shape[-2:]
        gradient = _joined(gradients, shape)
        change = (1 - self.momentum) * (gradient - _read(momentum))
        tf.raw_ops.AssignAddVariableOp(resource=momentum.handle, value=change)
        ahead = self.momentum * _read(momentum) + (1 - self.momentum) * gradient
        # Nothing is known of a type that the batch lacks: what is left of its momentum would be
        # blown up to a full step, and what it learned would decay.
        present = tf.reduce_any(gradient != 0, axis=[1, 2], keepdims=True)
        # An orthogonal matrix has the root mean square 1 / sqrt(its longer side).
        sizes = _MATRIX_STEP * max(shape) ** 0.5 * _shares(variables)
        steps = sizes * rate * orthogonal(tf.where(present, ahead, tf.zeros_like(ahead)))
        shrink = tf.cast(present, decay.dtype) * decay
        steps += shrink * _joined([_read(variable) for variable in variables], shape)
        parts = tf.split(steps, [_count(variable) for variable in variables])
        for variable, step in zip(variables, parts, strict=True):
            tf.raw_ops.AssignSubVariableOp(
                resource=variable.handle, value=tf.reshape(step, variable.shape)
            )

    def _follow(self, step) -> None:
        """The average goes after the weights."""
        decay = tf.minimum(tf.constant(self._decay, tf.float64), (1 + step) / (10 + step))
        share = tf.cast(1 - decay, self.trained[0].dtype)
        for average, variable in zip(self.average, self.trained, strict=True):
            tf.raw_ops.AssignSubVariableOp(
                resource=average.handle, value=share * (_read(average) - _read(variable))
            )


@contextmanager
def using(variables: Sequence[tf.Variable], weights: Sequence[tf.Variable]) -> Iterator[None]:
    """Within it, the variables are the weights given, such as their average."""
    kept = [tf.identity(variable) for variable in variables]
    try:
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


class BestWeights(tf.Module):
    """The weights of the least error so far; a part of every checkpoint, so that restarts agree.

    Parameters
    ----------
    variables : Sequence of tf.Variable
        Those of the optimizer's average.
    """

    def __init__(self, variables: Sequence[tf.Variable]):
        super().__init__()
        self.weights = [tf.Variable(v, trainable=False) for v in variables]
        self.error = tf.Variable(np.inf, dtype=tf.float64, trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def known(self) -> bool:
        """Whether there are such weights."""
        return bool(np.isfinite(self.error.numpy()))

    def forget(self) -> None:
        """Begin anew."""
        self.error.assign(np.inf)

    def consider(self, error: float, weights: Sequence[tf.Variable], step: int) -> bool:
        """Keep `weights` if their error is less than that of those kept; whether it was."""
        if not error < self.error.numpy():
            return False
        self.error.assign(error)
        self.step.assign(step)
        for kept, weight in zip(self.weights, weights, strict=True):
            kept.assign(weight)
        return True


def _groups_of_one_shape(variables: Sequence[tf.Variable]) -> list[list[int]]:
    """Places of the matrices, those of one shape together."""
    groups = defaultdict(list)
    for place, variable in enumerate(variables):
        if is_matrix(variable):
            groups[tuple(variable.shape[-2:])].append(place)
    return list(groups.values())


def _shares(variables: Sequence[tf.Variable]) -> np.ndarray:
    """Of the usual step, for each matrix of all variables: (count, 1, 1)."""
    shares = [_BESIDE_SHARED_STEP if is_beside_shared(v) else 1.0 for v in variables]
    counts = [_count(variable) for variable in variables]
    return np.repeat(shares, counts)[:, None, None].astype(variables[0].dtype.as_numpy_dtype)


def _joined(matrices: Sequence[tf.Tensor], shape) -> tf.Tensor:
    """Stacks of matrices of one shape as one stack."""
    return tf.concat([tf.reshape(each, [-1, *shape]) for each in matrices], 0)


def _count(variable: tf.Variable) -> int:
    """Matrices in a variable (..., nin, nout)."""
    return int(np.prod(variable.shape[:-2]))


def _zeros(like: tf.Variable, shape) -> tf.Variable:
    return tf.Variable(tf.zeros(shape, like.dtype), trainable=False)


def _read(variable: tf.Variable) -> tf.Tensor:
    return tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)
