"""Gaussian cube files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepdensity_tf.data.formats.base import BOHR, UNITS, Volumetric, make_atoms, numbers, read_text
from deepdensity_tf.utils.errors import InputError


def read(path: Path, unit: str | None = None) -> list[Volumetric]:
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
