"""VASP's CHGCAR, CHG and AECCAR0/1/2."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import check_last_number, numbers, read_text
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.formats.vasp_header import read_header, steps
from deepdensity_tf.formats.vasp_paw import matched, read_occupancies
from deepdensity_tf.formats.vasp_write import ChgcarContent, write_chgcar
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.formats.files import FileOptions

log = logging.getLogger(__name__)

_OTHERS = {
    "LOCPOT": "a potential in eV",
    "ELFCAR": "the electron localisation function",
}


def _read(path: Path) -> list[GridField]:
    """Read the density of each ionic step, and the spin density where the file holds one.

    The file holds density times cell volume, the first index running fastest. PAW augmentation
    occupancies come along. The magnetisation of a non-collinear calculation is skipped.

    Raises
    ------
    InputError
        Not such a file, truncated, without elements, or one of another quantity.
    """
    for name, quantity in _OTHERS.items():
        if name in path.name.upper():
            raise InputError(f"{path}: a {name} holds {quantity}, expected a density")
    text = read_text(path)
    check_last_number(text, path)
    found = steps(text)
    if len(found) > 1:
        log.info("%s: holds %d ionic steps", path, len(found))
    if "PARCHG" in path.name.upper():
        log.warning("%s: a PARCHG holds the density of some states only", path)
    return [_step(path, text) for text in found]


def _step(path: Path, text: str) -> GridField:
    """The density after one header."""
    atoms, rest = read_header(path, text)
    while rest and not rest[0].strip():
        rest.pop(0)
    header = rest[0].split() if rest else []
    if len(header) != 3 or not all(map(_is_count, header)):
        raise InputError(
            f"{path}: found {' '.join(header)[:60]!r} after the atoms, expected a grid"
        )
    shape = tuple(int(word) for word in header)
    starts = [1] + [k + 1 for k, line in enumerate(rest[1:], 1) if line.split() == header]
    if len(starts) not in (1, 2, 4):
        raise InputError(
            f"{path}: holds {len(starts)} densities after one header, expected 1, 2 (spin) or 4 "
            "(non-collinear); ionic steps have a header each"
        )
    if len(starts) == 4:
        log.warning("%s: non-collinear magnetisation is left out", path)
        starts = starts[:1]
    if not atoms.cell.volume > 0:
        raise InputError(f"{path}: the cell has no volume, expected three independent vectors")
    blocks = [_block(path, rest[k:], shape, atoms.cell.volume) for k in starts]
    if blocks[0].sum() < 0:
        raise InputError(
            f"{path}: its integral is negative: a potential (LOCPOT) or a difference, expected a "
            "density"
        )
    atoms.pbc = True
    occupancies = read_occupancies(path, text, atoms)
    spin = blocks[1] if len(blocks) == 2 else None
    return GridField(atoms, blocks[0], spin, augmentation=occupancies)


def _is_count(word: str) -> bool:
    return word.isdecimal() and len(word) < 16 and int(word) > 0


def _block(path: Path, lines: list[str], shape: tuple, volume: float) -> np.ndarray:
    """One density from the lines after its grid."""
    count = math.prod(shape)
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
    moved = atoms.copy()
    moved.positions -= origin
    densities = [density] if options.spin is None else [density, options.spin]
    sets: list[list[np.ndarray]] = []
    if options.augmentation:
        occupancies, nmatched = matched(options.augmentation, moved)
        sets = [occupancies]
        densities = densities[:1]
        log.info(
            "%s: PAW occupancies of %d atoms atom by atom, of %d as means over their element",
            path.name,
            nmatched,
            len(moved) - nmatched,
        )
    elif options.occupancies is not None and options.occupancies.channels.code == "vasp":
        sets = [
            options.occupancies.rows(moved.get_chemical_symbols(), x)
            for x in options.occupancies.sets
        ]
    write_chgcar(path, ChgcarContent(moved, densities, sets[: len(densities)], options.comment))


@FORMATS.register("vasp")
class Vasp(Format):
    """VASP's CHGCAR, CHG, AECCAR and PARCHG."""

    suffixes = (".vasp",)
    words = ("CHG", "AECCAR", "LOCPOT", "ELFCAR")
    read = staticmethod(_read)
    write = staticmethod(_write)
