"""What all readers of density files share."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.number_text import parse_numbers

if TYPE_CHECKING:
    import ase

BOHR = 0.529177210903  # Å, CODATA 2018
UNITS = {"e/bohr3": BOHR**-3, "e/ang3": 1.0}  # in electrons/Å^3
_OPENERS: dict[bytes, Callable] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}  # by the first bytes: names are often wrong
_EXPONENT = re.compile(r"\d*\.\d*[EeDd]?[-+]\d{2,3}")
_UNKNOWN = {b"\x28\xb5\x2f\xfd": "zstd", b"\x1f\x9d": "compress", b"7z\xbc\xaf": "7-Zip"}


def is_compressed(path: Path) -> bool:
    """Whether the first bytes of a file are those of gzip, bzip2 or xz."""
    with open(path, "rb") as stream:
        return stream.read(6).startswith(tuple(_OPENERS))


def open_bytes(path: Path) -> BinaryIO:
    """A file's bytes as a stream, plain or compressed by gzip, bzip2 or xz."""
    with open(path, "rb") as stream:
        start = stream.read(6)
    opener = next((open_ for magic, open_ in _OPENERS.items() if start.startswith(magic)), open)
    return opener(path, "rb")


def read_bytes(path: Path, count: int = -1) -> bytes:
    """All or the first `count` bytes of a file, plain or compressed by gzip, bzip2 or xz.

    Raises
    ------
    InputError
        Missing, unreadable or damaged.
    """
    try:
        with open_bytes(path) as stream:
            data = stream.read(count)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})") from None
    for magic, name in _UNKNOWN.items():
        if data.startswith(magic):
            raise InputError(
                f"{path}: compressed by {name}, expected plain, gzip, bzip2 or xz (unpack it first)"
            )
    if data.startswith(b"version https:") and b"git-lfs" in data[:60]:
        raise InputError(f"{path}: a pointer of Git LFS, expected the file itself (git lfs pull)")
    if data[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise InputError(f"{path}: a page of the web (HTML), expected a file of data")
    return data


def read_text(path: Path) -> str:
    """Text of a file, plain or compressed by gzip, bzip2 or xz.

    Bytes that are no UTF-8 (comments in Latin-1) come as Latin-1 characters; line ends as \\n.

    Raises
    ------
    InputError
        Missing, unreadable, damaged or empty.
    """
    data = read_bytes(path)
    if b"\0" in data[:65536]:
        raise InputError(f"{path}: cannot be read as text (holds binary data)")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if not text.strip():
        raise InputError(f"{path}: empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_last_number(text: str, path: Path) -> None:
    """Refuse a text that was cut within its last number: 1.2345E-0 reads as 1.2345.

    Raises
    ------
    InputError
        No line end, and a last word shorter than those before, which are all of one length.
    """
    words = [word.lstrip("-+") for word in text[-500:].split()[-6:]]
    if text.endswith("\n") or len(words) < 6:
        return
    *before, last = words
    if all(_EXPONENT.fullmatch(word) for word in before[1:]) and len(last) < min(
        map(len, before[1:])
    ):
        raise InputError(f"{path}: truncated: ends within a number, {last!r}")


def numbers(text: str, path: Path, what: str, count: int) -> np.ndarray:
    """The first `count` numbers of a text as float64.

    Raises
    ------
    InputError
        Fewer numbers than that, or words that are no finite numbers.
    """
    try:
        values = parse_numbers(text, count)
    except ValueError as error:
        raise InputError(f"{path}: {what}: {error}") from None
    if len(values) < count:
        raise InputError(f"{path}: truncated: found {len(values)} {what}, expected {count}")
    return _finite(values, path, what)


def numbers_to_the_end(text: str, path: Path, what: str, count: int) -> np.ndarray:
    """The `count` numbers that a text consists of.

    Raises
    ------
    InputError
        As `numbers`; anything that follows them.
    """
    try:
        values = parse_numbers(text, count + 1)
    except ValueError:  # in the numbers, or first behind them
        values = np.append(numbers(text, path, what, count), np.nan)
    if len(values) > count:
        raise InputError(
            f"{path}: more follows the {count} {what} that its grid has, expected one value a "
            "point and one data set a file (several values a point, or joined files?)"
        )
    return numbers(text, path, what, count) if len(values) < count else _finite(values, path, what)


def _finite(values: np.ndarray, path: Path, what: str) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError(f"{path}: {what} hold NaN or infinity")
    return values


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def make_atoms(path: Path, species, positions: np.ndarray, cell: np.ndarray, pbc) -> ase.Atoms:
    """Atoms of the given symbols or atomic numbers, positions and cell in Å.

    Raises
    ------
    InputError
        Unknown elements, or arrays that do not go together.
    """
    import ase

    try:
        atoms = ase.Atoms(species, positions, cell=cell, pbc=pbc)
        if len(atoms) and atoms.numbers.min() < 0:
            raise KeyError(int(atoms.numbers.min()))
        atoms.get_chemical_symbols()
    except LookupError as error:
        raise InputError(f"{path}: no valid atoms (no such element: {error})") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: no valid atoms ({first_line(error)})") from None
    return atoms
