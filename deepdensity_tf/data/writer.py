"""Systems written frame by frame: what is added goes to disk at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepdensity_tf.data import augmentation
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.layout import HDF5_SUFFIXES
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_folder, atomic_path, expect_new
from deepdensity_tf.utils.paw_blocks import Channels


def write_system(
    path: str | Path,
    frames: Iterable[Frame],
    type_map: list[str],
    mixed: int | None = None,
    channels: Channels | None = None,
) -> None:
    """Write frames as a system; those with equal numbers of points share a set.

    Parameters
    ----------
    path : str or Path
        Folder or HDF5 file to make.
    frames : iterable of Frame
        At least one; all with the same types and periodicity. Read one by one.
    type_map : list of str
        Elements of the types.
    mixed : int, optional
        Write a mixed system, with types for each frame, for frames of up to so many atoms.
    channels : Channels, optional
        What the PAW occupancies are, where frames have them.

    Raises
    ------
    InputError
        `path` exists, there is no frame, or the frames differ in their atoms.
    """
    with new_place(path) as place:
        writer = SystemWriter(place, mixed)
        for frame in frames:
            writer.add(frame)
        writer.finish(type_map, channels)


class SystemWriter:
    """A system that grows by frames.

    Parameters
    ----------
    place : FolderPlace or Hdf5Place
        Empty. It is a system only after `finish`.
    mixed : int, optional
        A mixed system, of frames with up to so many atoms; None: all frames have the same atoms.
    """

    def __init__(self, place: Place, mixed: int | None = None):
        self._place = place
        self._mixed = mixed
        self._first: Frame | None = None
        self._sets: dict[tuple, dict[str, Any]] = {}

    def add(self, frame: Frame) -> None:
        """Append a frame, density as float32, to the set of its number of points.

        Raises
        ------
        InputError
            Its atoms, periodicity or spin differ from those of the first frame.
        """
        first = self._first = self._first or frame
        same = self._mixed or np.array_equal(frame.atype, first.atype)
        same = same and (frame.spin_density is None) == (first.spin_density is None)
        if not same or frame.pbc != first.pbc:
            raise InputError(f"{frame.label}: other atoms, periodicity or spin than {first.label}")
        rows = {
            "coord": (self._padded(frame.coord, 0.0).ravel(), np.float64),
            "box": (frame.box.ravel(), np.float64),
            "density": (frame.density, np.float32),
            "spin_density": (frame.spin_density, np.float32),
            "grid_shape": (frame.grid_shape, np.int32),
            "grid": (frame.loose_points, _own_precision(frame.loose_points)),
            "weight": (frame.weight, _own_precision(frame.weight)),
            "electrons": (None if frame.grid_shape else frame.full_electrons, np.float64),
            "real_atom_types": (self._padded(frame.atype, -1) if self._mixed else None, np.int32),
            "augmentation": (self._padded(frame.augmentation, np.nan), np.float64),
            "spin_augmentation": (self._padded(frame.spin_augmentation, np.nan), np.float64),
            "initial_magmom": (self._padded(frame.initial_magmom, 0.0), np.float64),
        }
        rows = {name: row for name, row in rows.items() if row[0] is not None}
        key = (len(frame.density), *rows, np.shape(frame.augmentation)[1:])
        if key not in self._sets:
            part = f"set.{len(self._sets):03d}"
            self._sets[key] = {
                name: self._place.array(f"{part}/{name}.npy", np.dtype(dtype), np.shape(row))
                for name, (row, dtype) in rows.items()
            }
        for name, array in self._sets[key].items():
            array.append(rows[name][0])

    def _padded(self, values: np.ndarray | None, padding: float) -> np.ndarray | None:
        """As many rows as the system has atoms."""
        if values is None:
            return None
        missing = (self._mixed or len(values)) - len(values)
        if missing < 0:
            raise InputError(f"expected at most {self._mixed} atoms, found {len(values)}")
        rest = np.full((missing, *values.shape[1:]), padding, dtype=values.dtype)
        return np.concatenate([values, rest])

    def finish(self, type_map: list[str], channels: Channels | None = None) -> None:
        """Complete the system.

        Parameters
        ----------
        type_map : list of str
            Elements of the types.
        channels : Channels, optional
            What the PAW occupancies are, where frames have them.

        Raises
        ------
        InputError
            No frame was added.
        """
        if self._first is None:
            raise InputError(f"{self._place}: found no frame to write, expected at least one")
        for arrays in self._sets.values():
            for array in arrays.values():
                array.finish()
        types = self._first.atype
        if self._mixed:
            types = np.zeros(self._mixed, dtype=int)
        self._place.finish(types, type_map, self._first.pbc)
        if channels is not None:
            self._place.write(augmentation.NAME, channels.to_json())


def _own_precision(values: np.ndarray | None) -> type:
    return np.float32 if values is not None and values.dtype == np.float32 else np.float64


class FolderPlace:
    """A folder that becomes a system.

    Parameters
    ----------
    path : Path
        Made if it is not there.
    """

    def __init__(self, path: Path):
        self._path = path
        path.mkdir(exist_ok=True)

    def __str__(self) -> str:
        return self._path.name

    def below(self, name: str) -> FolderPlace:
        """The place of a system below."""
        return FolderPlace(self._path / name)

    def array(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> _GrowingArray:
        """A new array of rows of a shape."""
        path = self._path / name
        path.parent.mkdir(exist_ok=True)
        return _GrowingArray(path, dtype, shape)

    def finish(self, types: np.ndarray, type_map: list[str], pbc: bool) -> None:
        """Write what all frames share."""
        (self._path / "type.raw").write_text("".join(f"{t}\n" for t in types))
        (self._path / "type_map.raw").write_text("".join(f"{name}\n" for name in type_map))
        if not pbc:
            (self._path / "nopbc").touch()

    def write(self, name: str, text: str) -> None:
        """Write a text beside."""
        (self._path / name).write_text(f"{text}\n")


class Hdf5Place:
    """A group of an HDF5 file that becomes a system; arrays of points are compressed.

    Parameters
    ----------
    group : h5py.Group
        Empty.
    """

    def __init__(self, group: Any):
        self._group = group

    def __str__(self) -> str:
        return f"{self._group.file.filename}#{self._group.name}"

    def below(self, name: str) -> Hdf5Place:
        """The place of a system below."""
        return Hdf5Place(self._group.create_group(name))

    def array(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> Any:
        """A new array of rows of a shape."""
        if name.rpartition("/")[2] in _OF_POINTS:
            return _GrowingDataset(self._group, name, dtype, shape)
        return _KeptArray(self._group, name, dtype)

    def finish(self, types: np.ndarray, type_map: list[str], pbc: bool) -> None:
        """Write what all frames share."""
        self._group["type.raw"] = np.asarray(types, dtype=np.int64)
        self._group["type_map.raw"] = np.array(type_map, dtype="S")
        if not pbc:
            self._group["nopbc"] = True

    def write(self, name: str, text: str) -> None:
        """Write a text beside."""
        self._group[name] = text


Place = FolderPlace | Hdf5Place
_OF_POINTS = ("density.npy", "spin_density.npy", "grid.npy", "weight.npy")


@contextmanager
def new_place(path: str | Path) -> Iterator[Place]:
    """A folder or, by its name, HDF5 file that appears when the block succeeds.

    Raises
    ------
    InputError
        It exists, or its folder does not.
    """
    if not str(path).endswith(HDF5_SUFFIXES):
        with atomic_folder(path) as folder:
            yield FolderPlace(folder)
        return
    import h5py

    expect_new(path)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        yield Hdf5Place(file)


@dataclass
class _GrowingDataset:
    """Rows of points in HDF5: a chunk a row, and a column of a position."""

    group: Any
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]  # of a row

    def __post_init__(self):
        self._dataset = self.group.create_dataset(
            self.name,
            (0, *self.shape),
            self.dtype,
            maxshape=(None, *self.shape),
            chunks=(1, self.shape[0], 1)[: 1 + len(self.shape)],
            compression="gzip",
            shuffle=True,
        )

    def append(self, row) -> None:
        self._dataset.resize(len(self._dataset) + 1, axis=0)
        self._dataset[-1] = row

    def finish(self) -> None:
        """Nothing is left to do."""


@dataclass
class _KeptArray:
    """Small rows for HDF5, kept until their number is known: they lie in one piece."""

    group: Any
    name: str
    dtype: np.dtype
    rows: list[np.ndarray] = field(default_factory=list)

    def append(self, row) -> None:
        self.rows.append(np.asarray(row, dtype=self.dtype))

    def finish(self) -> None:
        self.group[self.name] = np.array(self.rows)


@dataclass
class _GrowingArray:
    """A .npy file that gets row after row; its header is true only after `finish`."""

    path: Path
    dtype: np.dtype
    shape: tuple[int, ...]  # of a row
    nrows: int = 0

    def __post_init__(self):
        with open(self.path, "wb") as stream:
            self._write_header(stream)

    def append(self, row) -> None:
        row = np.ascontiguousarray(row, dtype=self.dtype)
        with open(self.path, "ab") as stream:
            stream.write(row.data)
        self.nrows += 1

    def finish(self) -> None:
        # NumPy's headers leave room for the first axis to grow: the length does not change.
        with open(self.path, "r+b") as stream:
            self._write_header(stream)

    def _write_header(self, stream) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.nrows, *self.shape),
        }
        np.lib.format.write_array_header_1_0(stream, header)
