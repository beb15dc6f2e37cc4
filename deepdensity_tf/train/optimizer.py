"""Adam with a running average of the weights."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class AveragedAdam(tf.Module):
    """Adam (Kingma and Ba, arXiv:1412.6980) and an exponential average of the weights.

    The average removes the noise of the last steps; it is what is validated and frozen. Its decay
    grows with the step, min(decay, (1 + step) / (10 + step)), so that the start is forgotten.

    Parameters
    ----------
    variables : Sequence of tf.Variable
        What is trained.
    ema_decay : float
        Decay of the average.
    """

    beta1, beta2, epsilon = 0.9, 0.995, 1e-8

    def __init__(self, variables: Sequence[tf.Variable], ema_decay: float):
        super().__init__()
        self._variables = list(variables)
        self._decay = ema_decay
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.first = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
        self.second = [tf.Variable(tf.zeros_like(v), trainable=False) for v in variables]
        self.average = [tf.Variable(v, trainable=False) for v in variables]

    def apply(self, gradients: Sequence[tf.Tensor | None], rate) -> None:
        """One step with learning rate `rate` (scalar float64)."""
        # Raw operations on handles: with several workers, each changes its own copy alike.
        tf.raw_ops.AssignAddVariableOp(resource=self.step.handle, value=tf.constant(1, tf.int64))
        step = tf.cast(
            tf.raw_ops.ReadVariableOp(resource=self.step.handle, dtype=tf.int64), tf.float64
        )
        decay = tf.minimum(tf.constant(self._decay, tf.float64), (1 + step) / (10 + step))
        slots = zip(self._variables, gradients, self.first, self.second, self.average, strict=True)
        for variable, gradient, first, second, average in slots:
            dtype = variable.dtype
            if gradient is None:
                continue
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=tf.cast(self.beta1**step, dtype),
                beta2_power=tf.cast(self.beta2**step, dtype),
                lr=tf.cast(rate, dtype),
                beta1=tf.cast(self.beta1, dtype),
                beta2=tf.cast(self.beta2, dtype),
                epsilon=tf.cast(self.epsilon, dtype),
                grad=gradient,
            )
            tf.raw_ops.AssignSubVariableOp(
                resource=average.handle, value=tf.cast(1 - decay, dtype) * (average - variable)
            )

    def swap_average(self) -> None:
        """Exchange the weights and their average."""
        for variable, average in zip(self._variables, self.average, strict=True):
            kept = tf.identity(variable)
            variable.assign(average)
            average.assign(kept)
