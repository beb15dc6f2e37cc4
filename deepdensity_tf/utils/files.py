"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
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
    if not path.parent.is_dir():
        raise InputError(f"{path}: its folder {path.parent} does not exist")
    if path.exists():
        raise InputError(f"{path}: exists already, choose another name or remove it")
    with _scratch_folder(path) as scratch:
        temporary = scratch / path.name
        temporary.mkdir()
        yield temporary
        os.replace(temporary, path)


@contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        yield scratch
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _flush(path: Path) -> None:
    if path.is_file():
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
