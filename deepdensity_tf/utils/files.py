"""Files that appear whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deepdensity_tf.utils.errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path that takes the name `path` if the block succeeds.

    The temporary file (or directory) lies beside `path`, keeps its suffixes
    (writers choose formats by them) and is removed if the block raises.

    Parameters
    ----------
    path : str or Path
        Final name. An existing file there is replaced; a directory is not.

    Raises
    ------
    InputError
        If the folder of `path` does not exist or `path` is a directory.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"{path}: is a directory, expected the name of a file to write")
    with _scratch_folder(path) as scratch:
        temporary = scratch / path.name
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)


@contextmanager
def atomic_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary folder that takes the name `path` if the block succeeds.

    Raises
    ------
    InputError
        If `path` exists already or its parent folder does not.
    """
    path = Path(path)
    expect_new(path)
    with _scratch_folder(path) as scratch:
        temporary = scratch / path.name
        temporary.mkdir()
        yield temporary
        os.replace(temporary, path)


def expect_new(path: str | os.PathLike) -> None:
    """Raise InputError if `path` exists already or its parent folder does not."""
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder {path.parent} does not exist")
    if path.exists():
        raise InputError(f"{path}: exists already, choose another name or remove it")


# Scratch folders are .NAME.unfinished-xxxxxxxx, locked by the process that fills them.
_MARK = ".unfinished-"


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    try:
        remove_leftovers([path])
        scratch, lock = _locked_folder(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        yield scratch
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)


def _locked_folder(path: Path) -> tuple[Path, int]:
    """A new scratch folder and the descriptor whose lock says that it is in use."""
    while True:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}{_MARK}", dir=path.parent))
        lock = os.open(scratch, os.O_RDONLY)
        if _lock(lock, unsupported=True) and scratch.exists():
            return scratch, lock
        os.close(lock)  # another process took it for a leftover between the two calls


def remove_leftovers(paths: Iterable[str | os.PathLike]) -> None:
    """Remove what killed processes left of attempts to write files; who still writes keeps it."""
    folders: dict[Path, set[str]] = {}
    for path in map(Path, paths):
        folders.setdefault(path.parent, set()).add(path.name)
    for folder, names in folders.items():
        for leftover in folder.glob(f".*{_MARK}????????"):
            if leftover.name[1:].rpartition(_MARK)[0] in names:
                _remove_unlocked(leftover)


def _remove_unlocked(leftover: Path) -> None:
    try:
        lock = os.open(leftover, os.O_RDONLY)
    except OSError:
        return
    if _lock(lock, unsupported=False):
        shutil.rmtree(leftover, ignore_errors=True)
    os.close(lock)


def _lock(descriptor: int, unsupported: bool) -> bool:
    """Take the lock that ends with the process; False where another process holds it.

    `unsupported` is the answer of a file system without locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unsupported
    return True


def _flush(path: Path) -> None:
    if path.is_file():
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
