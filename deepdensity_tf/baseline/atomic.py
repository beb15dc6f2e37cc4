"""Superposition of atomic densities, fitted to the training data."""

from __future__ import annotations

import numpy as np
from dargs import Argument

from deepdensity_tf.utils.bounds import POSITIVE
from deepdensity_tf.utils.plugin import Registry
from deepdensity_tf.utils.radial import RadialGrid

BASELINES = Registry("baseline")


@BASELINES.register("none")
class NoBaseline:
    """No baseline: the nets learn the whole density."""

    summary = "The nets learn the whole density."

    @staticmethod
    def arguments() -> list[Argument]:
        return []

    def __init__(self, config: dict):
        del config

    def fit(self, grid: RadialGrid, normal, right: np.ndarray) -> np.ndarray:
        """Zeros, in the shape of `Atomic.fit`."""
        return np.zeros((normal.shape[0] // grid.nspline, right.shape[1], grid.nspline))


@BASELINES.register("atomic")
class Atomic:
    """One spherical function for each type, by linear least squares."""

    summary = "One spherical function for each type, fitted to the training data."

    @staticmethod
    def arguments() -> list[Argument]:
        return [
            Argument(
                "smoothness",
                float,
                optional=True,
                default=1e-3,
                doc="Weight of the curvature of the functions, relative to the data.",
                **POSITIVE,
            )
        ]

    def __init__(self, config: dict):
        self._smoothness = config["smoothness"]

    def fit(self, grid: RadialGrid, normal, right: np.ndarray) -> np.ndarray:
        """Spline coefficients of the atomic functions.

        Parameters
        ----------
        grid : RadialGrid
            The splines.
        normal : scipy.sparse.sparray
            (ntypes nspline, ntypes nspline): D^T W D of the design matrix D, which holds the sum
            over the atoms of each type of every spline at the points, and the weights W.
        right : np.ndarray
            (ntypes nspline, ndensity): D^T W y of the densities y, electrons/Å^3.

        Returns
        -------
        np.ndarray
            (ntypes, ndensity, nspline); zeros for types without atoms.
        """
        from scipy.sparse import block_diag
        from scipy.sparse.linalg import spsolve

        size = grid.nspline
        penalty = _penalty(grid)
        # Each type's own weight: the functions of a rare one are not smoothed away.
        mean = normal.diagonal().reshape(-1, size).mean(1)
        present = np.flatnonzero(mean > 0)
        kept = (present[:, None] * size + np.arange(size)).ravel()
        coef = np.zeros_like(right)
        if len(present):
            smooth = block_diag([self._smoothness * mean[t] * penalty for t in present])
            matrix = (normal.tocsr()[kept][:, kept] + smooth).tocsc()
            coef[kept] = spsolve(matrix, right[kept]).reshape(len(kept), -1)
        return coef.reshape(len(mean), size, -1).transpose(0, 2, 1)


def _penalty(grid: RadialGrid) -> np.ndarray:
    """Quadratic form of the coefficients of one function, (nspline, nspline): its curvature.

    It counts everywhere by the volume there, as data do: the little that lies close to a nucleus
    has the steepest densities.
    """
    volume = grid.squares()
    volume /= volume.mean()
    curvature = np.diff(np.eye(grid.nspline), 2, axis=0)
    return curvature.T @ (volume[1:-1, None] * curvature) + 1e-3 * np.diag(volume)
