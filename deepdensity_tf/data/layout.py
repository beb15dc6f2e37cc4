"""Systems as they lie on disk, dpdata's deepmd/npy, deepmd/npy/mixed and deepmd/hdf5: headers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepdensity_tf.data.arrays import (
    StoredArray,
    WatchedFile,
    hdf5_array,
    npy_array,
    unreadable,
)
from deepdensity_tf.utils.errors import InputError

# Arrays of a set and the kinds of numbers they hold.
ARRAYS = {
    "coord": "f",
    "box": "f",
    "density": "f",
    "spin_density": "f",
    "grid_shape": "iu",
    "grid": "f",
    "weight": "f",
    "electrons": "f",
    "real_atom_types": "iuf",
    "augmentation": "f",
    "spin_augmentation": "f",
    "initial_magmom": "fi",
}
PER_ATOM = ("augmentation", "spin_augmentation", "initial_magmom")  # what a set may say of atoms
HDF5_SUFFIXES = (".hdf5", ".h5")


@dataclass(frozen=True, slots=True)
class SetFiles:
    """One set of a system: its name for messages and its arrays, shapes checked."""

    name: str
    arrays: dict[str, StoredArray]

    @property
    def nframes(self) -> int:
        """Frames in the set."""
        return self.arrays["coord"].shape[0]

    @property
    def npoints(self) -> int:
        """Points of each frame."""
        return self.arrays["density"].shape[1]


@dataclass(frozen=True, slots=True)
class SystemFiles:
    """A system as its headers describe it.

    Parameters
    ----------
    path : str
        Folder, or file.hdf5#/group.
    type_map : tuple of str
        Elements of its own types.
    types : tuple of int
        Of the atoms; all 0 in a mixed system.
    pbc : bool
        Periodic.
    sets : tuple of SetFiles
        At least one.
    """

    path: str
    type_map: tuple[str, ...]
    types: tuple[int, ...]
    pbc: bool
    sets: tuple[SetFiles, ...]

    @property
    def mixed(self) -> bool:
        """Whether each frame has its own types."""
        return "real_atom_types" in self.sets[0].arrays


def may_hold_systems(path: str | Path) -> bool:
    """Whether a path is to be read by `find_layouts`: a folder, an HDF5 file or a group of one."""
    return os.path.isdir(path) or _in_hdf5(os.fspath(path))


def system_paths(path: str | Path) -> list[str]:
    """Paths of the systems at or below a path, which may be no system at all; no header is read."""
    text = os.fspath(path).rstrip("/") or "/"
    if os.path.isdir(text):
        return _folders_of_systems(text, [])
    file, _, group = text.partition("#")
    if not _in_hdf5(text):
        return []
    import h5py

    try:
        with h5py.File(file, "r") as root:
            start = root.get(group or "/")
            found = _groups(start, h5py.Group) if isinstance(start, h5py.Group) else []
            return [f"{file}#{entry.name}" for entry in found]
    except OSError:
        return []


def _in_hdf5(text: str) -> bool:
    return text.partition("#")[0].endswith(HDF5_SUFFIXES) and not os.path.isdir(text)


def find_layouts(path: str | Path, walked: list[str] | None = None) -> list[SystemFiles]:
    """All systems at a path: a system, a folder with systems below, an HDF5 file or a group of it.

    Parameters
    ----------
    path : str or Path
        Where to look.
    walked : list of str, optional
        Takes the folders that were searched: what appears in them may be a system.

    Raises
    ------
    InputError
        Nothing there, or a damaged system.
    """
    text = os.fspath(path).rstrip("/") or "/"
    file, _, group = text.partition("#")
    if _in_hdf5(text) or os.path.isfile(text):
        return _hdf5_systems(file, group or "/", text)
    if not os.path.isdir(text):
        raise InputError(f"{text}: no such folder, expected a system (with type.raw) or HDF5 file")
    folders = _folders_of_systems(text, [] if walked is None else walked)
    if not folders:
        raise InputError(f"{text}: found no type.raw in it or below, expected a system")
    return [_folder_system(folder) for folder in folders]


def _folders_of_systems(path: str, walked: list[str]) -> list[str]:
    """A folder that is a system, else those below it; `walked` takes the folders searched."""
    if os.path.exists(os.path.join(path, "type.raw")):
        return [path]

    def refuse(error: OSError) -> None:
        raise unreadable(str(error.filename or path), error)

    found = []
    for root, folders, files in os.walk(path, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(("set.", "."))]
        walked.append(root)
        if "type.raw" in files:
            found.append(root)
    return sorted(found, key=lambda folder: folder.split("/"))


def _folder_system(path: str) -> SystemFiles:
    type_map = _read_words(f"{path}/type_map.raw")
    types = _types(f"{path}/type.raw", _read_words(f"{path}/type.raw"), type_map)
    names = _names_in(path)
    pbc = "nopbc" not in names
    folders = [f"{path}/{name}" for name in sorted(names) if name.startswith("set.")]
    sets = [_npy_set(folder, len(types), pbc) for folder in folders if os.path.isdir(folder)]
    return _system(path, type_map, types, pbc, sets)


def _names_in(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError as error:
        raise unreadable(folder, error) from None


def _npy_set(folder: str, natoms: int, pbc: bool) -> SetFiles:
    present = _names_in(folder)

    def find(name: str) -> StoredArray | None:
        file = f"{name}.npy"
        return npy_array(f"{folder}/{file}", ARRAYS[name]) if file in present else None

    return _set(folder, find, natoms, pbc)


def _hdf5_systems(file: str, group: str, text: str) -> list[SystemFiles]:
    import h5py

    if not os.path.exists(file):
        raise InputError(f"{file}: no such file, expected an HDF5 file of systems")
    if not h5py.is_hdf5(file):
        raise InputError(f"{file}: is a file but not HDF5, expected a folder or HDF5 file")
    watched = WatchedFile.of(file)
    try:
        root = h5py.File(file, "r")
    except OSError as error:
        raise unreadable(file, error) from None
    with root:
        start = root.get(group)
        if not isinstance(start, h5py.Group):
            raise InputError(f"{file}: found no group {group}, expected one with type.raw")
        found = list(_groups(start, h5py.Group))
        if not found:
            raise InputError(f"{text}: found no type.raw in it or below, expected a system")
        return [_hdf5_system(watched, entry) for entry in found]


def _groups(group: Any, kind: type, above: tuple = ()) -> Iterator[Any]:
    """Groups with type.raw, the group itself or below, by name; a link back up leads nowhere."""
    if "type.raw" in group:
        yield group
        return
    for name in group:
        try:
            child = group.get(name)
        except (KeyError, OSError) as error:
            raise InputError(f"{_place(group)}/{name}: cannot be read ({error})") from None
        if child is None:
            raise InputError(
                f"{_place(group)}/{name}: is a link to what is not there, expected a group or array"
            )
        if isinstance(child, kind) and child not in (group, *above):
            yield from _groups(child, kind, (group, *above))


def _place(group: Any) -> str:
    """Of a group, for messages."""
    return f"{group.file.filename}#{group.name.rstrip('/')}"


def _hdf5_system(file: WatchedFile, group: Any) -> SystemFiles:
    path = f"{file.path}#{group.name}"
    try:
        words = [str(word) for word in np.ravel(group["type.raw"][()])]
        names = [name.decode() for name in np.ravel(group["type_map.raw"][()])]
    except (KeyError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: type.raw or type_map.raw cannot be read ({error})") from None
    types, pbc = _types(f"{_place(group)}/type.raw", words, names), "nopbc" not in group
    sets = [
        _hdf5_set(file, group[name], len(types), pbc)
        for name in sorted(group)
        if name.startswith("set.")
    ]
    return _system(path, names, types, pbc, sets)


def _hdf5_set(file: WatchedFile, group: Any, natoms: int, pbc: bool) -> SetFiles:
    if not hasattr(group, "get"):
        raise InputError(f"{file.path}#{group.name}: found a dataset, expected a group of arrays")

    def find(name: str) -> StoredArray | None:
        dataset = group.get(f"{name}.npy")
        return None if dataset is None else hdf5_array(file, dataset, ARRAYS[name])

    return _set(f"{file.path}#{group.name}", find, natoms, pbc)


def _system(path, type_map, types, pbc, sets: list[SetFiles]) -> SystemFiles:
    if not sets:
        raise InputError(f"{path}: found no set.* folder, expected set.000")
    twice = sorted({name for name in type_map if type_map.count(name) > 1})
    if twice:
        raise InputError(f"{path}: type_map.raw names {' '.join(twice)} twice, expected once each")
    found = SystemFiles(path, tuple(type_map), tuple(types), pbc, tuple(sets))
    for part in sets:
        if ("real_atom_types" in part.arrays) != found.mixed:
            raise InputError(f"{part.name}: real_atom_types.npy in some sets, expected in all")
    return found


def _set(name: str, find: Callable[[str], StoredArray | None], natoms: int, pbc: bool) -> SetFiles:
    """The arrays of a set, their shapes checked against each other."""
    arrays = {key: array for key in ARRAYS if (array := find(key)) is not None}
    for key in ("coord", "density"):
        if key not in arrays:
            raise InputError(f"{name}/{key}.npy: missing")
    coord = arrays["coord"]
    nframes = coord.shape[0] if coord.shape else 0
    if coord.shape != (nframes, 3 * natoms):
        raise InputError(
            f"{name}/coord.npy: found shape {coord.shape}, expected ({nframes}, {3 * natoms}) for "
            f"the {natoms} atoms of type.raw"
        )
    for key in ("density", "spin_density", "weight"):
        if key in arrays:
            arrays[key] = _points_array(f"{name}/{key}.npy", arrays[key], nframes)
    npoints = arrays["density"].shape[1]
    if "grid_shape" in arrays:
        _expect(name, "grid_shape", arrays["grid_shape"], (nframes, 3))
        arrays.pop("grid", None)
        if arrays.pop("weight", None) is not None:
            raise InputError(f"{name}: found weight.npy beside a full grid, expected loose points")
    elif "grid" in arrays:
        if arrays["grid"].shape == (nframes, 3 * npoints):  # as dpdata writes it
            arrays["grid"] = arrays["grid"].reshaped(nframes, npoints, 3)
        _expect(name, "grid", arrays["grid"], (nframes, npoints, 3))
    else:
        raise InputError(f"{name}: found neither grid_shape.npy (full grid) nor grid.npy")
    if "box" in arrays:
        _expect(name, "box", arrays["box"], (nframes, 9))
    elif pbc or "grid_shape" in arrays:  # a molecule with loose points needs none
        raise InputError(f"{name}/box.npy: missing")
    if "electrons" in arrays and arrays["electrons"].shape == (nframes, 1):
        arrays["electrons"] = arrays["electrons"].reshaped(nframes)
    for key, shape in (
        ("spin_density", (nframes, npoints)),
        ("weight", (nframes, npoints)),
        ("electrons", (nframes,)),
        ("real_atom_types", (nframes, natoms)),
        ("initial_magmom", (nframes, natoms)),
    ):
        if key in arrays:
            _expect(name, key, arrays[key], shape)
    _expect_occupancies(name, arrays, (nframes, natoms))
    return SetFiles(name, arrays)


def _expect_occupancies(name: str, arrays: dict[str, StoredArray], shape: tuple[int, int]) -> None:
    """PAW occupancies: some numbers for each atom, as many of the spin as in all."""
    if "augmentation" not in arrays:
        if "spin_augmentation" in arrays:
            raise InputError(f"{name}: found spin_augmentation.npy, expected augmentation.npy too")
        return
    total = arrays["augmentation"]
    if len(total.shape) != 3 or total.shape[:2] != shape:
        raise InputError(
            f"{name}/augmentation.npy: found shape {total.shape}, expected "
            f"({shape[0]}, {shape[1]}, numbers of an atom)"
        )
    if "spin_augmentation" in arrays:
        _expect(name, "spin_augmentation", arrays["spin_augmentation"], total.shape)


def _points_array(label: str, array: StoredArray, nframes: int) -> StoredArray:
    """(nframes, npoints); a last axis of one is dropped."""
    shape = array.shape
    if len(shape) == 3 and shape[2] == 1:
        array = array.reshaped(*shape[:2])
    if len(array.shape) != 2 or array.shape[0] != nframes or array.shape[1] == 0:
        raise InputError(f"{label}: found shape {shape}, expected ({nframes}, number of points)")
    return array


def _expect(name: str, key: str, array: StoredArray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InputError(f"{name}/{key}.npy: found shape {array.shape}, expected {shape}")


def _read_words(path: str) -> list[str]:
    try:
        with open(path, "rb", buffering=0) as stream:
            words = stream.read().decode().split()
    except FileNotFoundError:
        raise InputError(f"{path}: missing") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if not words:
        raise InputError(f"{path}: empty")
    return words


def _types(label: str, words: Iterable[str], type_map: list[str]) -> list[int]:
    types = []
    for word in words:
        if not (word.isascii() and word.isdigit()) or int(word) >= len(type_map):
            raise InputError(
                f"{label}: found {word!r}, expected types 0 to {len(type_map) - 1} of type_map.raw"
            )
        types.append(int(word))
    return types
