"""The model: descriptor, fitting and baseline put together."""

from deepdensity_tf.model.density_model import Batch, DensityModel

__all__ = ["Batch", "DensityModel"]
