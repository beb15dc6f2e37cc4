"""Gaussian cube files."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import (
    BOHR,
    UNITS,
    check_last_number,
    make_atoms,
    numbers_to_the_end,
    read_text,
)
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path
from deepdensity_tf.utils.number_text import parse_numbers, scientific_lines

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

HARTREE = 27.211386245988  # eV, CODATA 2018


def _read(path: Path, unit: str | None = None) -> list[GridField]:
    """Read a cube file, atoms shifted so that the grid starts at 0.

    A cube file does not say whether it is periodic; it is taken as periodic. Negative numbers of
    voxels mean lengths in Å. Without `unit` (see `UNITS`) the density goes with the lengths:
    electrons/bohr^3 or electrons/Å^3. Atoms of Z = 0 are left out.

    Raises
    ------
    InputError
        Not a cube file, truncated, without atoms, or with more than one value a point.
    """
    # No splitlines: form feeds and the like are part of comments.
    text = read_text(path)
    lines = text.rstrip("\x1a \n\t").split("\n")
    natoms, origin, nvalues = _atoms_line(lines, path)
    voxels = np.array([_row(lines, k, 4, path) for k in (3, 4, 5)])
    counts = voxels[:, 0]
    if not counts.all() or len(set(np.sign(counts))) > 1 or np.abs(counts).max() > 1e15:
        raise InputError(f"{path}: found {counts} voxels, expected numbers of one sign, not 0")
    start = 6 + abs(natoms)
    table = np.array([_row(lines, k, 5, path) for k in range(6, start)]).reshape(-1, 5)
    if natoms < 0:
        # The numbers of the data sets follow: how many there are, then each.
        words = lines[start].split() if start < len(lines) else []
        if len(words) != 2 or words[0] != "1":
            nvalues = max(nvalues, 2)
        start += 1
    if nvalues != 1:
        raise InputError(f"{path}: holds several values a point (orbitals), expected one density")
    length = 1.0 if (counts < 0).any() else BOHR
    counts = np.abs(counts).astype(int)
    density = numbers_to_the_end(
        " ".join(lines[start:]), path, "densities", math.prod(counts.tolist())
    )
    check_last_number(text, path)
    atoms = _atoms(path, table, origin, voxels[:, 1:] * counts[:, None], length)
    scale = UNITS[unit] if unit else length**-3
    found = density.reshape(counts) * scale
    return [GridField(atoms, found, None, origin * length, says_pbc=False, unit_varies=True)]


def _row(lines: list[str], index: int, count: int, path: Path) -> list[float]:
    """The numbers of a line of the header; the first of them is whole."""
    if index >= len(lines):
        raise InputError(f"{path}: truncated in its header, after line {len(lines)}")
    try:
        words = parse_numbers(lines[index], count + 1).tolist()
    except ValueError:
        words = []
    if len(words) != count or not np.isfinite(words).all() or words[0] % 1:
        what = "a number of voxels and a vector" if count == 4 else "an atom (Z, charge, x, y, z)"
        raise InputError(
            f"{path}: not a cube file, or damaged: line {index + 1} is "
            f"{lines[index].strip()[:60]!r}, expected {what}"
        )
    return words


def _atoms_line(lines: list[str], path: Path) -> tuple[int, np.ndarray, int]:
    """Number of atoms, origin, values a point."""
    try:
        words = lines[2].split()
        origin = parse_numbers(" ".join(words[1:4]), 3)
        nvalues = int(words[4]) if len(words) > 4 else 1
        if len(origin) == 3 and np.isfinite(origin).all():
            return int(words[0]), origin, nvalues
    except (IndexError, ValueError):
        pass
    raise InputError(
        f"{path}: not a cube file, expected two lines of comment, then atoms, origin and voxels "
        "in lines 3 to 6"
    )


def _atoms(
    path: Path, table: np.ndarray, origin: np.ndarray, cell: np.ndarray, length: float
) -> Atoms:
    """Atoms of the lines Z, charge, position; `length` is their unit in Å."""
    is_ghost = table[:, 0] == 0
    if is_ghost.all():
        raise InputError(f"{path}: has no atoms, expected those that the density belongs to")
    if is_ghost.any():
        log.warning("%s: %d ghost atoms (Z = 0) are left out", path, is_ghost.sum())
    kept = table[~is_ghost]
    positions = (kept[:, 2:] - origin) * length
    atoms = make_atoms(path, kept[:, 0].astype(int), positions, cell * length, pbc=True)
    uncharged = kept[:, 1] == 0
    if uncharged.any() and not uncharged.all():
        log.warning(
            "%s: %d of %d atoms have charge 0, the others have not: ghost atoms? They are kept",
            path,
            uncharged.sum(),
            len(kept),
        )
    return atoms


def _write(path: Path, atoms: Atoms, density: np.ndarray, origin: np.ndarray, _options) -> None:
    title = "electron density in electrons/bohr^3"
    _write_values(path, atoms, density * BOHR**3, origin, title)


def _write_potential(path: Path, atoms: Atoms, potential: np.ndarray, origin: np.ndarray) -> None:
    title = "potential energy of an electron in hartree"
    _write_values(path, atoms, potential / HARTREE, origin, title)


def _write_values(
    path: Path, atoms: Atoms, values: np.ndarray, origin: np.ndarray, title: str
) -> None:
    # ASE's writer has 6 digits for the cell and 7 for the density: too few to read back.
    voxels = np.asarray(atoms.cell) / np.array(values.shape)[:, None] / BOHR
    lines = [
        title,
        "OUTER LOOP: X, MIDDLE LOOP: Y, INNER LOOP: Z",
        _cube_row(len(atoms), origin / BOHR),
    ]
    lines += [_cube_row(n, voxel) for n, voxel in zip(values.shape, voxels, strict=True)]
    for number, position in zip(atoms.numbers, atoms.positions / BOHR, strict=True):
        lines.append(_cube_row(number, (number, *position)))
    header = "\n".join(lines) + "\n"
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        stream.write(header.encode("ascii"))
        stream.writelines(scientific_lines(values.reshape(-1, values.shape[2]), 6))


def _cube_row(number: int, values) -> str:
    return f"{number:5d}" + "".join(f" {value:17.12f}" for value in values)


@FORMATS.register("cube")
class Cube(Format):
    """Gaussian cube files."""

    suffixes = (".cube", ".cub")
    unit = "e/bohr3"
    pattern = re.compile(
        r".*\n.*\n *-?\d+( +[-+.\dDEde]+){3,4} *\n( *-?\d+( +[-+.\dDEde]+){3} *\n){3}"
    )
    read = staticmethod(_read)
    write = staticmethod(_write)
    write_potential = staticmethod(_write_potential)
