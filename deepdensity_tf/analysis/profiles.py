"""Averages over planes."""

from __future__ import annotations

import numpy as np

from deepdensity_tf.formats import Grid


def planar_average(values: np.ndarray, grid: Grid, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Averages over the grid planes that the other two cell vectors span.

    Parameters
    ----------
    values : np.ndarray
        (nx, ny, nz).
    grid : Grid
        Where they are.
    axis : int
        The cell vector the planes cut, 0 to 2.

    Returns
    -------
    height : np.ndarray
        (n,) height of each plane above the first, along the normal, Å.
    average : np.ndarray
        (n,) in the unit of `values`. The average of a density times the area of the planes is
        its charge a length.
    """
    n = grid.shape[axis]
    height = 1 / np.linalg.norm(np.linalg.inv(grid.cell)[:, axis])
    others = tuple({0, 1, 2} - {axis})
    return np.arange(n) / n * height, values.mean(axis=others)
