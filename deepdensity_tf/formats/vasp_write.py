"""CHGCAR files, written as VASP reads them: grid, PAW occupancies, moments, spin."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from deepdensity_tf.formats.vasp_paw import augmentation_text
from deepdensity_tf.utils.deferred import ase_io
from deepdensity_tf.utils.files import atomic_path

if TYPE_CHECKING:
    from ase import Atoms

_ROW, _ROWS = 5, 20_000  # numbers of a line, lines at a time
_COMMENT = 200  # characters of the first line


@dataclass(frozen=True)
class ChgcarContent:
    """What goes into a CHGCAR.

    Parameters
    ----------
    atoms : ase.Atoms
        In the order of the ions; blocks of one element that come twice (C H C H) stay so, since
        VASP finds elements and occupancies by the order.
    densities : sequence of np.ndarray
        (nx, ny, nz) density and, if any, spin density, electrons/Å^3.
    occupancies : sequence of list of np.ndarray
        PAW occupancies of each atom, for each of the densities; or nothing.
    comment : str, optional
        First line; None: the elements.
    """

    atoms: Atoms
    densities: Sequence[np.ndarray]
    occupancies: Sequence[list[np.ndarray]] = ()
    comment: str | None = None


def write_chgcar(path: Path, content: ChgcarContent) -> None:
    """Write a CHGCAR; the file appears whole or not at all."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        stream.write(_header(content))
        volume = content.atoms.cell.volume
        for number, density in enumerate(content.densities):
            if number and content.occupancies:
                # Before the second set VASP keeps the moments that it was given (MAGMOM).
                _write_rows(stream, content.atoms.get_initial_magnetic_moments(), "%20.12E")
            stream.write("".join(f" {n:4d}" for n in density.shape) + "\n")
            _write_rows(stream, density.ravel(order="F") * volume, " %17.10E")
            if content.occupancies:
                stream.write(augmentation_text(content.occupancies[number]))


def _header(content: ChgcarContent) -> str:
    ase_io()
    from ase.io.vasp import write_vasp

    text = io.StringIO()
    write_vasp(text, content.atoms, direct=True)
    first, rest = text.getvalue().split("\n", 1)
    comment = first if content.comment is None else " ".join(content.comment.split())[:_COMMENT]
    return f"{comment}\n{rest}\n"


def _write_rows(stream: TextIO, values: Iterable[float], form: str) -> None:
    values = np.asarray(values, dtype=np.float64)
    line = form * _ROW + "\n"
    whole = len(values) // _ROW
    for first in range(0, whole, _ROWS):
        rows = values[first * _ROW : min(whole, first + _ROWS) * _ROW]
        stream.write(line * (len(rows) // _ROW) % tuple(rows))
    rest = values[whole * _ROW :]
    if len(rest):
        stream.write(form * len(rest) % tuple(rest) + "\n")
