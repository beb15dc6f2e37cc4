"""GPAW's .gpw files, without GPAW."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from deepdensity_tf.formats.base import first_line
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.utils.deferred import ase_io
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)


def _read(path: Path) -> list[GridField]:
    """Read the pseudo density of the coarse grid, stored in electrons/Å^3.

    It is smooth inside the augmentation spheres: it integrates to the number of valence electrons
    only up to the compensation charges. Grids of real-space and LCAO calculations leave out the
    boundary plane along directions that are not periodic; it is put back as zeros. The
    magnetisation of a non-collinear calculation is left out.

    Raises
    ------
    InputError
        Not a .gpw file, or one without density.
    """
    ase_io()
    import ase.io.ulm
    from ase.io.trajectory import read_atoms

    try:
        with ase.io.ulm.open(path) as reader:
            atoms = read_atoms(reader.atoms, _try_except=False)
            channels = np.asarray(reader.density.density, dtype=np.float64)
            pbc = atoms.pbc if _in_real_space(reader) else (True, True, True)
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        raise InputError(f"{path}: not a .gpw file with a density ({first_line(error)})") from None
    if channels.ndim != 4 or len(channels) not in (1, 2, 4) or not channels.size:
        raise InputError(
            f"{path}: density has shape {channels.shape}, expected (1, 2 or 4, nx, ny, nz)"
        )
    channels = np.pad(channels, [(0, 0)] + [(0 if periodic else 1, 0) for periodic in pbc])
    log.info("%s: the density is GPAW's pseudo density, smooth near the nuclei", path)
    if len(channels) == 4:
        log.warning("%s: non-collinear magnetisation is left out", path)
        return [GridField(atoms, channels[0], pseudo=True)]
    spin = channels[0] - channels[1] if len(channels) == 2 else None
    return [GridField(atoms, channels.sum(0), spin, pseudo=True)]


def _in_real_space(reader) -> bool:
    """Grids that serve Fourier transforms are periodic, whatever the atoms are."""
    parameters = reader.parameters.asdict() if "parameters" in reader else {}
    mode = parameters.get("mode", "fd")
    mode = {"name": mode} if isinstance(mode, str) else mode
    return mode.get("name") != "pw" and mode.get("interpolation") != "fft"


@FORMATS.register("gpaw")
class Gpaw(Format):
    """GPAW's .gpw files."""

    suffixes = (".gpw",)
    magic = (b"- of Ulm",)
    read = staticmethod(_read)
