"""Parts put together to systems, in the order of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from deepdensity_tf.data.conversion import ConvertOptions
from deepdensity_tf.data.examination import formula
from deepdensity_tf.data.layout import HDF5_SUFFIXES
from deepdensity_tf.data.parts import FrameRecord, Part
from deepdensity_tf.data.writer import SystemWriter, new_place
from deepdensity_tf.utils.paw_blocks import Channels, channels_from
from deepdensity_tf.utils.progress import track


@dataclass(frozen=True)
class ConvertedFrame:
    """What was read from a file and where it went."""

    file: str
    grid: list[int] | None  # None: loose points
    points: int
    natoms: int
    pbc: bool
    electrons: float | None
    system: str


class _Kind(NamedTuple):
    """Frames of one kind go into one system."""

    formula: str  # empty: any
    pbc: bool
    spin: bool


def assemble(
    files: Sequence[str], parts: Sequence[Path], output: str | Path, options: ConvertOptions
) -> list[ConvertedFrame]:
    """Write the frames of all parts as one system, or one for each kind.

    Parameters
    ----------
    files : sequence of str
        Names of what the parts were read from.
    parts : sequence of Path
        The parts.
    output : str or Path
        Folder or HDF5 file that is not there yet.
    options : ConvertOptions
        With `points`, kinds are mixed systems; with `type_map`, types have that order.

    Returns
    -------
    list of ConvertedFrame
        One for each frame.
    """
    mixed = options.points is not None
    rows: list[tuple[_Kind, ConvertedFrame]] = []
    elements: set[str] = set()
    groups: dict[_Kind, _Group] = {}
    for file, path in zip(files, parts, strict=True):
        with Part(path) as part:
            for record in part.records:
                kind = _kind(record, mixed)
                groups.setdefault(kind, _Group()).add(record)
                elements.update(record.symbols)
                rows.append((kind, _row(record, file)))
    names = _names(list(groups))
    type_map = options.type_map or sorted(elements)
    with new_place(output) as place, track(len(parts), "writing", "files") as advance:
        writers = {
            kind: SystemWriter(
                place.below(name) if name else place, groups[kind].natoms if mixed else None
            )
            for kind, name in names.items()
        }
        for path in parts:
            with Part(path) as part:
                for record, frame in zip(part.records, part.frames(type_map), strict=True):
                    writers[_kind(record, mixed)].add(frame)
            advance()
        for kind, writer in writers.items():
            writer.finish(type_map, groups[kind].channels)
    return [replace(row, system=_path(output, names[kind])) for kind, row in rows]


@dataclass
class _Group:
    """What the frames of one kind have in common."""

    natoms: int = 0  # the most
    channels: Channels | None = None  # of PAW occupancies

    def add(self, record: FrameRecord) -> None:
        self.natoms = max(self.natoms, len(record.symbols))
        if record.channels is not None:
            channels = channels_from(record.channels, record.label)
            self.channels = (self.channels or channels).joined(channels, record.label)


def _kind(record: FrameRecord, mixed: bool) -> _Kind:
    return _Kind("" if mixed else formula(Counter(record.symbols)), record.pbc, record.spin)


def _row(record: FrameRecord, file: str) -> ConvertedFrame:
    natoms = len(record.symbols)
    grid, electrons = record.grid_shape, record.electrons
    return ConvertedFrame(file, grid, record.npoints, natoms, record.pbc, electrons, "")


def _names(kinds: list[_Kind]) -> dict[_Kind, str]:
    """Folders of the kinds: what tells them apart; none for a single one."""
    names = {}
    for kind in kinds:
        alike = [other for other in kinds if other.formula == kind.formula]
        words = [kind.formula] if kind.formula and len(kinds) > 1 else []
        if len({other.pbc for other in alike}) > 1:
            words.append("pbc" if kind.pbc else "nopbc")
        if len({other.spin for other in alike}) > 1:
            words.append("spin" if kind.spin else "nospin")
        names[kind] = "_".join(words)
    return names


def _path(output: str | Path, name: str) -> str:
    if not name:
        return str(output)
    return f"{output}#/{name}" if str(output).endswith(HDF5_SUFFIXES) else str(Path(output) / name)
