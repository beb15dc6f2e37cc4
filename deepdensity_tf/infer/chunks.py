"""Any number of points of one frame, so many at once as fit in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from deepdensity_tf.infer.session import GraphSession
from deepdensity_tf.utils.errors import InputError

_MAX_POINTS = 2**18  # at once; those of the C library, so that both have the same numbers


class ChunkedPoints:
    """Evaluates tensors of a graph at points and on grids.

    Parameters
    ----------
    graph : GraphSession
        Of a frozen model.
    atom_tensors : list of str
        What chunks of points share of the atoms.
    max_pairs : int
        Pairs of a point and an atom held in memory at once.
    """

    def __init__(self, graph: GraphSession, atom_tensors: list[str], max_pairs: int):
        self._graph, self._atom_tensors, self._max_pairs = graph, atom_tensors, max_pairs

    def at(self, name: str, feeds: dict, points: np.ndarray, tail: tuple = ()) -> np.ndarray:
        """A tensor at points (npoints, 3) of the frame in `feeds`: (npoints, *tail)."""
        chunks = list(self._chunks(feeds, points))
        if any(key not in feeds for key in self._atom_tensors):
            feeds = {**feeds, **self._atom_state(feeds, len(chunks))}
        out = np.empty((len(points), *tail))
        for chunk in chunks:
            some = points[None, chunk]
            shape = (1, some.shape[1], *tail)
            out[chunk] = self._graph.shaped(name, {**feeds, "t_point:0": some}, shape)[0]
        return out

    def on_grid(self, name: str, frame: dict, cell: np.ndarray, shape: tuple) -> Iterator[tuple]:
        """Parts of a grid, as slices, and a tensor's values there; 0 elsewhere."""
        parts = self._parts if "o_grid_parts" in self._graph else self._blocks
        return parts(name, frame, cell, shape)

    def _parts(self, name, frame, cell, shape) -> Iterator[tuple]:
        """By the op that knows grids: those within reach of an atom."""
        grid = {"t_grid_shape:0": shape, "t_grid_box:0": cell.reshape(-1)}
        parts = self._graph.run("o_grid_parts:0", {**frame, **grid})
        if parts.ndim != 2 or parts.shape[1] != 6 or not _within(parts, shape):
            raise InputError(f"{self._graph.path}: o_grid_parts lie outside of the grid")
        feeds = {**frame, **grid, **self._atom_state(frame, len(parts))}
        name = name.replace("o_", "o_grid_")
        for part in parts:
            size = part[3:] - part[:3]
            feeds["t_grid_part:0"] = part
            values = self._graph.shaped(name, feeds, (int(np.prod(size)),))
            yield tuple(slice(*ends) for ends in part.reshape(2, 3).T), values.reshape(size)

    def _blocks(self, name, frame, cell, shape) -> Iterator[tuple]:
        """By the points of blocks."""
        feeds = {**frame, **self._atom_state(frame, 2)}
        # Steps along each cell vector, (n, 3): a point is the sum of three.
        steps = [np.arange(n)[:, None] / n * row for n, row in zip(shape, cell, strict=True)]
        for block in grid_blocks(shape, _MAX_POINTS):
            a, b, c = (row[part] for row, part in zip(steps, block, strict=True))
            points = a[:, None, None] + b[:, None] + c
            values = self.at(name, feeds, points.reshape(-1, 3))
            yield block, values.reshape(points.shape[:3])

    def _atom_state(self, frame: dict, nchunks: int) -> dict[str, np.ndarray]:
        """What chunks share, computed once; a single chunk needs it not apart."""
        if nchunks <= 1:
            return {}
        values = self._graph.run(self._atom_tensors, {**frame, "t_point:0": np.zeros((1, 0, 3))})
        return dict(zip(self._atom_tensors, values, strict=True))

    def _chunks(self, feeds: dict, points: np.ndarray) -> Iterator[slice]:
        """Stretches of points whose pairs fit in memory."""
        most = max(1, self._max_pairs // max(1, feeds["t_coord:0"].shape[1]))
        for begin in range(0, len(points), _MAX_POINTS):
            end = min(begin + _MAX_POINTS, len(points))
            if "o_neighbors" not in self._graph:
                for first in range(begin, end, most):
                    yield slice(first, min(first + most, end))
                continue
            some = {**feeds, "t_point:0": points[None, begin:end]}
            counts = self._graph.shaped("o_neighbors:0", some, (1, end - begin))[0]
            ends = begin + ends_of_chunks(counts, self._max_pairs)
            yield from (slice(a, b) for a, b in itertools.pairwise([begin, *ends]))


def ends_of_chunks(counts: np.ndarray, most: int) -> np.ndarray:
    """Cut a row of counts into stretches of one or more that add up to at most `most`."""
    total = np.cumsum(counts, dtype=np.int64)
    ends: list[int] = []
    begin, before = 0, 0
    while begin < len(counts):
        begin = max(begin + 1, int(np.searchsorted(total, before + most, side="right")))
        before = total[begin - 1]
        ends.append(begin)
    return np.array(ends, dtype=np.int64)


def _within(parts: np.ndarray, shape: tuple[int, int, int]) -> bool:
    """Whether parts of a grid, (nparts, 6) first points and ends, lie inside of it."""
    begin, end = parts[:, :3], parts[:, 3:]
    return bool(((begin >= 0) & (begin <= end) & (end <= shape)).all())


def grid_blocks(shape: tuple[int, int, int], size: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cut a grid into blocks of at most `size` points, as compact as the grid allows."""
    edges = list(shape)
    while np.prod(edges) > size:
        longest = int(np.argmax(edges))
        edges[longest] = -(-edges[longest] // 2)
    cuts = [
        [slice(i, min(i + edge, n)) for i in range(0, n, edge)]
        for n, edge in zip(shape, edges, strict=True)
    ]
    yield from itertools.product(*cuts)
