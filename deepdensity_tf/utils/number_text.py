"""Numbers in text as C and Fortran read and write them, the same whatever NumPy's version."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

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


_WIDTH = 18  # of " %17.10E"
_AT_ONCE = 2**17  # numbers
# What the digits of 0 to 999 look like, (1000, 3) characters.
_DIGITS = np.array([f"{n:03d}" for n in range(1000)], "S3").view(np.uint8).reshape(1000, 3)


def scientific_lines(rows: np.ndarray, per_line: int) -> Iterator[bytes]:
    """Rows of numbers as C's " %17.10E" writes them, each row beginning a line.

    Many times faster than a format for each number. The last digit may be another where the number
    lies half-way between two, within the rounding of a float64.

    Parameters
    ----------
    rows : np.ndarray
        (nrows, n) float64.
    per_line : int
        Numbers of a full line.

    Yields
    ------
    bytes
        Text of some rows.
    """
    n = rows.shape[1]
    step = max(1, _AT_ONCE // max(1, n))
    for begin in range(0, len(rows), step):
        some = np.asarray(rows[begin : begin + step], np.float64)
        size = np.abs(some)
        if not ((size < 1e99) & ((size > 1e-99) | (size == 0))).all():
            yield _formatted(some, per_line)
            continue
        text = _scientific(some.ravel()).reshape(len(some), n, _WIDTH)
        lines, last = divmod(n, per_line)
        parts = (
            text[:, : n - last].reshape(len(some), lines, per_line * _WIDTH),
            text[:, n - last :].reshape(len(some), int(last > 0), last * _WIDTH),
        )
        ends = [np.pad(p, ((0, 0), (0, 0), (0, 1)), constant_values=ord("\n")) for p in parts]
        shapes = [(len(some), end.shape[1] * end.shape[2]) for end in ends]
        whole = [end.reshape(shape) for end, shape in zip(ends, shapes, strict=True)]
        yield np.concatenate(whole, 1).tobytes()


def _formatted(rows: np.ndarray, per_line: int) -> bytes:
    n = rows.shape[1]
    ends = ["\n" if k % per_line == per_line - 1 or k == n - 1 else "" for k in range(n)]
    form = "".join(f" %17.10E{end}" for end in ends)
    return "".join(form % tuple(row) for row in rows).encode()


def _scientific(values: np.ndarray) -> np.ndarray:
    """(n, 18) characters of numbers whose exponents have two digits."""
    size = np.abs(values)
    exponent = np.floor(np.log10(np.where(size > 0, size, 1.0))).astype(np.int64)
    mantissa = np.rint(size * 10.0 ** (10 - exponent))
    # Where the logarithm or the mantissa is rounded up to a power of ten, or the former down.
    exponent += (mantissa >= 1e11).astype(np.int64) - ((mantissa < 1e10) & (size > 0))
    mantissa = np.rint(size * 10.0 ** (10 - exponent)).astype(np.int64)
    text = np.full((len(values), _WIDTH), ord(" "), np.uint8)
    text[np.signbit(values), 1] = ord("-")
    text[:, 3] = ord(".")
    text[:, 14] = ord("E")
    text[:, 15] = np.where(exponent < 0, ord("-"), ord("+"))
    text[:, 16:] = _DIGITS[np.abs(exponent), 1:]
    for first in (11, 8, 5):
        mantissa, digits = np.divmod(mantissa, 1000)
        text[:, first : first + 3] = _DIGITS[digits]
    text[:, 2] = _DIGITS[mantissa, 1]
    text[:, 4] = _DIGITS[mantissa, 2]
    return text
