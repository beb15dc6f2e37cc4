"""XCrySDen's XSF files with a density on a general grid, whose ends are both among its points."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import (
    BOHR,
    UNITS,
    make_atoms,
    numbers,
    numbers_to_the_end,
    read_text,
)
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path
from deepdensity_tf.utils.whole import whole_numbers

if TYPE_CHECKING:
    from ase import Atoms

_PERIODS = {"CRYSTAL": 3, "SLAB": 2, "POLYMER": 1, "MOLECULE": 0}


def _read(path: Path, unit: str | None = None) -> list[GridField]:
    """Read structure and grid: lengths in Å, the density in electrons/bohr^3 or `unit`.

    XSF does not say the unit of its grids: codes write electrons/bohr^3. Along periodic directions
    the last planes repeat the first and are left out; along others the box is one step longer than
    the vectors of the grid, so that each point stands for as much.

    Raises
    ------
    InputError
        Not such a file, several structures or grids, a grid that does not span the primitive cell.
    """
    text = re.sub(r"^[ \t]*#.*$", "", read_text(path), flags=re.MULTILINE)
    lines = [line for line in text.split("\n") if line.strip()]
    words = [line.split()[0].upper() for line in lines]
    grids = [k for k, word in enumerate(words) if re.match(r"(BEGIN_)?DATAGRID_3D", word)]
    several = "ANIMSTEPS" in words and lines[words.index("ANIMSTEPS")].split()[1:] != ["1"]
    if len(grids) != 1 or several:
        raise InputError(
            f"{path}: found {len(grids)} 3D grids{' of several steps' * several}, "
            "expected an XSF file of one structure with one grid"
        )
    periods = _periods(path, lines, words)
    values, origin, vectors = _grid(path, lines[grids[0] + 1 :])
    species, positions = _structure(path, lines, words)
    lattice = _lattice(path, lines, words) if periods else vectors
    for axis in range(3):
        if axis < periods:
            _check_ends(path, axis, values, vectors, lattice)
            values = np.delete(values, -1, axis)
        else:
            count = values.shape[axis]
            vectors[axis] *= count / (count - 1)
    atoms = make_atoms(path, species, positions - origin, vectors, np.arange(3) < periods)
    density = values * UNITS[unit or "e/bohr3"]
    return [GridField(atoms, density, origin=origin, unit_varies=True)]


def _periods(path: Path, lines: list[str], words: list[str]) -> int:
    """Number of periodic directions."""
    if "DIM-GROUP" in words:
        return _counts(path, lines, words.index("DIM-GROUP") + 1, 1)[0]
    found = next((_PERIODS[word] for word in words if word in _PERIODS), None)
    return found if found is not None else 3 * ("PRIMVEC" in words)


def _lattice(path: Path, lines: list[str], words: list[str]) -> np.ndarray:
    if "PRIMVEC" not in words:
        raise InputError(f"{path}: found no PRIMVEC, expected the cell of a periodic structure")
    return _table(path, lines, words.index("PRIMVEC") + 1, 3, 3)


def _structure(path: Path, lines: list[str], words: list[str]) -> tuple[list, np.ndarray]:
    """Elements and positions, Å."""
    if "PRIMCOORD" in words:
        start = words.index("PRIMCOORD") + 2
        stop = start + _counts(path, lines, start - 1, 1)[0]
    elif "ATOMS" in words:
        start = words.index("ATOMS") + 1
        stop = next((k for k in range(start, len(words)) if words[k].startswith("BEGIN")), start)
    else:
        raise InputError(f"{path}: found no PRIMCOORD or ATOMS, expected the atoms")
    rows = [line.split(maxsplit=1) for line in lines[start:stop]]
    if not rows or len(rows) < stop - start or min(len(row) for row in rows) < 2:
        raise InputError(f"{path}: found {len(rows)} atoms, expected some, all with positions")
    names = [row[0] for row in rows]
    species = [int(name) if name.isdecimal() else name.capitalize() for name in names]
    if 0 in species or "X" in species:
        raise InputError(f"{path}: has atoms of Z = 0, expected elements")
    positions = [numbers(row[1], path, "positions of an atom", 3) for row in rows]
    return species, np.array(positions)


def _grid(path: Path, lines: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (nx, ny, nz), origin and vectors from the first to the last points, Å."""
    shape = _counts(path, lines, 0, 3)
    if min(shape) < 2:
        raise InputError(f"{path}: found a grid of {shape} points, expected two or more each way")
    head = _table(path, lines, 1, 4, 3)
    end = next((k for k, line in enumerate(lines) if line.split()[0].upper().startswith("END")), 0)
    if not end:
        raise InputError(f"{path}: truncated, expected END_DATAGRID_3D behind the densities")
    values = numbers_to_the_end(" ".join(lines[5:end]), path, "densities", math.prod(shape))
    return values.reshape(shape, order="F"), head[0], head[1:].copy()


def _table(path: Path, lines: list[str], start: int, nrows: int, ncolumns: int) -> np.ndarray:
    """The first numbers of some lines."""
    rows = lines[start : start + nrows]
    if len(rows) < nrows:
        raise InputError(f"{path}: truncated in its header")
    return np.array([numbers(row, path, "numbers in a line", ncolumns) for row in rows])


def _counts(path: Path, lines: list[str], start: int, count: int) -> list[int]:
    """The first whole numbers of a line."""
    row = _table(path, lines, start, 1, count)[0]
    return whole_numbers(row, f"{path}: {lines[start].strip()[:60]!r}").tolist()


def _check_ends(
    path: Path, axis: int, values: np.ndarray, vectors: np.ndarray, lattice: np.ndarray
) -> None:
    name = "xyz"[axis]
    apart = np.abs(vectors[axis] - lattice[axis]).max()
    if apart > 1e-3:
        raise InputError(
            f"{path}: the grid's vector along {name} differs from that of PRIMVEC by {apart:.3g} Å,"
            " expected the primitive cell, both ends included"
        )
    first, last = values.take(0, axis), values.take(-1, axis)
    if not np.allclose(first, last, rtol=1e-3, atol=1e-5 * np.abs(values).max()):
        raise InputError(
            f"{path}: the last plane along {name} does not repeat the first, expected a general "
            "grid of a periodic density, both ends included"
        )


def _write(path: Path, atoms: Atoms, density: np.ndarray, origin: np.ndarray, _options) -> None:
    values, vectors = density * BOHR**3, np.array(atoms.cell)
    if atoms.pbc.any():
        values = np.pad(values, (0, 1), mode="wrap")
        lines = ["CRYSTAL", "PRIMVEC", *map(_row, vectors), "PRIMCOORD", f"{len(atoms)} 1"]
    else:
        steps = np.array(values.shape) - 1
        if not steps.all():
            raise InputError(f"{path}: the grid has one point along a side, XSF takes two or more")
        vectors = vectors * (steps / values.shape)[:, None]
        lines = ["ATOMS"]
    lines += [f"{z} {_row(x)}" for z, x in zip(atoms.numbers, atoms.positions, strict=True)]
    lines += ["BEGIN_BLOCK_DATAGRID_3D", "electrons/bohr^3", "BEGIN_DATAGRID_3D_density"]
    lines += [" ".join(map(str, values.shape)), _row(origin), *map(_row, vectors)]
    with atomic_path(path) as temporary, open(temporary, "w", encoding="ascii") as stream:
        stream.write("\n".join(lines) + "\n")
        np.savetxt(stream, values.reshape(len(values), -1, order="F").T, fmt="%.10E")
        stream.write("END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n")


def _row(vector: np.ndarray) -> str:
    return " ".join(f"{value:.12f}" for value in vector)


@FORMATS.register("xsf")
class Xsf(Format):
    """XCrySDen's XSF files with one three-dimensional grid."""

    suffixes = (".xsf",)
    unit = "e/bohr3"
    pattern = re.compile(
        r"(\s*#.*\n|\s*\n)*\s*"
        r"(CRYSTAL|SLAB|POLYMER|MOLECULE|DIM-GROUP|PRIMVEC|ATOMS|ANIMSTEPS +\d+)\s*\n"
    )
    read = staticmethod(_read)
    write = staticmethod(_write)
