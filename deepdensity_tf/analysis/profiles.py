"""Averages over planes, and tables of what lies along a line."""

from __future__ import annotations

import numpy as np

from deepdensity_tf.formats import Grid
from deepdensity_tf.utils.files import atomic_path


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


def write_table(path: str, columns: dict[str, np.ndarray]) -> None:
    """A text table of columns along a line, with their units."""
    units = {"density": "e/Å^3", "difference": "e/Å^3", "potential": "eV"}
    header = "  ".join(f"{name} ({units.get(name, 'Å')})" for name in columns)
    with atomic_path(path) as temporary:
        table = np.column_stack(list(columns.values()))
        np.savetxt(temporary, table, fmt="%.10e", header=header, encoding="utf-8")
