"""What a cut-off takes in: distances and numbers of neighbours in data."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.op_library import load_op_library
from deepdensity_tf.utils.progress import track
from deepdensity_tf.utils.tf_graph import Graph, Session, Tensor
from deepdensity_tf.utils.tf_library import TensorFlowError

if TYPE_CHECKING:
    from deepdensity_tf.data.frame import Frame
    from deepdensity_tf.data.system import DensitySystem


def neighbor_statistics(systems: Sequence[DensitySystem], rcut: float) -> dict:
    """Shortest distance and largest numbers of neighbours over all frames.

    Parameters
    ----------
    systems : sequence of DensitySystem
        All with the same types.
    rcut : float
        Cut-off, Å.

    Returns
    -------
    dict
        min_nbor_dist, Å (None without any pair within the cut-off), and max_nbor_size: the largest
        number of neighbours of each element, periodic images counted.
    """
    type_map = list(systems[0].type_map)
    shortest, largest = np.inf, np.zeros(len(type_map), dtype=int)
    with track(sum(system.nframes for system in systems), "counting", "frames") as advance:
        for system in systems:
            for index in range(system.nframes):
                distance, counts = frame_neighbors(system.frame(index), rcut, len(type_map))
                shortest, largest = min(shortest, distance), np.maximum(largest, counts)
                advance()
    return {
        "min_nbor_dist": float(shortest) if np.isfinite(shortest) else None,
        "max_nbor_size": dict(zip(type_map, largest.tolist(), strict=True)),
    }


def frame_neighbors(frame: Frame, rcut: float, ntypes: int) -> tuple[float, np.ndarray]:
    """Shortest distance (Å) and largest numbers (ntypes,) of neighbours within a cut-off (Å)."""
    centre, atom, disp = neighbors(frame.coord, frame.model_box if frame.pbc else None, rcut)
    counts = np.zeros((len(frame.coord), ntypes), dtype=int)
    np.add.at(counts, (centre, np.asarray(frame.atype)[atom]), 1)
    distances = np.linalg.norm(disp, axis=1)
    return distances.min(initial=np.inf), counts.max(axis=0, initial=0)


def neighbors(coord: np.ndarray, box, rcut: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of an atom and the image of another, or of itself, closer than a cut-off.

    Parameters
    ----------
    coord : np.ndarray
        (natoms, 3) positions, Å.
    box : array_like or None
        Nine numbers: rows of the cell, Å; None: not periodic.
    rcut : float
        Cut-off, Å.

    Returns
    -------
    centre, atom : np.ndarray
        (npairs,) int32, ordered by centre.
    disp : np.ndarray
        (npairs, 3) from the centre to the atom's image, Å.

    Raises
    ------
    InputError
        NaN, a cell without volume.
    """
    ends = [0, len(coord)]
    cell = np.zeros(9) if box is None else np.reshape(box, 9)
    session, inputs, outputs = _search()
    given = (coord, ends, coord, ends, cell[None], rcut)
    feeds = [(t, np.asarray(v, t.dtype)) for t, v in zip(inputs, given, strict=True)]
    try:
        centre, atom, disp = session.run(outputs, feeds)
    except TensorFlowError as error:
        raise InputError(error.own_message) from None
    return centre, atom, disp


@functools.cache
def _search() -> tuple[Session, list[Tensor], tuple[Tensor, ...]]:
    """The operation (op/neighbor.cc) in a graph of its own, with its inputs and outputs."""
    load_op_library()
    graph = Graph()
    types = ("float64", "int32") * 2 + ("float64", "float64")
    inputs = [
        graph.add("Placeholder", f"input_{k}", dtype=np.dtype(name))[0]
        for k, name in enumerate(types)
    ]
    outputs = graph.add("DdNeighborList", "pairs", inputs, skip_self=True)
    return Session(graph), inputs, outputs
