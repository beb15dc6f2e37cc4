"""What all readers of density files share."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    import ase

BOHR = 0.529177210903  # Å, CODATA 2018
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@dataclass(frozen=True)
class Volumetric:
    """A structure with its density on the regular grid of its cell."""

    atoms: ase.Atoms  # the cell spans the grid; atoms.pbc as the file says
    density: np.ndarray  # (nx, ny, nz) float64, electrons/Å^3
    spin_density: np.ndarray | None = None  # up minus down, same shape

    @property
    def electrons(self) -> float:
        """Integral of the density over the cell."""
        return float(self.density.mean() * self.atoms.cell.volume)


def read_text(path: Path) -> str:
    """Text of a file, plain or compressed by gzip, bzip2 or xz.

    Raises
    ------
    InputError
        Missing, unreadable, damaged or empty.
    """
    opener: Callable = _OPENERS.get(path.suffix, open)
    try:
        with opener(path, "rt", encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if not text.strip():
        raise InputError(f"{path}: empty")
    return text


def numbers(words: list[str], path: Path, what: str, count: int) -> np.ndarray:
    """The first `count` of `words` as float64.

    Raises
    ------
    InputError
        Fewer words than that, or words that are no finite numbers.
    """
    if len(words) < count:
        raise InputError(f"{path}: truncated: found {len(words)} {what}, expected {count}")
    try:
        values = np.array(words[:count], dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: {what}: {error}") from None
    if not np.isfinite(values).all():
        raise InputError(f"{path}: {what} hold NaN or infinity")
    return values
