"""Superposition of atomic densities, fitted to the training data."""

from __future__ import annotations

import numpy as np
from dargs import Argument

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

    def fit(self, grid: RadialGrid, design: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Zeros, in the shape of `Atomic.fit`."""
        return np.zeros((design.shape[1] // grid.nspline, target.shape[1], grid.nspline))


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
            )
        ]

    def __init__(self, config: dict):
        self._smoothness = config["smoothness"]

    def fit(self, grid: RadialGrid, design: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Spline coefficients of the atomic functions.

        Parameters
        ----------
        grid : RadialGrid
            The splines.
        design : np.ndarray
            (npoints, ntypes nspline): sum over the atoms of each type of every spline, weighted.
        target : np.ndarray
            (npoints, ndensity) densities, electrons/Å^3, with the same weights.

        Returns
        -------
        np.ndarray
            (ntypes, ndensity, nspline).
        """
        ntypes = design.shape[1] // grid.nspline
        normal = design.T @ design
        curvature = np.diff(np.eye(grid.nspline), 2, axis=0)
        penalty = np.kron(np.eye(ntypes), curvature.T @ curvature + 1e-3 * np.eye(grid.nspline))
        strength = self._smoothness * np.trace(normal) / len(normal)
        coef = np.linalg.solve(normal + strength * penalty, design.T @ target)
        return coef.reshape(ntypes, grid.nspline, -1).transpose(0, 2, 1)
