"""Initial moments of atoms as VASP's INCAR has them."""

from __future__ import annotations

import numpy as np

from deepdensity_tf.utils.errors import InputError


def read_magmom(text: str, natoms: int) -> np.ndarray:
    """Moments (natoms,) of a text such as ``"4*1 2*-1 0"``.

    Raises
    ------
    InputError
        Words that are no moments; another number of atoms.

    Examples
    --------
    >>> read_magmom("2*1.5 -1", 3)
    array([ 1.5,  1.5, -1. ])
    """
    moments: list[float] = []
    for word in text.split():
        count, _, value = word.rpartition("*")
        try:
            moment, times = float(value), int(count or 1)
        except ValueError:
            moment, times = np.nan, 1
        if not np.isfinite(moment) or not 0 < times <= natoms:
            raise InputError(
                f"--magmom: found {word!r}, expected a moment or N*moment, N up to {natoms}"
            )
        moments += times * [moment]
    if len(moments) != natoms:
        raise InputError(f"--magmom: found {len(moments)} moments, expected {natoms}, one an atom")
    return np.array(moments)
