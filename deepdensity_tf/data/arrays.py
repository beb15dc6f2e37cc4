"""Arrays on disk, .npy or HDF5: found by header, mapped when used, few open at a time."""

from __future__ import annotations

import errno
import functools
import io
import math
import os
import resource
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepdensity_tf.utils.errors import InputError

# Files open at a time: a quarter of what the system grants, the rest is for TensorFlow and Python.
_MOST_OPEN = 256


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file as it was when its header was read: to map it after it shrank would be fatal."""

    path: str
    state: tuple[int, int, int]  # as `file_state` has it

    @classmethod
    def of(cls, path: str | os.PathLike) -> WatchedFile:
        """The file as it is now."""
        return cls(os.fspath(path), file_state(os.stat(path)))

    def check(self) -> None:
        """Raise InputError if the file is another one now, or gone."""
        try:
            # Not by the third number: a change of rights or another hard link is none of its bytes.
            same = file_state(os.stat(self.path))[:2] == self.state[:2]
        except OSError:
            raise InputError(f"{self.path}: was removed while in use") from None
        if not same:
            raise InputError(f"{self.path}: was changed while in use")


def file_state(stat: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file does: bytes, times of the last change of them and of anything (ns).

    The first time may be set at will (cp -p, rsync -t), the second not.
    """
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@dataclass(frozen=True, slots=True)
class StoredArray:
    """Where an array lies and what shape it has; its values are read when they are asked for.

    Parameters
    ----------
    file : WatchedFile
        The .npy or HDF5 file.
    dtype : str
        NumPy's name of the type of its numbers, with byte order.
    shape : tuple of int
        First axis: frames.
    offset : int
        Of its first number in the file; -1 where HDF5 keeps it in chunks.
    fortran : bool
        The first axis runs fastest.
    dataset : str
        Its path in an HDF5 file; empty in a .npy file.
    """

    file: WatchedFile
    dtype: str
    shape: tuple[int, ...]
    offset: int
    fortran: bool = False
    dataset: str = ""

    @property
    def label(self) -> str:
        """Name for messages."""
        return f"{self.file.path}#{self.dataset}" if self.dataset else self.file.path

    def reshaped(self, *shape: int) -> StoredArray:
        """The same numbers in another shape (C order, not in chunks), or itself."""
        if self.shape == shape or self.fortran or self.offset < 0:
            return self
        return StoredArray(self.file, self.dtype, shape, self.offset, False, self.dataset)

    def values(self) -> np.ndarray:
        """The array, memory-mapped; read where it lies in chunks."""
        if self.offset < 0:
            return self._dataset()[()]
        return _opened((self.file, self.offset, self.shape), self._map)

    def row(self, index: int) -> np.ndarray:
        """`values()[index]`, without reading more than that."""
        return self._dataset()[index] if self.offset < 0 else self.values()[index]

    def _map(self) -> np.ndarray:
        self.file.check()
        order = "F" if self.fortran else "C"
        return np.memmap(self.file.path, self.dtype, "r", self.offset, self.shape, order)

    def _dataset(self) -> Any:
        import h5py

        def opened() -> h5py.File:
            self.file.check()
            return h5py.File(self.file.path, "r")

        return _opened((self.file, -1, ()), opened)[self.dataset]


class _Opened:
    """Memory maps and files in use, the least recently used are let go; any thread may ask.

    What a caller still holds stays open until it is done with it.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def __call__(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        try:
            made = make()
        except OSError as error:
            raise unreadable(key[0].path, error) from None
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > max(8, min(_MOST_OPEN, open_files_limit() // 4)):
                self._kept.popitem(last=False)
        return made


_opened = _Opened()


def open_files_limit() -> int:
    """Files this process may have open (`ulimit -n`)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 10**6


def unreadable(path: str, error: OSError) -> InputError:
    """What to say of a file that cannot be opened or read."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return InputError(
            f"{path}: cannot be opened, {open_files_limit()} files are open already, which is "
            "the limit of this shell (ulimit -n)"
        )
    return InputError(f"{path}: cannot be read ({error.strerror or error})")


def npy_array(path: str, kinds: str) -> StoredArray:
    """Header of a .npy file.

    Parameters
    ----------
    path : str
        The file.
    kinds : str
        NumPy's letters of the numbers it may hold: f floating-point, i and u integers.

    Raises
    ------
    InputError
        Missing, damaged, cut short, or numbers of another kind.
    """
    try:
        stat, start = _start_of_file(path)
        length, skip = _header_length(start)
        if len(start) < skip + length:
            stat, start = _start_of_file(path, skip + length)
        shape, fortran, dtype = _parse_header(start[6:8], start[skip : skip + length])
    except FileNotFoundError:
        raise InputError(f"{path}: missing") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except Exception as error:  # NumPy reads headers with Python's parser, which raises at will
        reason = str(error).splitlines()[0] if str(error) else "empty"
        raise InputError(f"{path}: not a complete .npy file ({reason})") from None
    if min(shape, default=0) < 0:
        raise InputError(f"{path}: not a complete .npy file (found the shape {shape})")
    offset = skip + length
    expected = offset + math.prod(shape) * dtype.itemsize
    if dtype.hasobject or stat.st_size < expected:
        found = "Python objects" if dtype.hasobject else f"{stat.st_size} bytes of {expected}"
        raise InputError(f"{path}: not a complete .npy file (found {found})")
    expect_kind(path, dtype, kinds)
    return StoredArray(WatchedFile(path, file_state(stat)), dtype.str, shape, offset, fortran)


def _start_of_file(path: str, count: int = 1024) -> tuple[os.stat_result, bytes]:
    """The first bytes of a file, without the buffers of `open`, which cost more than the bytes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.fstat(descriptor), os.read(descriptor, count)
    finally:
        os.close(descriptor)


def expect_kind(label: str, dtype: np.dtype, kinds: str) -> None:
    """Raise InputError unless the numbers are of one of the kinds (NumPy's letters)."""
    if dtype.kind not in kinds:
        wanted = "floating-point" if kinds == "f" else "integer"
        raise InputError(f"{label}: found {dtype} numbers, expected {wanted}")


def _header_length(start: bytes) -> tuple[int, int]:
    """Length of the header of a .npy file, and where it begins."""
    if not start:
        raise ValueError("empty")
    if start[:6] != b"\x93NUMPY":
        raise ValueError("no header")
    width = 2 if start[6] == 1 else 4
    return int.from_bytes(start[8 : 8 + width], "little"), 8 + width


@functools.lru_cache(maxsize=4096)
def _parse_header(version: bytes, header: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of numbers; thousands of files share a few headers."""
    if version[0] == 1:
        stream = io.BytesIO(len(header).to_bytes(2, "little") + header)
        return np.lib.format.read_array_header_1_0(stream)
    stream = io.BytesIO(len(header).to_bytes(4, "little") + header)
    return np.lib.format.read_array_header_2_0(stream)


def hdf5_array(file: WatchedFile, dataset: Any, kinds: str) -> StoredArray:
    """An h5py dataset as a StoredArray; where it lies in one piece it is memory-mapped like .npy.

    Raises
    ------
    InputError
        Not a dataset, or numbers of another kind.
    """
    label = f"{file.path}#{dataset.name}"
    if not hasattr(dataset, "dtype"):
        raise InputError(f"{label}: found a group, expected a dataset")
    expect_kind(label, dataset.dtype, kinds)
    elsewhere = dataset.external or dataset.is_virtual
    if dataset.size and not elsewhere and not dataset.id.get_storage_size():
        raise InputError(
            f"{label}: has the shape {dataset.shape} but no numbers, expected them (was the "
            "program that wrote it killed?)"
        )
    home = dataset.file.filename  # of a link to another file: that one
    if not os.path.samefile(home, file.path):
        file = WatchedFile.of(home)
    offset = dataset.id.get_offset() if dataset.chunks is None and not elsewhere else None
    place = -1 if offset is None else int(offset)
    return StoredArray(file, dataset.dtype.str, dataset.shape, place, False, dataset.name)
