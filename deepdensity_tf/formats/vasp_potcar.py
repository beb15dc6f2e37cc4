"""VASP's POTCAR: the channels and the valence of each PAW data set."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepdensity_tf.formats.base import read_text
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import Channels, count_of

if TYPE_CHECKING:
    from ase import Atoms

_END = "End of Dataset"
_ELEMENT = re.compile(r"VRHFIN\s*=\s*([A-Za-z]{1,2})")
_VALENCE = re.compile(r"ZVAL\s*=\s*([\d.]+)")
_TITLE = re.compile(r"TITEL\s*=\s*(.*)")
# l of the channels, and how many of them.
_PROJECTORS = re.compile(r"Non local Part\s*\n\s*(\d+)\s+(\d+)\s")
_MOST = 3  # channels of one l, where they are guessed
_ELECTRONS_OFF = 0.02


@dataclass(frozen=True)
class Potential:
    """One data set of a POTCAR."""

    element: str
    title: str
    valence: float
    channels: tuple[int, ...]


def read_potcar(path: str | Path) -> list[Potential]:
    """The data sets of a POTCAR in their order.

    Raises
    ------
    InputError
        Not a POTCAR, or one without PAW channels.
    """
    path = Path(path)
    found: list[Potential] = []
    for text in read_text(path).split(_END)[:-1]:
        element, valence, title = (p.search(text) for p in (_ELEMENT, _VALENCE, _TITLE))
        channels = [
            int(match[1]) for match in _PROJECTORS.finditer(text) for _ in range(int(match[2]))
        ]
        if element is None or valence is None or not channels:
            raise InputError(
                f"{path}: data set {len(found) + 1} says no element (VRHFIN), valence (ZVAL) or "
                "channels (Non local Part), expected PAW data sets of VASP"
            )
        name = title[1].strip() if title else element[1]
        found.append(Potential(element[1].capitalize(), name, float(valence[1]), tuple(channels)))
    if not found:
        raise InputError(f"{path}: holds no data set, expected a POTCAR ({_END!r} in it)")
    return found


def channels_of_potcar(path: str | Path) -> dict[str, tuple[int, ...]]:
    """The l of the channels of each element.

    Raises
    ------
    InputError
        Not a POTCAR; two data sets of one element with other channels.
    """
    found: dict[str, tuple[int, ...]] = {}
    for potential in read_potcar(path):
        if found.setdefault(potential.element, potential.channels) != potential.channels:
            raise InputError(
                f"{path}: has two data sets of {potential.element} with other channels, expected "
                "one kind for each element"
            )
    return found


def check_channels(found: Channels | None, path: str | Path, symbols: Sequence[str]) -> None:
    """Refuse PAW occupancies that VASP would not take with a POTCAR.

    Raises
    ------
    InputError
        Those of another code or with other channels; an element that the POTCAR lacks.
    """
    wanted = channels_of_potcar(path)
    lacking = sorted(set(symbols) - set(wanted))
    if lacking:
        raise InputError(f"{path}: has no data set of {', '.join(lacking)}")
    if found is not None:
        Channels("vasp", wanted).joined(found, str(path))


def check_valence(electrons: float, path: str | Path, atoms: Atoms) -> None:
    """Refuse a density that does not have the valence electrons of a POTCAR.

    Raises
    ------
    InputError
        It is more than `_ELECTRONS_OFF` away (relative).
    """
    valence = {potential.element: potential.valence for potential in read_potcar(path)}
    wanted = sum(valence[symbol] for symbol in atoms.symbols)
    if abs(electrons - wanted) > _ELECTRONS_OFF * wanted:
        raise InputError(
            f"{path}: has {wanted:g} valence electrons for these atoms, the model predicts "
            f"{electrons:.4g} (trained with other potentials?)"
        )


def guessed_channels(count: int) -> tuple[int, ...] | None:
    """The s and p channels that have so many occupancies; None where d or f ones may have too.

    Every data set has s channels; they come first, as in VASP's of such elements. With d channels
    the order is not the same in all data sets: the number alone does not say what is what.
    """
    fitting = []
    for numbers in itertools.product(range(_MOST + 1), repeat=4):
        channels = tuple(ls for ls, number in enumerate(numbers) for _ in range(number))
        if numbers[0] and count_of(channels) == count:
            fitting.append(channels)
    return fitting[0] if len(fitting) == 1 and max(fitting[0]) <= 1 else None
