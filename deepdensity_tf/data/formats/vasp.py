"""VASP's CHGCAR, CHG and AECCAR0/1/2."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np

from deepdensity_tf.data.formats.base import Volumetric, numbers, read_text
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)


def read(path: Path) -> list[Volumetric]:
    """Read the density, and the spin density where the file holds one.

    The file holds density times cell volume, the first index running fastest. PAW augmentation
    occupancies are skipped: the density is the one on the grid. So is the magnetisation of a
    non-collinear calculation.

    Raises
    ------
    InputError
        Not such a file, or truncated.
    """
    from ase.io.vasp import read_vasp_configuration

    text = read_text(path)
    stream = io.StringIO(text)
    try:
        atoms = read_vasp_configuration(stream)
    except Exception:
        raise InputError(f"{path}: not a CHGCAR, expected a POSCAR header at its start") from None
    rest = stream.read().split("\n")
    while rest and not rest[0].strip():
        rest.pop(0)
    header = rest[0].split() if rest else []
    if len(header) != 3 or not all(word.isdigit() and int(word) for word in header):
        raise InputError(f"{path}: found {' '.join(header)!r} after the atoms, expected a grid")
    shape = tuple(int(word) for word in header)
    starts = [1] + [k + 1 for k, line in enumerate(rest[1:], 1) if line.split() == header]
    if len(starts) > 2:
        log.warning("%s: non-collinear magnetisation is left out", path)
        starts = starts[:1]
    if not atoms.cell.volume > 0:
        raise InputError(f"{path}: the cell has no volume, expected three independent vectors")
    blocks = [_block(path, rest[k:], shape, atoms.cell.volume) for k in starts]
    atoms.pbc = True
    return [Volumetric(atoms, *blocks)]


def _block(path: Path, lines: list[str], shape: tuple, volume: float) -> np.ndarray:
    """One density from the lines after its grid."""
    count = int(np.prod(shape))
    # Every full line has as many numbers as the first: what follows the block is not parsed.
    width = max(1, len(lines[0].split())) if lines else 1
    values = numbers(" ".join(lines[: -(-count // width)]), path, "densities", count)
    return values.reshape(shape, order="F") / volume
