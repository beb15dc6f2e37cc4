"""Density files of other codes, one reader a module."""

from deepdensity_tf.data.formats.base import Volumetric
from deepdensity_tf.data.formats.registry import FORMATS, read_density

__all__ = ["FORMATS", "Volumetric", "read_density"]
