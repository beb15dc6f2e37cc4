"""Systems written frame by frame: what is added goes to disk at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepdensity_tf.data import augmentation
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_folder
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
        Folder to make.
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
    with atomic_folder(path) as folder:
        writer = SystemWriter(folder, mixed)
        for frame in frames:
            writer.add(frame)
        writer.finish(type_map, channels=channels)


class SystemWriter:
    """A system that grows by frames.

    Parameters
    ----------
    folder : Path
        Existing, empty folder. It is a system only after `finish`.
    mixed : int, optional
        A mixed system, of frames with up to so many atoms; None: all frames have the same atoms.
    """

    def __init__(self, folder: Path, mixed: int | None = None):
        self._folder = folder
        self._mixed = mixed
        self._first: Frame | None = None
        self._sets: dict[tuple, dict[str, _GrowingArray]] = {}

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
            "grid": (frame.loose_points, np.float64),
            "weight": (frame.weight, np.float64),
            "electrons": (None if frame.grid_shape else frame.full_electrons, np.float64),
            "real_atom_types": (self._padded(frame.atype, -1) if self._mixed else None, np.int32),
            "augmentation": (self._padded(frame.augmentation, np.nan), np.float64),
            "spin_augmentation": (self._padded(frame.spin_augmentation, np.nan), np.float64),
        }
        rows = {name: row for name, row in rows.items() if row[0] is not None}
        key = (len(frame.density), *rows, np.shape(frame.augmentation)[1:])
        if key not in self._sets:
            part = self._folder / f"set.{len(self._sets):03d}"
            part.mkdir()
            self._sets[key] = {
                name: _GrowingArray(part / f"{name}.npy", np.dtype(dtype), np.shape(row))
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

    def finish(
        self,
        type_map: list[str],
        atype: np.ndarray | None = None,
        channels: Channels | None = None,
    ) -> None:
        """Complete the system.

        Parameters
        ----------
        type_map : list of str
            Elements of the types.
        atype : np.ndarray, optional
            (natoms,) types in `type_map`, where the frames counted them in another one; not for
            a mixed system.
        channels : Channels, optional
            What the PAW occupancies are, where frames have them.

        Raises
        ------
        InputError
            No frame was added.
        """
        if self._first is None:
            raise InputError(f"{self._folder.name}: found no frame to write, expected at least one")
        for arrays in self._sets.values():
            for array in arrays.values():
                array.finish()
        types = self._first.atype if atype is None else atype
        if self._mixed:
            types = np.zeros(self._mixed, dtype=int)
        (self._folder / "type.raw").write_text("".join(f"{t}\n" for t in types))
        (self._folder / "type_map.raw").write_text("".join(f"{name}\n" for name in type_map))
        if not self._first.pbc:
            (self._folder / "nopbc").touch()
        if channels is not None:
            (self._folder / augmentation.NAME).write_text(channels.to_json() + "\n")


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
