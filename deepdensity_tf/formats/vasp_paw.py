"""PAW augmentation occupancies of a CHGCAR: as labels, or for another structure."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import numbers, read_text
from deepdensity_tf.formats.vasp_header import read_header
from deepdensity_tf.formats.vasp_potcar import guessed_channels
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import Channels, Occupancies, checked_occupancies, padded

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

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
    sets = _sets(path, text, len(atoms))
    if not sets:
        raise InputError(
            f"{path}: has augmentation occupancies of {len(list(_HEADER.finditer(text)))} atoms, "
            f"expected one set for each of its {len(atoms)}"
        )
    _check_lengths(path, atoms, sets[0])
    return Augmentation(atoms, sets[0], path)


def _sets(path: Path, text: str, natoms: int) -> list[list[np.ndarray]]:
    """Occupancies of each density: of each atom. Nothing where they are not those of all atoms."""
    found = list(_HEADER.finditer(text))
    nsets = len(found) // max(natoms, 1)
    if not nsets or [int(h[1]) for h in found[: nsets * natoms]] != [*range(1, natoms + 1)] * nsets:
        return []
    values = []
    for header in found:
        count = int(header[2])
        rest = text[header.end() : header.end() + 40 * count + 40]
        values.append(
            numbers(rest.split("augmentation")[0], path, "augmentation occupancies", count)
        )
    return [values[k * natoms : (k + 1) * natoms] for k in range(nsets)]


def read_occupancies(path: Path, text: str, atoms: Atoms) -> Occupancies | None:
    """Occupancies of the total density and, with collinear spin, of up minus down.

    Elements whose channels do not follow from the number of occupancies are left without
    (`with_channels` gives them those of a POTCAR).

    Parameters
    ----------
    path : Path
        For messages.
    text : str
        Of one ionic step.
    atoms : ase.Atoms
        Its atoms.

    Returns
    -------
    Occupancies or None
        None where the text does not hold them for every atom.
    """
    sets = _sets(path, text, len(atoms))
    if not sets:
        if _HEADER.search(text):
            log.warning("%s: augmentation occupancies of some atoms are missing: left out", path)
        return None
    _check_lengths(path, atoms, sets[0])
    counts = {s: len(x) for s, x in zip(atoms.symbols, sets[0], strict=True)}
    guessed = {symbol: guessed_channels(count) for symbol, count in counts.items()}
    channels = Channels("vasp", {symbol: ls for symbol, ls in guessed.items() if ls})
    width = max(counts.values())
    # Four sets are those of a non-collinear calculation.
    return Occupancies(channels, *(padded(x, width) for x in sets[: 2 if len(sets) == 2 else 1]))


def with_channels(
    found: Occupancies, symbols: Sequence[str], potcar: Mapping[str, tuple[int, ...]], label: str
) -> Occupancies | None:
    """Occupancies of a CHGCAR whose numbers are known, by a POTCAR or by their count.

    Parameters
    ----------
    found : Occupancies
        As read (`read_occupancies`).
    symbols : sequence of str
        Elements of the atoms.
    potcar : mapping
        Element to the l of its channels; empty without a POTCAR.
    label : str
        Name of the file.

    Returns
    -------
    Occupancies or None
        None, with a warning, where the channels of an element are not known.

    Raises
    ------
    InputError
        The POTCAR does not go with the numbers.
    """
    of = {**found.channels.of, **{e: ls for e, ls in potcar.items() if e in set(symbols)}}
    unknown = sorted(set(symbols) - set(of))
    if unknown:
        log.warning(
            "%s: augmentation occupancies are left out: which channels those of %s are does not "
            "follow from their number (name the POTCAR: --potcar)",
            label,
            ", ".join(unknown),
        )
        return None
    return checked_occupancies(Channels("vasp", of), symbols, found.sets, label)


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
