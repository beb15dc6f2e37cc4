"""Quantum ESPRESSO's kinds of atoms: which element each one is."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from deepdensity_tf.formats.base import read_bytes
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)

_SAME_MASS = 0.2  # inputs often have round or made-up masses; those say nothing
# Lines of the cards: label, mass, file; and the labels of these and of the positions.
_SPECIES = re.compile(
    r"^[ \t]*([A-Za-z]\S*)[ \t]+((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[ \t]+(\S*[A-Za-z]\S*)", re.M
)
_LABEL = re.compile(r"^([ \t]*)([A-Za-z]\S*)(?=[ \t]+[-+.\d(])", re.M)


def element_of_kind(path: Path, label: str, pseudo: str, mass: float) -> str:
    """Element of a label: among those it may begin with, the one that mass and file name say.

    "Cs" is cesium, or carbon of a kind "s"; the pseudopotential C.pbe.UPF or a mass of 12 tells.

    Raises
    ------
    InputError
        A label that begins with no element.
    """
    from ase.data import atomic_masses, atomic_numbers

    letters = _letters(label)
    likely = [letters[:n] for n in (2, 1) if letters[:n] in atomic_numbers and letters[:n] != "X"]
    likely = list(dict.fromkeys(likely))
    if not likely:
        raise InputError(f"{path}: no valid atoms (no such element: {label!r})")
    if len(likely) == 1:
        return likely[0]
    chosen = _letters(Path(pseudo.strip()).name)
    if chosen not in likely:
        chosen = min(likely, key=lambda symbol: abs(atomic_masses[atomic_numbers[symbol]] - mass))
        if abs(atomic_masses[atomic_numbers[chosen]] / max(mass, 1e-9) - 1) > _SAME_MASS:
            return likely[0]
    if chosen != likely[0]:
        log.info("%s: %s is taken as %s, by its pseudopotential or mass", path, label, chosen)
    return chosen


def _letters(word: str) -> str:
    return re.match(r"[A-Za-z]*", word).group().capitalize()


def named_by_element(path: Path, text: str) -> str:
    """The input of pw.x with elements in place of its labels.

    Raises
    ------
    InputError
        A label of no element.
    """
    namelists, card, cards = text.partition("ATOMIC_")
    elements = {
        label: element_of_kind(path, label, pseudo, float(mass))
        for label, mass, pseudo in _SPECIES.findall(cards)
    }
    return f"{namelists}{card}" + _LABEL.sub(lambda m: m[1] + elements.get(m[2], m[2]), cards)


def is_input(path: Path) -> bool:
    """Whether a file is an input of pw.x."""
    head = read_bytes(path, 100_000).lower()
    return b"&system" in head and b"atomic_positions" in head
