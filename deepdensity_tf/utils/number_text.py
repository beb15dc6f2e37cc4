"""Numbers in text as C and Fortran write them, the same whatever NumPy's version."""

from __future__ import annotations

import re
import warnings

import numpy as np


def parse_numbers(text: str, count: int) -> np.ndarray:
    """The first `count` numbers of a text, or all of them if there are fewer, float64.

    Separated by white space; also Fortran's 0.2D-05, its 0.3-105 where the exponent has three
    digits, and its 0.1-0.2 where a sign fills the column.

    Raises
    ------
    ValueError
        A word among them is no number.
    """
    if not text or text.isspace():
        return np.empty(0)  # NumPy finds -1 in white space
    try:
        with warnings.catch_warnings():
            # NumPy before 2.3 stops at what is no number and only warns.
            warnings.simplefilter("error", DeprecationWarning)
            return np.fromstring(text, sep=" ")[:count]
    except (ValueError, DeprecationWarning):
        return _fortran_numbers(text, count)


def _fortran_numbers(text: str, count: int) -> np.ndarray:
    text = re.sub(r"(?<=[\d.])[dD](?=[+-]?\d)", "E", text)
    text = re.sub(r"(?<=[\d.])(?=[+-]\d*\.)", " ", text)
    words = re.sub(r"(?<=[\d.])(?=[+-]\d{3}\b)", "E", text).split()[:count]
    for word in words:
        if "_" in word:  # Python's own way to group digits
            raise ValueError(f"could not convert string to float: {word!r}")
    return np.array(words, dtype=np.float64)
