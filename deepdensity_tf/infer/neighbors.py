"""What a cut-off takes in: distances and numbers of neighbours in data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.utils.ops import neighbor_list
from deepdensity_tf.utils.progress import track

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
    coord = frame.coord
    splits = np.array([0, len(coord)], dtype=np.int32)
    box = np.reshape(frame.model_box, (1, 9)) if frame.pbc else np.zeros((1, 9))
    centre, atom, disp = neighbor_list(coord, splits, coord, splits, box, rcut, skip_self=True)
    counts = np.zeros((len(coord), ntypes), dtype=int)
    np.add.at(counts, (centre.numpy(), np.asarray(frame.atype)[atom.numpy()]), 1)
    distances = np.linalg.norm(disp.numpy(), axis=1)
    return distances.min(initial=np.inf), counts.max(axis=0, initial=0)
