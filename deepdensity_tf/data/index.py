"""The index of a data set: headers of thousands of files, kept in one file beside them.

It holds for files that have the sizes and times of change it knows, and for folders that have
those times; else the data set is read anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from deepdensity_tf.data.arrays import StoredArray, WatchedFile, file_state
from deepdensity_tf.data.layout import SetFiles, SystemFiles, find_layouts
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

log = logging.getLogger(__name__)

_VERSION = 1
_NAME = ".deepdensity_index.json"
# Fewer systems are read in no time: no file appears among them.
_MANY = 200


def indexed_layouts(path: str | Path) -> list[SystemFiles]:
    """`find_layouts`, from the index if there is one that holds; a large data set gets one."""
    root = os.fspath(path).rstrip("/") or "/"
    found = _read(root)
    if found is not None:
        log.debug("%s: %d systems from the index", root, len(found))
        return found
    found = find_layouts(root)
    if len(found) >= _MANY:
        _write(root, found)
    return found


def side_file(root: str, name: str) -> list[Path]:
    """Where what is known of a data set may lie: beside it, else in the user's cache."""
    base = root.partition("#")[0]
    beside = Path(base, name) if os.path.isdir(base) else Path(f"{base}{name}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "deepdensity_tf")
    digest = hashlib.sha256(os.path.realpath(base).encode()).hexdigest()[:20]
    return [beside, cache / f"{digest}{name}"]


def write_side_file(root: str, name: str, content: Any) -> Path | None:
    """Write JSON beside a data set, or to the cache where that is not possible, or nowhere."""
    beside, cached = side_file(root, name)
    for target in (beside, cached):
        try:
            if target is cached:
                target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary:
                temporary.write_text(json.dumps(content), encoding="utf-8")
            return target
        except (InputError, OSError) as error:
            log.debug("%s: not written (%s)", target, error)
    return None


def read_side_file(root: str, name: str) -> Any:
    """What `write_side_file` wrote; None where there is nothing that can be read."""
    for source in side_file(root, name):
        try:
            content = json.loads(source.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("version") == _VERSION:
            return content
    return None


def _write(root: str, found: list[SystemFiles]) -> None:
    base = root.partition("#")[0]
    folders, texts = set(), set()
    for system in found:
        if os.path.isdir(system.path):
            folders |= {system.path, *(part.name for part in system.sets)}
            folders |= {
                str(parent) for parent in Path(system.path).parents if _within(parent, base)
            }
            texts |= {f"{system.path}/type.raw", f"{system.path}/type_map.raw"}
    folders.discard(base)
    content = {
        "version": _VERSION,
        "group": root.partition("#")[2],
        "listing": _listing(base),
        "folders": {_relative(path, base): os.stat(path).st_mtime_ns for path in sorted(folders)},
        "texts": {_relative(path, base): file_state(os.stat(path)) for path in sorted(texts)},
        "systems": [_packed(system, base) for system in found],
    }
    target = write_side_file(root, _NAME, content)
    if target is not None:
        log.info("%s: index of %d systems written", target, len(found))


def _read(root: str) -> list[SystemFiles] | None:
    """The systems of an index that holds."""
    content = read_side_file(root, _NAME)
    if content is None:
        return None
    base, _, group = root.partition("#")
    try:
        if content["group"] != group or content["listing"] != _listing(base):
            return None
        for name, time in content["folders"].items():
            if os.stat(os.path.join(base, name)).st_mtime_ns != time:
                return None
        for name, state in content["texts"].items():
            if file_state(os.stat(os.path.join(base, name))) != tuple(state):
                return None
        seen: set[WatchedFile] = set()
        systems = [_unpacked(entry, base, seen) for entry in content["systems"]]
        for file in seen:
            file.check()
    except (OSError, KeyError, ValueError, TypeError, IndexError, InputError):
        return None
    return systems


def _within(path: Path, base: str) -> bool:
    return path == Path(base) or Path(base) in path.parents


def _listing(base: str) -> str:
    """What changes when a system is added at the top; the index itself lies there too."""
    if not os.path.isdir(base):
        return ""
    names = sorted(name for name in os.listdir(base) if not name.startswith("."))
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def _relative(path: str, base: str) -> str:
    """The path from the base: the data set may be moved as a whole."""
    return path[len(base) :].lstrip("/")


def _packed(system: SystemFiles, base: str) -> list:
    sets = [
        [_relative(part.name, base), {name: _row(a, base) for name, a in part.arrays.items()}]
        for part in system.sets
    ]
    names, types = list(system.type_map), list(system.types)
    return [_relative(system.path, base), names, types, system.pbc, sets]


def _row(array: StoredArray, base: str) -> list:
    file = array.file
    where = [_relative(file.path, base), *file.state]
    return [*where, array.dtype, array.shape, array.offset, array.fortran, array.dataset]


def _unpacked(entry: list, base: str, seen: set[WatchedFile]) -> SystemFiles:
    path, names, types, pbc, sets = entry
    parts = []
    for name, rows in sets:
        arrays = {key: _array(row, base, seen) for key, row in rows.items()}
        parts.append(SetFiles(_absolute(name, base), arrays))
    return SystemFiles(_absolute(path, base), tuple(names), tuple(types), pbc, tuple(parts))


def _array(row: list, base: str, seen: set[WatchedFile]) -> StoredArray:
    name, size, time, dtype, shape, offset, fortran, dataset = row
    file = WatchedFile(_absolute(name, base), (size, time))
    seen.add(file)
    return StoredArray(file, dtype, tuple(shape), offset, fortran, dataset)


def _absolute(name: str, base: str) -> str:
    """Path of a file or folder, or of a group of the HDF5 file that the base is."""
    return f"{base}{name}" if not name or name.startswith("#") else f"{base}/{name}"
