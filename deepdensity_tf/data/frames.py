"""Frames of many systems as one sequence: read when drawn, checked the first time."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepdensity_tf.data.checks import check_frame, examine_frame
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.formats.findings import report


class FrameList(Sequence):
    """Chosen frames of systems, in order; nothing is kept in memory but their numbers.

    Parameters
    ----------
    systems : sequence of DensitySystem
        With the same type map.
    chosen : sequence of sequences of int
        Frames of each system.
    checked : bool
        The values need not be checked again.
    force : bool
        Warn of what is odd instead of refusing it (see `data.checks.check_frame`).
    """

    def __init__(
        self,
        systems: Sequence[DensitySystem],
        chosen: Sequence[Sequence[int]],
        checked: bool = False,
        force: bool = False,
    ):
        self.systems, self.chosen = list(systems), list(chosen)
        self._first = np.cumsum([0, *map(len, self.chosen)])
        self._checked = np.full(len(self), checked)
        # Of frames seen before: their densities need not be read in full again.
        self._sums: dict[int, dict] = {}
        self._examined: set[int] = set()  # systems
        self._doubted = False
        self._force = force

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, index):
        """The frame; InputError if it is asked for the first time and can be no density."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index = int(index) % len(self)
        number, within = self._place(index)
        frame = self.systems[number].frame(within)
        if not self._checked[index]:
            frame.check_unchanged()
            check_frame(frame, self._force)
            self._checked[index] = True
            self._doubt(frame, number)
        return replace(frame, sums=self._sums.setdefault(index, {}))

    def _place(self, index: int) -> tuple[int, int]:
        """The system that a frame is of, and its place there."""
        number = int(np.searchsorted(self._first, index, side="right")) - 1
        return number, self.chosen[number][index - int(self._first[number])]

    def label(self, index: int) -> str:
        """Name of a frame, for messages; it is not read."""
        number, within = self._place(index)
        return f"{self.systems[number].path} frame {within}"

    def _doubt(self, frame: Frame, number: int) -> None:
        """Say, once, what is odd about a system's first frame to be seen."""
        if self._doubted or number in self._examined:
            return
        self._examined.add(number)
        findings = examine_frame(frame, self.systems[number].type_map)
        report(findings, frame.label, self._force)
        self._doubted = bool(findings)

    @property
    def sizes(self) -> np.ndarray:
        """(nsystems,) frames of each system."""
        return np.diff(self._first)

    @property
    def npoints(self) -> np.ndarray:
        """(nframes,) points of each frame, from headers."""
        pairs = zip(self.systems, self.chosen, strict=True)
        return np.concatenate([system.npoints()[np.asarray(chosen)] for system, chosen in pairs])

    @functools.cached_property
    def type_counts(self) -> np.ndarray:
        """(nframes, ntypes) int32, atoms of each type in each frame, from types alone."""
        pairs = zip(self.systems, self.chosen, strict=True)
        return np.concatenate([system.type_counts(chosen) for system, chosen in pairs])

    def check(self) -> None:
        """Check all frames now."""
        for _ in self:
            pass


class Part(Sequence):
    """Some of the frames of another list."""

    def __init__(self, frames: Sequence[Frame], indices: Sequence[int] | np.ndarray):
        self._frames, self._indices = frames, [int(index) for index in indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index):
        """The frame, or a list of frames."""
        if isinstance(index, slice):
            return [self._frames[i] for i in self._indices[index]]
        return self._frames[self._indices[index]]


@dataclass(frozen=True)
class ElementCount:
    """How much of an element there is in data."""

    atoms: int
    frames: int


def element_counts(frames: FrameList) -> dict[str, ElementCount]:
    """Atoms and frames of each element of the type map, from types alone; densities stay unread.

    Raises
    ------
    InputError
        A mixed system holds an element that is not in the type map.
    """
    counts = frames.type_counts
    atoms, present = counts.sum(0, dtype=np.int64), (counts > 0).sum(0)
    return {
        name: ElementCount(int(atoms[place]), int(present[place]))
        for place, name in enumerate(frames.systems[0].type_map)
    }


def frames_of_all_elements(
    counts: np.ndarray, each: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Frames that stand for the data: every element is in `each` of them, if it is in so many.

    Parameters
    ----------
    counts : np.ndarray
        (nframes, ntypes), `FrameList.type_counts`.
    each : int
        Frames wanted of each element.
    count : int
        Frames wanted in all; more are taken where the elements need them.
    rng : np.random.Generator
        Source of randomness.

    Returns
    -------
    np.ndarray
        Different numbers of frames, rising.
    """
    present = counts > 0
    order = rng.permutation(len(counts))
    taken = np.zeros(len(counts), dtype=bool)
    for element in np.argsort(present.sum(0), kind="stable"):  # the rarest first
        missing = each - int(present[taken, element].sum())
        if missing > 0:
            with_it = order[present[order, element] & ~taken[order]]
            taken[with_it[:missing]] = True
    missing = count - int(taken.sum())
    if missing > 0:
        taken[order[~taken[order]][:missing]] = True
    return np.flatnonzero(taken)


# What the checksum looks at: enough to tell data sets apart, little enough for any size.
_CHECKSUM_FRAMES, _CHECKSUM_POINTS = 512, 64


def data_checksum(frames: Sequence[Frame], type_map: Sequence[str]) -> str:
    """What identifies data: the same for the same frames wherever they lie and however cut in sets.

    It covers the number of frames and, of up to 512 of them spread evenly over all: elements,
    cell, positions, number of points, and 64 points with their densities. A change elsewhere
    does not show.

    Parameters
    ----------
    frames : sequence of Frame
        In the order in which they are used.
    type_map : sequence of str
        Elements of the frames' types.

    Returns
    -------
    str
        "sha256:" and 64 hexadecimal digits.
    """
    digest = hashlib.sha256(str(len(frames)).encode())
    for index in _evenly(len(frames), _CHECKSUM_FRAMES):
        frame = frames[index]
        symbols = " ".join(type_map[t] for t in frame.atype)
        npoints = len(frame.density)
        digest.update(f"{symbols} {frame.pbc} {frame.grid_shape} {npoints}".encode())
        some = _evenly(npoints, _CHECKSUM_POINTS)
        points = (frame.density, frame.spin_density, frame.loose_points, frame.weight)
        parts = [None if array is None else array[some] for array in points]
        for array in (frame.box, frame.coord, *parts):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
    return f"sha256:{digest.hexdigest()}"


def _evenly(total: int, most: int) -> np.ndarray:
    """Up to `most` of the numbers below `total`, evenly spread."""
    count = min(total, most)
    return ((np.arange(count) + 0.5) * total / max(count, 1)).astype(np.int64)
