"""Frames of one input on their way to a system: an archive each, whole or not there.

A conversion of thousands of files that is killed finds here what it had done.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepdensity_tf import __version__
from deepdensity_tf.data.conversion import ConvertOptions, NamedFrame
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.layout import PER_ATOM
from deepdensity_tf.utils.errors import InputError

_ARRAYS = (
    "coord",
    "box",
    "density",
    "spin_density",
    "loose_points",
    "weight",
    *PER_ATOM,
)
_STOP = "stop"
_DENSITIES = ("density", "spin_density")  # stored as systems hold them, in single precision


class Source(NamedTuple):
    """What is converted: a density file or system, and a file that is added to it."""

    file: str
    extra: str | None = None


@dataclass(frozen=True)
class FrameRecord:
    """What is known of a frame of a part without its arrays."""

    label: str
    symbols: list[str]
    pbc: bool
    grid_shape: list[int] | None
    electrons: float | None
    npoints: int
    spin: bool
    channels: str | None  # of PAW occupancies, as JSON


class Parts:
    """The folder of the parts, beside the output.

    Parameters
    ----------
    path : Path
        Made when the first part is written.
    options : ConvertOptions
        Parts made with others do not count.
    """

    def __init__(self, path: Path, options: ConvertOptions):
        self.path, self.options = path, options

    def find(self, source: Source) -> Path:
        """Where the part of a source is, or is to be: another one if the source changes."""
        facts = [__version__, repr(self.options), source]
        facts += [_state(name) for name in source if name is not None]
        return self.path / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}.npz"

    def write(self, path: Path, frames: Iterable[NamedFrame]) -> None:
        """Write the part of a source."""
        self.path.mkdir(exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            with open(unfinished, "wb") as stream:
                with zipfile.ZipFile(stream, "w") as archive:
                    records = [
                        _write_frame(archive, number, found) for number, found in enumerate(frames)
                    ]
                    archive.writestr("records.json", json.dumps([vars(r) for r in records]))
                os.fsync(stream.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)

    @property
    def stopped(self) -> bool:
        """Whether a process has come upon a fault that ends the run."""
        return (self.path / _STOP).exists()

    @property
    def faults(self) -> dict[Path, str]:
        """Messages on sources without frames."""
        return {path.with_suffix(".npz"): path.read_text() for path in self.path.glob("*.fault")}

    def write_fault(self, path: Path, message: str, stop: bool) -> None:
        """Keep what is wrong with a source in place of its part; tell all processes to stop."""
        self.path.mkdir(exist_ok=True)
        path.with_suffix(".fault").write_text(message)
        if stop:
            (self.path / _STOP).touch()

    def forget_faults(self) -> None:
        """The files may be right now, or the disk."""
        for path in [*self.path.glob("*.fault"), self.path / _STOP]:
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """All parts."""
        shutil.rmtree(self.path, ignore_errors=True)


class Part(AbstractContextManager):
    """An archive, open to be read."""

    def __init__(self, path: Path):
        try:
            self._archive = np.load(path)
            self.records = [
                FrameRecord(**entry) for entry in json.loads(self._archive["records.json"])
            ]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: damaged, remove it ({error})") from None

    def __exit__(self, *_exception) -> None:
        self._archive.close()

    def frames(self, type_map: list[str]) -> Iterator[Frame]:
        """The frames, their types counted by a type map."""
        for number, record in enumerate(self.records):
            arrays = {name: self._array(number, name) for name in _ARRAYS}
            yield Frame(
                label=record.label,
                pbc=record.pbc,
                atype=np.array([type_map.index(s) for s in record.symbols], dtype=np.int32),
                grid_shape=None if record.grid_shape is None else tuple(record.grid_shape),
                full_electrons=record.electrons,
                **arrays,
            )

    def _array(self, number: int, name: str) -> Any:
        key = f"{number}.{name}"
        return self._archive[key] if key in self._archive else None


def _write_frame(archive: zipfile.ZipFile, number: int, found: NamedFrame) -> FrameRecord:
    frame = found.frame
    for name in _ARRAYS:
        values = getattr(frame, name)
        if values is None:
            continue
        dtype = np.float32 if name in _DENSITIES else values.dtype
        with archive.open(f"{number}.{name}.npy", "w", force_zip64=True) as stream:
            np.lib.format.write_array(stream, np.asarray(values, dtype=dtype))
    return FrameRecord(
        label=frame.label,
        symbols=found.symbols,
        pbc=frame.pbc,
        grid_shape=None if frame.grid_shape is None else list(frame.grid_shape),
        electrons=frame.electrons,
        npoints=len(frame.density),
        spin=frame.spin_density is not None,
        channels=None if found.channels is None else found.channels.to_json(),
    )


def _state(path: str) -> list:
    """Sizes and times of change of a file, or of all below a folder; empty if there is none."""
    path = path.partition("#")[0] if "#" in path and not os.path.exists(path) else path
    paths = [path]
    for root, folders, files in os.walk(path):
        folders.sort()
        paths += [os.path.join(root, name) for name in sorted(files)]
    states = []
    for name in paths:
        if os.path.isfile(name):
            stat = os.stat(name)
            states.append([name, stat.st_size, stat.st_mtime_ns])
    return states
