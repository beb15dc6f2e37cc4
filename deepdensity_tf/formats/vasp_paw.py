"""PAW augmentation occupancies of a CHGCAR, for another structure of the same elements."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import numbers, read_text
from deepdensity_tf.formats.vasp_header import read_header
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

_HEADER = re.compile(r"augmentation occupancies +(\d+) +(\d+)\s*\n")
_SAME_SITE = 1.0  # Å: an atom that moved farther is not the same


@dataclass(frozen=True)
class Augmentation:
    """Occupancies of the total density, one array for each atom."""

    atoms: Atoms
    occupancies: list[np.ndarray]
    path: Path


def read_augmentation(path: str | Path) -> Augmentation:
    """Read the occupancies of a CHGCAR that VASP wrote (those of the magnetisation left out).

    Raises
    ------
    InputError
        Not a CHGCAR, or one without augmentation occupancies, or truncated.
    """
    path = Path(path)
    text = read_text(path)
    atoms, _ = read_header(path, text)
    found = list(_HEADER.finditer(text))[: len(atoms)]
    if [int(header[1]) for header in found] != list(range(1, len(atoms) + 1)):
        raise InputError(
            f"{path}: has augmentation occupancies of {len(found)} atoms, expected one set for "
            f"each of its {len(atoms)}"
        )
    occupancies = []
    for header in found:
        count = int(header[2])
        rest = text[header.end() : header.end() + 40 * count + 40]
        occupancies.append(
            numbers(rest.split("augmentation")[0], path, "augmentation occupancies", count)
        )
    _check_lengths(path, atoms, occupancies)
    return Augmentation(atoms, occupancies, path)


def _check_lengths(path: Path, atoms: Atoms, occupancies: list[np.ndarray]) -> None:
    """One potential for each element: sets of one length."""
    lengths: dict[str, set[int]] = {}
    for symbol, values in zip(atoms.symbols, occupancies, strict=True):
        lengths.setdefault(symbol, set()).add(len(values))
    for symbol, several in lengths.items():
        if len(several) > 1:
            raise InputError(
                f"{path}: augmentation occupancies of {symbol} come with "
                f"{' and '.join(map(str, sorted(several)))} numbers, expected one length for "
                "each element (other potentials?)"
            )


def matched(donor: Augmentation, atoms: Atoms) -> tuple[list[np.ndarray], int]:
    """Occupancies for the atoms of another structure.

    An atom takes those of the donor's atom of its element that sits at the same fractional
    coordinates up to `_SAME_SITE`, if the donor has as many atoms of each element; otherwise the
    mean over the donor's atoms of its element.

    Returns
    -------
    occupancies : list of ndarray
        In the order of `atoms`.
    nmatched : int
        Atoms that were matched one by one.

    Raises
    ------
    InputError
        An element that the donor lacks.
    """
    lacking = sorted(set(atoms.symbols) - set(donor.atoms.symbols))
    if lacking:
        raise InputError(
            f"{donor.path}: has augmentation occupancies of "
            f"{' '.join(sorted(set(donor.atoms.symbols)))}, expected also {' '.join(lacking)}"
        )
    same_formula = sorted(atoms.symbols) == sorted(donor.atoms.symbols)
    partners = _partners(donor.atoms, atoms) if same_formula else [None] * len(atoms)
    result = []
    for symbol, partner in zip(atoms.symbols, partners, strict=True):
        if partner is not None:
            result.append(donor.occupancies[partner])
            continue
        of_element = np.flatnonzero(np.array(donor.atoms.symbols) == symbol)
        result.append(np.mean([donor.occupancies[k] for k in of_element], axis=0))
    return result, sum(partner is not None for partner in partners)


def _partners(donor: Atoms, atoms: Atoms) -> list[int | None]:
    """The donor's atom at the place of each atom, or None."""
    cell = np.array(atoms.cell)
    inverse = np.linalg.inv(cell)
    places, taken = donor.get_scaled_positions(), set()
    partners: list[int | None] = []
    for symbol, position in zip(atoms.symbols, atoms.positions @ inverse, strict=True):
        apart = places - position
        distance = np.linalg.norm((apart - np.round(apart)) @ cell, axis=1)
        distance[np.array(donor.symbols) != symbol] = np.inf
        nearest = int(np.argmin(distance))
        good = distance[nearest] < _SAME_SITE and nearest not in taken
        partners.append(nearest if good else None)
        taken.add(nearest)
    return partners


def augmentation_text(occupancies: list[np.ndarray]) -> str:
    """The lines of a CHGCAR after its density: five numbers a line."""
    lines = []
    for number, values in enumerate(occupancies, 1):
        lines.append(f"augmentation occupancies {number:3d} {len(values):3d}\n")
        for begin in range(0, len(values), 5):
            lines.append("".join(f" {value:14.7E}" for value in values[begin : begin + 5]) + "\n")
    return "".join(lines)
