"""Density systems: frames by number, read from disk when they are asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepdensity_tf.data.checks import check_frame
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.index import indexed_layouts
from deepdensity_tf.data.layout import PER_ATOM, SetFiles, SystemFiles, find_layouts
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.whole import whole_numbers


class DensitySystem:
    """One system, of one composition or mixed; nothing but its headers is read when it is made.

    Parameters
    ----------
    source : str, Path or SystemFiles
        Folder with type.raw and set.* folders, or such a group of an HDF5 file (file.hdf5#/group).
    type_map : list of str, optional
        The model's elements; None keeps the system's own order.

    Raises
    ------
    InputError
        Missing or damaged files, wrong shapes, an element that is not in `type_map`.
    """

    def __init__(
        self, source: str | Path | SystemFiles, type_map: Sequence[str] | None = None
    ) -> None:
        self.files = source if isinstance(source, SystemFiles) else _single(source)
        self.type_map = list(type_map) if type_map is not None else list(self.files.type_map)
        species = _species(self.files.type_map, self.files.types, tuple(self.type_map))
        self._own = species.own
        self._types = self._counts = None
        if not self.mixed:
            self._types, self._counts = species.types, species.counts
            if species.unknown:
                self._refuse_unknown(self.files.types)
        self._first = np.cumsum([0, *(part.nframes for part in self.files.sets)])

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.files.path)

    @property
    def pbc(self) -> bool:
        """Periodic."""
        return self.files.pbc

    @property
    def mixed(self) -> bool:
        """Whether each frame has its own types."""
        return self.files.mixed

    @property
    def atype(self) -> np.ndarray:
        """(natoms,) types of every frame, in the order of `type_map`.

        Raises
        ------
        InputError
            The system is mixed: types are those of its frames.
        """
        if self._types is None:
            raise InputError(
                f"{self.path}: is a mixed system, expected one of a single composition"
            )
        return self._types

    @property
    def natoms(self) -> int:
        """Atoms in each frame; the most in a mixed system."""
        return len(self.files.types)

    @property
    def nframes(self) -> int:
        """Frames in all sets."""
        return int(self._first[-1])

    def __len__(self) -> int:
        return self.nframes

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(self.nframes))

    def frame(self, index: int) -> Frame:
        """Frame `index`, counted through all sets."""
        if not 0 <= index < self.nframes:
            raise InputError(f"{self.path}: frame {index} asked for, found {self.nframes} frames")
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._frame(self.files.sets[number], index - int(self._first[number]))

    def npoints(self) -> np.ndarray:
        """(nframes,) points of every frame, from headers alone."""
        return np.repeat(
            [part.npoints for part in self.files.sets], [part.nframes for part in self.files.sets]
        )

    def type_counts(self, indices: Sequence[int] | None = None) -> np.ndarray:
        """Atoms of each type in the frames asked for (all), from their types alone.

        Returns
        -------
        np.ndarray
            (nframes, ntypes) int32.

        Raises
        ------
        InputError
            An element that is not in the type map.
        """
        chosen = range(self.nframes) if indices is None else indices
        ntypes = len(self.type_map)
        if self._counts is not None:
            return np.repeat(self._counts, len(chosen), 0)
        own = [
            _row_counts(part.arrays["real_atom_types"].values(), len(self._own), part.name)
            for part in self.files.sets
        ]
        counts = np.concatenate(own)[np.asarray(chosen, dtype=np.int64)]
        self._refuse_unknown(np.flatnonzero(counts.any(0)))
        found = np.zeros((len(chosen), ntypes), dtype=np.int32)
        known = self._own >= 0
        found[:, self._own[known]] = counts[:, known]
        return found

    def check(self) -> None:
        """Read every frame and refuse what no density can be (`data.checks.check_frame`)."""
        for frame in self:
            check_frame(frame)

    def _refuse_unknown(self, own_types: Sequence[int] | np.ndarray) -> None:
        unknown = sorted({self.files.type_map[t] for t in own_types if self._own[t] < 0})
        if unknown:
            raise InputError(
                f"{self.path}/type_map.raw: found {' '.join(unknown)}, "
                f"expected elements of the model: {' '.join(self.type_map)}"
            )

    def _frame(self, part: SetFiles, index: int) -> Frame:
        arrays = part.arrays
        rows = {name: array.row(index) for name, array in arrays.items()}
        coord = np.array(rows["coord"], dtype=np.float64).reshape(-1, 3)
        atype, atoms = self._types, slice(None)
        if atype is None:
            own = _own_types(rows["real_atom_types"], len(self._own), f"{part.name} frame {index}")
            atoms = own >= 0
            coord, own = coord[atoms], own[atoms]
            self._refuse_unknown(own)
            atype = self._own[own]
        return Frame(
            label=f"{part.name} frame {index}",
            coord=coord,
            box=np.array(rows.get("box", np.zeros(9)), dtype=np.float64).reshape(3, 3),
            pbc=self.pbc,
            atype=atype,
            density=rows["density"],
            spin_density=rows.get("spin_density"),
            grid_shape=_grid_shape(rows.get("grid_shape"), part, index),
            loose_points=rows.get("grid"),
            files=tuple({array.file: None for array in arrays.values()}),
            weight=rows.get("weight"),
            full_electrons=float(rows["electrons"]) if "electrons" in rows else None,
            **{name: rows[name][atoms] for name in PER_ATOM if name in rows},
        )


class _Species(NamedTuple):
    """Types of a system's atoms as the model numbers them; -1 where the model has none."""

    own: np.ndarray  # of each of the system's own types
    types: np.ndarray  # of each atom
    counts: np.ndarray  # (1, ntypes) atoms of each type
    unknown: bool  # whether an atom's type is -1


@functools.lru_cache(maxsize=1024)
def _species(
    own_map: tuple[str, ...], own_types: tuple[int, ...], type_map: tuple[str, ...]
) -> _Species:
    """Once for all of thousands of systems of the same atoms."""
    place = {name: index for index, name in enumerate(type_map)}
    own = np.array([place.get(name, -1) for name in own_map], dtype=np.int32)
    types = own[list(own_types)]
    counts = np.bincount(types[types >= 0], minlength=len(type_map)).astype(np.int32)[None]
    for array in (own, types, counts):
        array.flags.writeable = False
    return _Species(own, types, counts, bool((types < 0).any()))


def _single(source: str | Path) -> SystemFiles:
    found = find_layouts(source)
    if len(found) != 1:
        raise InputError(f"{source}: holds {len(found)} systems, expected one")
    return found[0]


def _grid_shape(row: np.ndarray | None, part: SetFiles, index: int) -> tuple[int, ...] | None:
    if row is None:
        return None
    shape = tuple(int(n) for n in row)
    if min(shape) < 1 or shape[0] * shape[1] * shape[2] != part.npoints:
        raise InputError(
            f"{part.name}/grid_shape.npy: frame {index} has grid "
            f"{' x '.join(map(str, shape))}, expected {part.npoints} points as in density.npy"
        )
    return shape


def _row_counts(types: np.ndarray, ntypes: int, name: str) -> np.ndarray:
    """How often each row of types (nframes, natoms), -1 being none, has each type."""
    counts = np.zeros((len(types), ntypes + 1), dtype=np.int32)
    for first in range(0, len(types), 4096):
        rows = _own_types(types[first : first + 4096], ntypes, name)
        number = np.arange(len(rows))[:, None] * (ntypes + 1) + rows + 1
        found = np.bincount(number.ravel(), minlength=len(rows) * (ntypes + 1))
        counts[first : first + 4096] = found.reshape(len(rows), -1)
    return counts[:, 1:]


def _own_types(stored: np.ndarray, ntypes: int, label: str) -> np.ndarray:
    """Checked types as int64; dpdata stores them as floating-point numbers."""
    types = whole_numbers(stored, f"{label}: real_atom_types.npy")
    if types.size and not -1 <= types.min() <= types.max() < ntypes:
        raise InputError(
            f"{label}: real_atom_types.npy holds {types.min()} to {types.max()}, expected types "
            f"0 to {ntypes - 1} of type_map.raw, or -1 for no atom"
        )
    return types


def find_systems(
    paths: str | Path | Sequence[str | Path], type_map: Sequence[str] | None = None
) -> list[DensitySystem]:
    """Systems at the given paths; a folder that is none is searched for type.raw.

    Raises
    ------
    InputError
        A path that does not exist or holds no system.
    """
    paths = [paths] if isinstance(paths, str | Path) else paths
    found = [files for path in paths for files in indexed_layouts(path)]
    if not found:
        raise InputError("systems: found an empty list, expected folders of systems")
    return [DensitySystem(files, type_map) for files in found]
