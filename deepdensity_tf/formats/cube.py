"""Gaussian cube files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import BOHR, UNITS, Volumetric, make_atoms, numbers, read_text
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

if TYPE_CHECKING:
    from ase import Atoms

HARTREE = 27.211386245988  # eV, CODATA 2018


def _read(path: Path, unit: str | None = None) -> list[Volumetric]:
    """Read a cube file, atoms shifted so that the grid starts at 0.

    A cube file does not say whether it is periodic; it is taken as periodic. Negative numbers of
    voxels mean lengths in Å. Without `unit` (see `UNITS`) the density goes with the lengths:
    electrons/bohr^3 or electrons/Å^3.

    Raises
    ------
    InputError
        Not a cube file, truncated, or with several values a point.
    """
    lines = read_text(path).splitlines()
    try:
        natoms, origin, nvalues = _atoms_line(lines[2].split())
        counts = np.array([int(line.split()[0]) for line in lines[3:6]])
        steps = np.array([[float(w) for w in line.split()[1:4]] for line in lines[3:6]])
        table = [line.split() for line in lines[6 : 6 + abs(natoms)]]
        charges = [int(float(row[0])) for row in table]
        positions = np.array([[float(w) for w in row[2:5]] for row in table]).reshape(-1, 3)
    except (IndexError, ValueError):
        raise InputError(
            f"{path}: not a cube file, expected atoms, origin and voxels in lines 3 to 6"
        ) from None
    if len(table) < abs(natoms) or steps.shape != (3, 3) or not counts.all():
        raise InputError(f"{path}: truncated in its header, expected {abs(natoms)} atoms")
    if natoms < 0 or nvalues != 1:
        raise InputError(f"{path}: holds several values a point (orbitals), expected one density")
    length = 1.0 if (counts < 0).any() else BOHR
    shape = tuple(np.abs(counts))
    density = numbers(" ".join(lines[6 + natoms :]), path, "densities", int(np.prod(shape)))
    cell = steps * np.abs(counts)[:, None] * length
    atoms = make_atoms(path, charges, (positions - origin) * length, cell, pbc=True)
    scale = UNITS[unit] if unit else length**-3
    return [Volumetric(atoms, density.reshape(shape) * scale)]


def _atoms_line(words: list[str]) -> tuple[int, np.ndarray, int]:
    """Number of atoms, origin, values a point."""
    nvalues = int(words[4]) if len(words) > 4 else 1
    return int(words[0]), np.array([float(w) for w in words[1:4]]), nvalues


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
    nz = values.shape[2]
    ends = ["\n" if k % 6 == 5 or k == nz - 1 else "" for k in range(nz)]
    row_format = "".join(f" %17.10E{end}" for end in ends)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="ascii") as stream:
        stream.write("\n".join(lines) + "\n")
        for row in values.reshape(-1, nz):
            stream.write(row_format % tuple(row))


def _cube_row(number: int, values) -> str:
    return f"{number:5d}" + "".join(f" {value:17.12f}" for value in values)


@FORMATS.register("cube")
class Cube(Format):
    """Gaussian cube files."""

    suffixes = (".cube", ".cub")
    unit = "e/bohr3"
    read = staticmethod(_read)
    write = staticmethod(_write)
    write_potential = staticmethod(_write_potential)
