"""VASP's CHGCAR, CHG and AECCAR0/1/2."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import Volumetric, numbers, read_text
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.formats.vasp_paw import augmentation_text, matched
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.formats.files import FileOptions

log = logging.getLogger(__name__)


def _read(path: Path) -> list[Volumetric]:
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


def _write(
    path: Path,
    atoms: Atoms,
    density: np.ndarray,
    origin: np.ndarray,
    options: FileOptions,
) -> None:
    from ase.calculators.vasp import VaspChargeDensity

    symbols = atoms.get_chemical_symbols()
    first = {symbol: index for index, symbol in reversed(list(enumerate(symbols)))}
    grouped = atoms[sorted(range(len(atoms)), key=lambda i: (first[symbols[i]], i))]
    grouped.positions -= origin
    charge = VaspChargeDensity(None)
    charge.atoms, charge.chg = [grouped], [density]
    if options.augmentation:
        occupancies, nmatched = matched(options.augmentation, grouped)
        charge.aug = augmentation_text(occupancies)
        log.info(
            "%s: PAW occupancies of %d atoms atom by atom, of %d as means over their element",
            path.name,
            nmatched,
            len(grouped) - nmatched,
        )
    with atomic_path(path) as temporary:
        charge.write(str(temporary), format="chgcar")


@FORMATS.register("vasp")
class Vasp(Format):
    """VASP's CHGCAR, CHG, AECCAR and PARCHG."""

    suffixes = (".vasp",)
    words = ("CHG", "AECCAR")
    read = staticmethod(_read)
    write = staticmethod(_write)
