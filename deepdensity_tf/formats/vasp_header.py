"""The structure at the start of VASP files: its elements are read as they stand, never guessed."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from deepdensity_tf.formats.base import first_line, read_text
from deepdensity_tf.utils.deferred import ase_io
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

_COUNTS_LINE = 5  # after the comment, the scale and the cell
_ISOTOPES = {"D": "H", "T": "H"}
# The end of a header: numbers of atoms, perhaps "Selective dynamics", and "Direct" or "Cartesian".
_HEADER_END = re.compile(r"^[ \t]*\d[\d \t]*\n(?:[ \t]*[sS].*\n)?[ \t]*[dckDCK][A-Za-z]*\s*$", re.M)


def read_header(path: Path, text: str) -> tuple[Atoms, list[str]]:
    """The atoms, and the lines that follow them.

    Element lines that VASP wrapped are joined; labels of potentials (Ti_sv), of pseudo-hydrogen
    (H1.25) and of isotopes become their elements.

    Raises
    ------
    InputError
        No such header, no line of elements, or a label that is no element.
    """
    ase_io()
    from ase.io.vasp import read_vasp_configuration

    lines = text.split("\n")
    end = _COUNTS_LINE
    while end < len(lines) and lines[end].split() and not lines[end].split()[0].isdecimal():
        end += 1
    labels = " ".join(lines[_COUNTS_LINE:end]).split()
    counts: list[str] = []
    while end < len(lines) and (words := lines[end].split("!")[0].split()) and words[0].isdecimal():
        counts, end = counts + words, end + 1
    if not counts:
        raise InputError(
            f"{path}: not a CHGCAR or POSCAR, expected a POSCAR header at its start (with numbers "
            "of atoms after its cell)"
        )
    if not labels:
        raise InputError(
            f"{path}: has no line of elements (VASP 4 wrote none), and a comment does not say "
            f"them: insert a line of {len(counts)} before line {_COUNTS_LINE + 1}, in the order "
            f"of POTCAR (sed -i '{_COUNTS_LINE + 1}i C H' FILE)"
        )
    if len(labels) != len(counts):
        raise InputError(
            f"{path}: found {len(labels)} elements and {len(counts)} numbers of atoms, expected "
            "one number for each element"
        )
    elements = [_element(path, label) for label in labels]
    _check_counts(path, counts, lines[end:])
    joined = [*lines[:_COUNTS_LINE], " ".join(elements), " ".join(counts), *lines[end:]]
    stream = io.StringIO("\n".join(joined))
    try:
        atoms = read_vasp_configuration(stream)
    except Exception as error:  # ASE raises whatever its parsing stumbles over.
        raise InputError(f"{path}: not a valid POSCAR header ({first_line(error)})") from None
    return atoms, stream.read().split("\n")


def _check_counts(path: Path, counts: list[str], lines: list[str]) -> None:
    """Numbers of atoms that the file can hold: lists are made of them before a line is read."""
    try:
        natoms = sum(int(count) for count in counts)
    except ValueError:
        raise InputError(f"{path}: found {' '.join(counts)[:60]}, expected numbers of atoms") from (
            None
        )
    left = sum(bool(line.strip()) for line in lines[: min(natoms, len(lines)) + 2])
    if left <= natoms:  # "Direct" and a line for each
        raise InputError(
            f"{path}: truncated, or a wrong number of atoms: {left} lines follow the numbers of "
            f"{_shortened(natoms)} atoms"
        )


def _shortened(number: int) -> str:
    return str(number) if number < 10**15 else f"more than {10**15:.0e}"


def _element(path: Path, label: str) -> str:
    """Element of a label such as C, Ti_sv, Na_pv/6a2f546d, H1.25, D or 13C."""
    from ase.data import chemical_symbols

    word = label.split("/")[0].split("_")[0]
    bare = re.sub(r"^\d+|[\d.]+$", "", word).capitalize()
    element = _ISOTOPES.get(bare, bare)
    if element not in chemical_symbols[1:]:  # the first is X, no element
        raise InputError(f"{path}: {label!r} in the line of elements is no element")
    if element != word:
        log.warning("%s: %s is taken as %s", path, label, element)
    return element


def read_structures(path: Path) -> list[Atoms]:
    """The structure of each ionic step of a POSCAR, CHGCAR, CHG and the like.

    Raises
    ------
    InputError
        As `read_header`.
    """
    text = read_text(path)
    # What follows the atoms of a POSCAR (velocities) is no further step.
    texts = steps(text) if "CHG" in path.name.upper() else [text]
    return [read_header(path, step)[0] for step in texts]


def steps(text: str) -> list[str]:
    """The text of each ionic step: VASP appends to CHG, with a header before every density."""
    begins = [_begin(text, found.start()) for found in _HEADER_END.finditer(text)]
    begins = [0, *begins[1:]]
    return [text[a:b] for a, b in zip(begins, [*begins[1:], len(text)], strict=True)]


def _begin(text: str, counts: int) -> int:
    """Where the header begins whose numbers of atoms stand at `counts`."""
    lines = text[max(0, counts - 20000) : counts].split("\n")[:-1]
    vectors = len(lines)
    while vectors and not _is_vector(lines[vectors - 1]):  # lines of elements
        vectors -= 1
    header = lines[max(0, vectors - _COUNTS_LINE) :]
    return counts - sum(len(line) + 1 for line in header)


def _is_vector(line: str) -> bool:
    try:
        return len([float(word) for word in line.split()[:3]]) == 3
    except ValueError:
        return False
