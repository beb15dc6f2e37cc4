"""Baselines: what is subtracted before the nets learn."""

from deepdensity_tf.baseline.atomic import BASELINES, Atomic, NoBaseline

__all__ = ["BASELINES", "Atomic", "NoBaseline"]
