"""Whole numbers: what is none is refused, not cut."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from deepdensity_tf.utils.errors import InputError


def whole_numbers(values: ArrayLike, label: str) -> np.ndarray:
    """Values as int64, as they are.

    Parameters
    ----------
    values : array_like
        Numbers; floating-point ones are taken if they are whole.
    label : str
        Name for messages.

    Returns
    -------
    np.ndarray
        Of the same shape.

    Raises
    ------
    InputError
        A fraction, NaN, a number beyond int64, or what is no number.

    Examples
    --------
    >>> whole_numbers([4.0, 5.0], "shape").tolist()
    [4, 5]
    """
    try:
        found = np.asarray(values)
    except ValueError:  # rows of different lengths
        raise InputError(f"{label}: found no array, expected whole numbers") from None
    if found.dtype.kind not in "iuf":
        raise InputError(f"{label}: found {found.dtype} values, expected whole numbers")
    with np.errstate(invalid="ignore"):  # of NaN and of what is too large: they differ below
        whole = found.astype(np.int64)
    if whole.dtype != found.dtype and not (whole == found).all():
        odd = found[whole != found].flat[0]
        raise InputError(f"{label}: found {odd!s}, expected whole numbers")
    return whole
