"""What an OUTCAR says of the grid of the density."""

from __future__ import annotations

import re
from pathlib import Path

from deepdensity_tf.formats.base import read_text
from deepdensity_tf.utils.errors import InputError

_FINE = re.compile(r"NGXF=\s*(\d+)\s+NGYF=\s*(\d+)\s+NGZF=\s*(\d+)")


def is_outcar(path: str | Path) -> bool:
    """Whether a file is one, by its name."""
    return Path(path).name.upper().startswith("OUTCAR")


def outcar_grid(path: str | Path) -> tuple[int, int, int]:
    """NGXF, NGYF, NGZF: the grid of CHGCAR.

    Raises
    ------
    InputError
        No such line.
    """
    path = Path(path)
    found = _FINE.search(read_text(path))
    if found is None:
        raise InputError(f"{path}: has no line NGXF= ... NGYF= ... NGZF= ..., expected an OUTCAR")
    return int(found[1]), int(found[2]), int(found[3])
