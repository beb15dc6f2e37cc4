"""Fitting nets: the contribution of an atom to the density around it."""

from deepdensity_tf.fit.base import FITTINGS, FittingContext
from deepdensity_tf.fit.expansion import Expansion
from deepdensity_tf.fit.exponential import Exponential
from deepdensity_tf.fit.pair import Pair

__all__ = ["FITTINGS", "Expansion", "Exponential", "FittingContext", "Pair"]
