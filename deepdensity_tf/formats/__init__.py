"""Density files: one module a format reads and writes it; all others work through this package."""

from deepdensity_tf.formats import cube, gpaw, npz, qe, vasp, xsf  # noqa: F401 (they register)
from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.formats.cube import HARTREE
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.files import (
    FileOptions,
    file_format,
    read_density,
    write_potential,
    write_volumetric,
)
from deepdensity_tf.formats.grid import Grid, box_around, fft_shape
from deepdensity_tf.formats.registry import FORMATS, Format

__all__ = [
    "BOHR",
    "FORMATS",
    "HARTREE",
    "FileOptions",
    "Format",
    "Grid",
    "GridField",
    "box_around",
    "fft_shape",
    "file_format",
    "read_density",
    "write_potential",
    "write_volumetric",
]
