"""Periodic images of vectors."""

from __future__ import annotations

import numpy as np


def nearest_images(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Vectors (n, 3) less whole cell vectors (3, 3 rows): each fraction between -1/2 and 1/2, Å."""
    fractions = np.linalg.solve(cell.T, vectors.T).T
    return (fractions - np.round(fractions)) @ cell
