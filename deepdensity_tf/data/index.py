"""The index of a data set: headers of thousands of files, kept in one file beside them.

It holds for files that have the sizes and times of change it knows, and for folders that have
those times; else the data set is read anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deepdensity_tf.data.arrays import StoredArray, WatchedFile, file_state
from deepdensity_tf.data.layout import SetFiles, SystemFiles, find_layouts
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path
from deepdensity_tf.utils.garbage import uncollected

log = logging.getLogger(__name__)

_VERSION = 2
_NAME = ".deepdensity_index.json"
# Fewer systems are read in no time: no file appears among them.
_MANY = 200
# A file may change again without new times within these (ns): clocks of files tick, on some file
# systems (FAT, old NFS) by whole seconds.
_TICK, _COARSE_TICK, _SECOND = 50_000_000, 2_000_000_000, 1_000_000_000
# After it (s), what was written before has settled.
SETTLE = 1.2e-9 * _TICK


def indexed_layouts(path: str | Path) -> list[SystemFiles]:
    """`find_layouts`, from the index if there is one that holds; a large data set gets one."""
    root = os.fspath(path).rstrip("/") or "/"
    with uncollected():
        found = _read(root)
        if found is not None:
            log.debug("%s: %d systems from the index", root, len(found))
            return found
        start, walked = time.time_ns(), list[str]()
        found = find_layouts(root, walked)
        if len(found) >= _MANY:
            _write(root, found, walked, start)
        return found


def settled(times: Iterable[int], now: int) -> bool:
    """Whether a change after `now` would show in the times of change known by then (ns)."""
    newest = max(times, default=0)
    return newest + (_TICK if newest % _SECOND else _COARSE_TICK) <= now


def files_settled(systems: Iterable[SystemFiles], now: int) -> bool:
    """Whether changes after `now` (ns) would show in the times known of all files of arrays."""
    return settled((t for array in _arrays(systems) for t in array.file.state[1:]), now)


def side_files(root: str, name: str) -> list[Path]:
    """Where what is known of a data set may lie: beside it, else in the user's cache."""
    base = root.partition("#")[0]
    beside = Path(base, name) if os.path.isdir(base) else Path(f"{base}{name}")
    digest = hashlib.sha256(os.path.realpath(base).encode()).hexdigest()[:20]
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return [beside]
    return [beside, Path(home, "deepdensity_tf", f"{digest}{name}")]


def write_side_file(root: str, name: str, content: Any) -> Path | None:
    """Write JSON beside a data set, or to the cache where that is not possible, or nowhere."""
    beside, *cached = side_files(root, name)
    for target in (beside, *cached):
        try:
            if target is not beside:
                target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")
            return target
        except (InputError, OSError) as error:
            log.debug("%s: not written (%s)", target, error)
    return None


def read_side_files(root: str, name: str, version: int) -> Iterator[dict]:
    """What `write_side_file` wrote, here or there; what is beside the data may be out of date."""
    for source in side_files(root, name):
        try:
            content = json.loads(source.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("version") == version:
            yield content


def _write(root: str, found: list[SystemFiles], walked: list[str], start: int) -> None:
    base = root.partition("#")[0]
    if any(a.file.path != base for a in _arrays(found) if a.dataset):
        return  # links to other HDF5 files
    folders, texts = set(walked), []
    for system in found:
        if os.path.isdir(system.path):
            folders |= {system.path, *(part.name for part in system.sets)}
            texts += [f"{system.path}/type.raw", f"{system.path}/type_map.raw"]
    folders.discard(base)  # the index itself lies there
    tables = _Tables()
    systems = [_packed(system, base, tables) for system in found]
    states = {
        key: {_relative(path, base): file_state(os.stat(path)) for path in paths}
        for key, paths in (("folders", sorted(folders)), ("texts", texts))
    }
    times = (t for s in (*states["folders"].values(), *states["texts"].values()) for t in s[1:])
    if not (settled(times, start) and files_settled(found, start)):
        log.debug("%s: changed a moment ago, not indexed", root)
        return
    content = {
        "version": _VERSION,
        "group": root.partition("#")[2],
        "listing": _listing(base),
        **states,
        "kinds": list(tables.kinds),
        "species": list(tables.species),
        "systems": systems,
    }
    target = write_side_file(root, _NAME, content)
    if target is not None:
        log.info("%s: index of %d systems written", target, len(found))


def _read(root: str) -> list[SystemFiles] | None:
    """The systems of an index that holds."""
    for content in read_side_files(root, _NAME, _VERSION):
        try:
            found = _systems(content, root)
        except (OSError, KeyError, ValueError, TypeError, IndexError):
            continue
        if found is not None:
            return found
    return None


def _systems(content: dict, root: str) -> list[SystemFiles] | None:
    base, _, group = root.partition("#")
    if content["group"] != group or content["listing"] != _listing(base):
        return None
    for name, state in (*content["folders"].items(), *content["texts"].items()):
        if file_state(os.stat(_absolute(name, base))) != tuple(state):
            return None
    reader = _Reader(content, base)
    systems = [reader.system(*entry) for entry in content["systems"]]
    return systems if reader.unchanged else None


def _listing(base: str) -> str:
    """What changes when a system is added at the top; the index itself lies there too."""
    if not os.path.isdir(base):
        return ""
    names = sorted(name for name in os.listdir(base) if not name.startswith("."))
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def _arrays(systems: Iterable[SystemFiles]) -> Iterator[StoredArray]:
    return (array for s in systems for part in s.sets for array in part.arrays.values())


def _relative(path: str, base: str) -> str:
    """The path from the base: the data set may be moved as a whole."""
    return path[len(base) :].lstrip("/")


class _Tables:
    """What many arrays and systems share, each kind once: its place by its content."""

    def __init__(self) -> None:
        self.kinds: dict[tuple, int] = {}
        self.species: dict[tuple, int] = {}


def _packed(system: SystemFiles, base: str, tables: _Tables) -> list:
    species = (system.type_map, system.types, system.pbc)
    place = tables.species.setdefault(species, len(tables.species))
    sets = [
        [_relative(part.name, base), [_row(*item, tables) for item in part.arrays.items()]]
        for part in system.sets
    ]
    return [_relative(system.path, base), place, sets]


def _row(key: str, array: StoredArray, tables: _Tables) -> list[int]:
    kind = (key, array.dtype, array.shape, array.offset, array.fortran, array.dataset)
    return [tables.kinds.setdefault(kind, len(tables.kinds)), *array.file.state]


class _Reader:
    """Systems of an index; `unchanged` until one of their files is another one now."""

    def __init__(self, content: dict, base: str):
        self._base, self.unchanged = base, True
        self._kinds = [
            (key, dtype, tuple(shape), *rest) for key, dtype, shape, *rest in content["kinds"]
        ]
        self._species = [
            (tuple(names), tuple(types), pbc) for names, types, pbc in content["species"]
        ]
        self._whole = WatchedFile.of(base)  # of HDF5

    def system(self, path: str, species: int, sets: list) -> SystemFiles:
        """A system from its entry."""
        parts = tuple(self._set(_absolute(name, self._base), rows) for name, rows in sets)
        return SystemFiles(_absolute(path, self._base), *self._species[species], parts)

    def _set(self, name: str, rows: list) -> SetFiles:
        arrays = {}
        for place, *state in rows:
            key, dtype, shape, offset, fortran, dataset = self._kinds[place]
            file = self._whole if dataset else WatchedFile.of(f"{name}/{key}.npy")
            self.unchanged = self.unchanged and file.state == tuple(state)
            arrays[key] = StoredArray(file, dtype, shape, offset, fortran, dataset)
        return SetFiles(name, arrays)


def _absolute(name: str, base: str) -> str:
    """Path of a file or folder, or of a group of the HDF5 file that the base is."""
    return f"{base}{name}" if not name or name.startswith("#") else f"{base}/{name}"
