"""PAW occupancies as numbers that rotate: blocks of real harmonics.

An atom's partial waves come in channels; channel i has the angular momentum l_i. Occupancies
rho_{im,jm'} make a one-centre density, of which each pair of channels i <= j holds, for each
L = |l_i - l_j|, |l_i - l_j| + 2, ..., l_i + l_j and M = -L ... L, the number

    B_{ij,LM} = f sum_{mm'} rho_{im,jm'} int Y_LM Y_{l_i m} Y_{l_j m'},    f = 1 (i = j) or 2,

the coefficient of phi_i(r) phi_j(r) Y_LM in the density. They come in this order: pairs, L, M.
VASP's "augmentation occupancies" have the same blocks in the same order (in units of its own).
What of rho is antisymmetric in m and m' between two channels of one l makes no density and is left
out.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.spherical import gaunt

_LARGEST = 4  # l of a channel: g waves are the most that data sets have


class Block(NamedTuple):
    """2 degree + 1 numbers that rotate like real harmonics of order `degree`."""

    left: int  # channels
    right: int
    degree: int
    start: int  # place of M = -L among the numbers of the atom

    @property
    def part(self) -> slice:
        """Its places."""
        return slice(self.start, self.start + 2 * self.degree + 1)


@functools.cache
def blocks_of(channels: tuple[int, ...]) -> tuple[Block, ...]:
    """The blocks of an atom whose channels have the given l, in the order of their numbers."""
    found, start = [], 0
    for i, left in enumerate(channels):
        for j, right in enumerate(channels[i:], i):
            for degree in range(abs(left - right), left + right + 1, 2):
                found.append(Block(i, j, degree, start))
                start += 2 * degree + 1
    return tuple(found)


def count_of(channels: Sequence[int]) -> int:
    """Numbers of an atom with such channels."""
    found = blocks_of(tuple(channels))
    return found[-1].part.stop if found else 0


@functools.cache
def _transform(channels: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Matrices from occupancies (ni ni,) to numbers and back to the symmetric occupancies."""
    edges = np.cumsum([0, *(2 * angular + 1 for angular in channels)])
    size = int(edges[-1])
    forward = np.zeros((count_of(channels), size, size))
    backward = np.zeros_like(forward)
    for block in blocks_of(channels):
        i, j = block.left, block.right
        rows, columns = slice(*edges[i : i + 2]), slice(*edges[j : j + 2])
        coupling = gaunt(block.degree, channels[i], channels[j])
        # Rows of a Gaunt matrix are orthogonal and of one length.
        back = coupling / (coupling[0] ** 2).sum()
        if i == j:
            forward[block.part, rows, columns] = coupling
            backward[block.part, rows, columns] = back
            continue
        forward[block.part, rows, columns] = coupling
        forward[block.part, columns, rows] = coupling.transpose(0, 2, 1)
        backward[block.part, rows, columns] = 0.5 * back
        backward[block.part, columns, rows] = 0.5 * back.transpose(0, 2, 1)
    return forward.reshape(-1, size**2), backward.reshape(-1, size**2)


def blocks_from_matrix(channels: Sequence[int], matrix: np.ndarray) -> np.ndarray:
    """Numbers of an atom from its occupancies rho (ni, ni), symmetric, ni = sum of 2 l + 1."""
    return _transform(tuple(channels))[0] @ np.asarray(matrix, dtype=np.float64).reshape(-1)


def matrix_from_blocks(channels: Sequence[int], numbers: np.ndarray) -> np.ndarray:
    """Symmetric occupancies (ni, ni) of least norm that have the given numbers."""
    flat = np.asarray(numbers, dtype=np.float64) @ _transform(tuple(channels))[1]
    size = round(np.sqrt(len(flat)))
    return flat.reshape(size, size)


@dataclass(frozen=True)
class Channels:
    """What the numbers of each element are.

    Parameters
    ----------
    code : str
        Whose numbers they are, "vasp" or "gpaw": units and data sets differ.
    of : mapping
        Element to the l of its channels.
    """

    code: str
    of: Mapping[str, tuple[int, ...]]

    def count(self, element: str) -> int:
        """Numbers of an atom of an element; 0 where it has none."""
        return count_of(self.of.get(element, ()))

    @property
    def width(self) -> int:
        """Numbers of the element that has most."""
        return max((self.count(element) for element in self.of), default=0)

    def joined(self, other: Channels, label: str) -> Channels:
        """Those of both.

        Raises
        ------
        InputError
            Another code, or other channels of an element.
        """
        if other.code != self.code:
            raise InputError(
                f"{label}: PAW occupancies of {other.code}, expected those of {self.code}"
            )
        for element in sorted(set(self.of) & set(other.of)):
            if self.of[element] != other.of[element]:
                raise InputError(
                    f"{label}: channels of {element} have l = {list(other.of[element])}, expected "
                    f"{list(self.of[element])} (another PAW data set?)"
                )
        return Channels(self.code, {**self.of, **other.of})

    def to_dict(self) -> dict:
        """As JSON has it."""
        return {"code": self.code, "channels": {e: list(ls) for e, ls in sorted(self.of.items())}}

    def to_json(self) -> str:
        """The text of augmentation.json."""
        return json.dumps(self.to_dict())


def channels_from(value, label: str) -> Channels:
    """Channels from a mapping as `Channels.to_dict` gives it, or from its JSON.

    Raises
    ------
    InputError
        Not such a mapping.
    """
    try:
        if isinstance(value, (str, bytes)):
            value = json.loads(value)
        code, given = value["code"], dict(value["channels"])
        of = {str(element): tuple(ls) for element, ls in given.items()}
        good = code in ("vasp", "gpaw") and of
        for ls in of.values():
            good = good and ls and all(type(n) is int and 0 <= n <= _LARGEST for n in ls)
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise InputError(
            f"{label}: no channels of PAW occupancies, expected "
            '{"code": "vasp" or "gpaw", "channels": {"C": [0, 0, 1, 1]}}, l of each channel'
        )
    return Channels(code, of)


def padded(numbers: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Numbers of each atom as rows of one width, NaN behind them."""
    rows = np.full((len(numbers), width), np.nan)
    for row, values in zip(rows, numbers, strict=True):
        row[: len(values)] = values
    return rows


@dataclass(frozen=True)
class Occupancies:
    """PAW occupancies of the atoms of a structure, as blocks.

    Parameters
    ----------
    channels : Channels
        What the numbers are.
    total : np.ndarray
        (natoms, width) of spin up plus down, NaN behind the numbers of an element.
    spin : np.ndarray, optional
        Up minus down, same shape.
    """

    channels: Channels
    total: np.ndarray
    spin: np.ndarray | None = None

    def of_atoms(self, order: Sequence[int] | np.ndarray) -> Occupancies:
        """Those of the atoms with the given numbers, in that order."""
        spin = None if self.spin is None else self.spin[order]
        return Occupancies(self.channels, self.total[order], spin)

    def rows(self, symbols: Sequence[str], values: np.ndarray) -> list[np.ndarray]:
        """The numbers of each atom of one of the `sets`, without what stands behind them."""
        counts = [self.channels.count(symbol) for symbol in symbols]
        return [row[:count] for row, count in zip(values, counts, strict=True)]

    @property
    def sets(self) -> list[np.ndarray]:
        """Total and, where there is one, spin."""
        return [self.total] if self.spin is None else [self.total, self.spin]


def stored_occupancies(
    data: Mapping[str, np.ndarray], symbols: Sequence[str], label: str
) -> Occupancies | None:
    """Occupancies of the atoms in an .npz file, checked; None where it has none.

    Parameters
    ----------
    data : mapping
        Arrays by name: augmentation, perhaps spin_augmentation, and augmentation_channels (JSON).
    symbols : sequence of str
        Elements of the atoms.
    label : str
        Name for messages.

    Raises
    ------
    InputError
        As `channels_from` and `checked_occupancies`.
    """
    if "augmentation" not in data:
        return None
    given = str(data.get("augmentation_channels"))
    channels = channels_from(given, f"{label}: augmentation_channels")
    sets = [data[key] for key in ("augmentation", "spin_augmentation") if key in data]
    return checked_occupancies(channels, symbols, sets, label)


def checked_occupancies(
    channels: Channels, symbols: Sequence[str], sets: Sequence[np.ndarray], label: str
) -> Occupancies:
    """Occupancies whose numbers are as many as the channels of each element have.

    Parameters
    ----------
    channels : Channels
        What the numbers are.
    symbols : sequence of str
        Elements of the atoms.
    sets : sequence of np.ndarray
        Total and perhaps spin: (natoms, width or more).
    label : str
        Name for messages.

    Raises
    ------
    InputError
        Another shape, numbers missing or too many, an element without channels.
    """
    counts = np.array([channels.count(symbol) for symbol in symbols], dtype=int)
    taken = []
    for values in sets:
        values = np.asarray(values)
        if values.ndim != 2 or len(values) != len(symbols) or values.shape[1] < max(counts):
            raise InputError(
                f"{label}: augmentation has shape {values.shape}, expected "
                f"({len(symbols)}, {max(counts)})"
            )
        wanted = np.arange(values.shape[1]) < counts[:, None]
        wrong = np.flatnonzero((np.isfinite(values) != wanted).any(1))
        if len(wrong):
            atom = int(wrong[0])
            found = int(np.isfinite(values[atom]).sum())
            raise InputError(
                f"{label}: augmentation of atom {atom} ({symbols[atom]}) has {found} numbers, "
                f"expected {counts[atom]} with NaN behind them (channels of another data set?)"
            )
        taken.append(values[:, : channels.width].astype(np.float64))
    return Occupancies(channels, *taken)
