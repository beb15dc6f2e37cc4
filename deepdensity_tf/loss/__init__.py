"""Losses."""

from deepdensity_tf.loss.density import DensityLoss

__all__ = ["DensityLoss"]
