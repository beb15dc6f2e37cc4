"""Density systems on disk: dpdata's deepmd/npy layout plus densities, memory-mapped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from deepdensity_tf.utils.errors import InputError


@dataclass(frozen=True)
class WatchedFile:
    """A memory-mapped file as it was when opened: to read it after it shrank would be fatal."""

    path: Path
    state: tuple[int, int, int]  # inode, bytes, time of the last change

    @classmethod
    def of(cls, path: Path) -> WatchedFile:
        """The file as it is now."""
        stat = os.stat(path)
        return cls(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))

    def check(self) -> None:
        """Raise InputError if the file is another one now, or gone."""
        try:
            same = WatchedFile.of(self.path) == self
        except OSError:
            raise InputError(f"{self.path}: was removed while in use") from None
        if not same:
            raise InputError(f"{self.path}: was changed while in use")


@dataclass(frozen=True)
class Frame:
    """One snapshot with its reference density."""

    label: str  # for messages: "path/set.000 frame 3"
    coord: np.ndarray  # (natoms, 3) float64, Å
    box: np.ndarray  # (3, 3) float64 rows, Å; where pbc is False it only spans the grid
    pbc: bool
    atype: np.ndarray  # (natoms,) int32, in the order of the model's type_map
    density: np.ndarray  # (npoints,) view of the memory-mapped file, electrons/Å^3
    spin_density: np.ndarray | None
    grid_shape: tuple[int, ...] | None  # None: loose points
    loose_points: np.ndarray | None  # (npoints, 3) memory-mapped view, Å
    files: tuple[WatchedFile, ...] = ()  # what the views above map

    def check_unchanged(self) -> None:
        """Raise InputError if a file behind this frame has changed since it was opened."""
        for file in self.files:
            file.check()

    def points(self, index: np.ndarray | None = None) -> np.ndarray:
        """Positions (n, 3) float64 in Å of all points, or of those with the given flat indices."""
        if self.loose_points is not None:
            chosen = self.loose_points if index is None else self.loose_points[index]
            return np.asarray(chosen, dtype=np.float64)
        index = np.arange(len(self.density)) if index is None else index
        fractional = np.stack(np.unravel_index(index, self.grid_shape), -1) / self.grid_shape
        return fractional @ self.box

    @property
    def volume_element(self) -> float | None:
        """Å^3 a point; None for loose points."""
        if self.grid_shape is None:
            return None
        return float(abs(np.linalg.det(self.box)) / len(self.density))

    @cached_property
    def electrons(self) -> float | None:
        """Integral of the density over the grid; None for loose points."""
        if self.volume_element is None:
            return None
        return float(np.sum(self.density, dtype=np.float64) * self.volume_element)

    @property
    def model_box(self) -> np.ndarray:
        """Box as the graph takes it: (9,), zeros where the frame is not periodic."""
        return self.box.ravel() if self.pbc else np.zeros(9)


class DensitySystem:
    """One system folder; its sets are opened when it is made, densities stay on disk.

    Parameters
    ----------
    path : str or Path
        Folder with type.raw and set.* folders.
    type_map : list of str, optional
        The model's elements; None keeps the system's own order.

    Raises
    ------
    InputError
        Missing or damaged files, wrong shapes, an element that is not in `type_map`.
    """

    def __init__(self, path: str | Path, type_map: list[str] | None = None):
        self.path = Path(path)
        own_map = _read_words(self.path / "type_map.raw")
        own_types = _read_types(self.path / "type.raw", own_map)
        self.type_map = list(type_map) if type_map is not None else own_map
        unknown = sorted({own_map[t] for t in own_types} - set(self.type_map))
        if unknown:
            raise InputError(
                f"{self.path}/type_map.raw: found {' '.join(unknown)}, "
                f"expected elements of the model: {' '.join(self.type_map)}"
            )
        self.atype = np.array([self.type_map.index(own_map[t]) for t in own_types], dtype=np.int32)
        self.pbc = not (self.path / "nopbc").exists()
        folders = sorted(folder for folder in self.path.glob("set.*") if folder.is_dir())
        if not folders:
            raise InputError(f"{self.path}: found no set.* folder, expected set.000")
        self._sets = [_Set(folder, self.natoms, self.pbc) for folder in folders]

    @property
    def natoms(self) -> int:
        """Atoms in each frame."""
        return len(self.atype)

    @property
    def nframes(self) -> int:
        """Frames in all sets."""
        return sum(part.nframes for part in self._sets)

    def __len__(self) -> int:
        return self.nframes

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(self.nframes))

    def frame(self, index: int) -> Frame:
        """Frame `index`, counted through all sets."""
        if not 0 <= index < self.nframes:
            raise InputError(f"{self.path}: frame {index} asked for, found {self.nframes} frames")
        for part in self._sets:
            if index < part.nframes:
                return part.frame(index, self.atype)
            index -= part.nframes
        raise AssertionError("unreachable: the index was checked")

    def check(self) -> None:
        """Read every frame and refuse what no density can be.

        Raises
        ------
        InputError
            NaN or infinity, a box of no volume or left-handed, atoms on top of each other,
            a number of electrons that betrays wrong units.
        """
        for frame in self:
            check_frame(frame)


class _Set:
    """One set.* folder, arrays memory-mapped."""

    def __init__(self, folder: Path, natoms: int, pbc: bool):
        self._folder, self._pbc = folder, pbc
        names = ("density.npy", "spin_density.npy", "grid.npy")
        paths = [folder / name for name in names if (folder / name).is_file()]
        self._files = tuple(WatchedFile.of(path) for path in paths)
        self._coord = _load(folder / "coord.npy", "f")
        self.nframes = len(self._coord) if self._coord.ndim else 0
        self._expect("coord.npy", self._coord, (self.nframes, 3 * natoms))
        self._density = self._points_array("density.npy")
        npoints = self._density.shape[1]
        self._grid_shape = self._loose = self._spin = None
        if (folder / "grid_shape.npy").exists():
            self._grid_shape = _load(folder / "grid_shape.npy", "iu")
            self._expect("grid_shape.npy", self._grid_shape, (self.nframes, 3))
            self._check_grid(npoints)
        elif (folder / "grid.npy").exists():
            self._loose = _load(folder / "grid.npy", "f")
            if self._loose.shape == (self.nframes, 3 * npoints):  # as dpdata writes it
                self._loose = self._loose.reshape(self.nframes, npoints, 3)
            self._expect("grid.npy", self._loose, (self.nframes, npoints, 3))
        else:
            raise InputError(f"{folder}: found neither grid_shape.npy (full grid) nor grid.npy")
        self._box = self._load_box()
        if (folder / "spin_density.npy").exists():
            self._spin = self._points_array("spin_density.npy")
            self._expect("spin_density.npy", self._spin, self._density.shape)

    def frame(self, index: int, atype: np.ndarray) -> Frame:
        """Frame `index` of this set."""
        shape = self._grid_shape
        return Frame(
            label=f"{self._folder} frame {index}",
            coord=np.array(self._coord[index], dtype=np.float64).reshape(-1, 3),
            box=np.array(self._box[index], dtype=np.float64).reshape(3, 3),
            pbc=self._pbc,
            atype=atype,
            density=self._density[index],
            spin_density=None if self._spin is None else self._spin[index],
            grid_shape=None if shape is None else tuple(int(n) for n in shape[index]),
            loose_points=None if self._loose is None else self._loose[index],
            files=self._files,
        )

    def _load_box(self) -> np.ndarray:
        """(nframes, 9); without periodicity and grid there need not be one."""
        path = self._folder / "box.npy"
        if not self._pbc and self._grid_shape is None and not path.exists():
            return np.zeros((self.nframes, 9))
        box = _load(path, "f")
        self._expect("box.npy", box, (self.nframes, 9))
        return box

    def _points_array(self, name: str) -> np.ndarray:
        """(nframes, npoints); a last axis of one is dropped."""
        array = _load(self._folder / name, "f")
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        if array.ndim != 2 or len(array) != self.nframes or array.shape[1] == 0:
            raise InputError(
                f"{self._folder / name}: found shape {array.shape}, "
                f"expected ({self.nframes}, number of points)"
            )
        return array

    def _expect(self, name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise InputError(f"{self._folder / name}: found shape {array.shape}, expected {shape}")

    def _check_grid(self, npoints: int) -> None:
        for index, shape in enumerate(np.asarray(self._grid_shape, dtype=np.int64)):
            if shape.min() < 1 or np.prod(shape) != npoints:
                raise InputError(
                    f"{self._folder}/grid_shape.npy: frame {index} has grid "
                    f"{' x '.join(map(str, shape))}, expected {npoints} points as in density.npy"
                )


def find_systems(paths: str | list[str], type_map: list[str] | None = None) -> list[DensitySystem]:
    """Systems at the given paths; a folder that is none is searched for type.raw.

    Raises
    ------
    InputError
        A path that does not exist or holds no system.
    """
    systems = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path}: no such folder, expected a system (with type.raw)")
        found = [path] if (path / "type.raw").exists() else None
        found = found or sorted(file.parent for file in path.rglob("type.raw"))
        if not found:
            raise InputError(f"{path}: found no type.raw in it or below, expected a system")
        systems += [DensitySystem(folder, type_map) for folder in found]
    if not systems:
        raise InputError("systems: found an empty list, expected folders of systems")
    return systems


def data_checksum(frames: Iterable[Frame], type_map: Sequence[str]) -> str:
    """What identifies data: the same for the same frames wherever they lie and however cut in sets.

    Parameters
    ----------
    frames : iterable of Frame
        In the order in which they are used.
    type_map : sequence of str
        Elements of the frames' types.

    Returns
    -------
    str
        "sha256:" and 64 hexadecimal digits, over elements, cells, positions, points and densities.
    """
    digest = hashlib.sha256()
    for frame in frames:
        symbols = " ".join(type_map[t] for t in frame.atype)
        digest.update(f"{symbols} {frame.pbc} {frame.grid_shape}".encode())
        arrays = (frame.box, frame.coord, frame.density, frame.spin_density, frame.loose_points)
        for array in arrays:
            if array is not None:
                digest.update(f"{array.dtype.str} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
    return f"sha256:{digest.hexdigest()}"


# Bounds of electrons an atom: what lies outside is a density in other units than electrons/Å^3.
_FEWEST, _MOST = 0.05, 150.0
_CLOSEST = 0.1  # Å
_FARTHEST = 1e6  # Å
_FLAT = 1e-9  # Å^3


def check_frame(frame: Frame) -> None:
    """Refuse a frame that no density calculation can have made (see DensitySystem.check)."""
    _check_finite(frame.label, coord=frame.coord, box=frame.box)
    for name, array in (("coord", frame.coord), ("box", frame.box)):
        farthest = np.abs(array).max(initial=0)
        if farthest > _FARTHEST:
            raise InputError(
                f"{frame.label}: {name} holds {farthest:.3g} Å, expected at most {_FARTHEST:g} Å"
            )
    if frame.grid_shape is not None or frame.pbc:
        volume = float(np.linalg.det(frame.box))
        if volume <= _FLAT:
            kind = "left-handed" if volume < -_FLAT else "of no volume"
            raise InputError(
                f"{frame.label}: box is {kind} ({volume:.6g} Å^3), "
                "expected a right-handed cell in Å"
            )
    _check_finite(
        frame.label,
        density=frame.density,
        spin_density=frame.spin_density,
        grid=frame.loose_points,
    )
    _check_distances(frame)
    electrons = frame.electrons
    natoms = len(frame.coord)
    if electrons is not None and not _FEWEST * natoms <= electrons <= _MOST * natoms:
        raise InputError(
            f"{frame.label}: density integrates to {electrons:.4g} electrons for {natoms} "
            "atoms; expected electrons/Å^3 (1 electron/bohr^3 = 6.7483 electrons/Å^3)"
        )


def _check_finite(label: str, **arrays: np.ndarray | None) -> None:
    for name, array in arrays.items():
        # The sum is finite if and only if all entries are (they are far from overflow).
        if array is None:
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            total = np.sum(array, dtype=np.float64)
        if not np.isfinite(total):
            raise InputError(f"{label}: {name} holds NaN or infinity")


def _check_distances(frame: Frame) -> None:
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    atoms = Atoms(numbers=frame.atype, positions=frame.coord, cell=frame.box, pbc=frame.pbc)
    first, second, distance = neighbor_list("ijd", atoms, _CLOSEST)
    if len(distance):
        worst = int(np.argmin(distance))
        raise InputError(
            f"{frame.label}: coord has atoms {first[worst]} and {second[worst]} "
            f"{distance[worst]:.3g} Å apart, expected at least {_CLOSEST} Å"
        )


def _load(path: Path, kinds: str) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise InputError(f"{path}: missing") from None
    except Exception as error:  # NumPy reads headers with Python's parser, which raises at will
        reason = str(error).splitlines()[0] if str(error) else "empty"
        if "pickle" in reason:  # NumPy's guess at any file without the header
            reason = "no header"
        raise InputError(f"{path}: not a complete .npy file ({reason})") from None
    if array.dtype.kind not in kinds:
        wanted = "floating-point" if kinds == "f" else "integer"
        raise InputError(f"{path}: found {array.dtype} numbers, expected {wanted}")
    return array


def _read_words(path: Path) -> list[str]:
    try:
        words = path.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        raise InputError(f"{path}: missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if not words:
        raise InputError(f"{path}: empty")
    return words


def _read_types(path: Path, type_map: list[str]) -> list[int]:
    types = []
    for word in _read_words(path):
        if not (word.isascii() and word.isdigit()) or int(word) >= len(type_map):
            raise InputError(
                f"{path}: found {word!r}, expected types 0 to {len(type_map) - 1} of type_map.raw"
            )
        types.append(int(word))
    return types
