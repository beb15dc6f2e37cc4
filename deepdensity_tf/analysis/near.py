"""Grid points near an atom."""

from __future__ import annotations

import numpy as np

from deepdensity_tf.formats import Grid


def points_near(
    grid: Grid, center: np.ndarray, reach: float, periodic: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Grid points closer to a centre than `reach`.

    Parameters
    ----------
    grid : Grid
        The grid.
    center : np.ndarray
        (3,) Å.
    reach : float
        Å.
    periodic : bool
        Images of the points count too, so that an index may appear several times.

    Returns
    -------
    index : np.ndarray
        (n,) into the flat grid, C order.
    distance : np.ndarray
        (n,) Å.
    """
    shape = np.array(grid.shape)
    place = np.linalg.solve(grid.cell.T, center - grid.origin) * shape
    heights = 1 / np.linalg.norm(np.linalg.inv(grid.cell), axis=0)
    extent = reach / heights * shape
    low, high = np.ceil(place - extent), np.floor(place + extent)
    if not periodic:
        low, high = np.maximum(low, 0), np.minimum(high, shape - 1)
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    distance = np.linalg.norm(((index - place) / shape) @ grid.cell, axis=1)
    near = distance < reach
    wrapped = index[near].astype(np.int64) % shape
    return np.ravel_multi_index(tuple(wrapped.T), grid.shape), distance[near]
