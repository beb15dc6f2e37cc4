"""Moments of a density."""

from __future__ import annotations

import numpy as np

from deepdensity_tf.formats import Grid


def electrons(density: np.ndarray, grid: Grid) -> float:
    """Integral of a density (nx, ny, nz), electrons/Å^3, over its grid."""
    return float(density.sum() * grid.volume_element)


def dipole(density: np.ndarray, grid: Grid, coord: np.ndarray, charges: np.ndarray) -> np.ndarray:
    """Dipole moment of a molecule, sum_i Z_i (R_i - c) - integral of rho(r) (r - c).

    Parameters
    ----------
    density : np.ndarray
        (nx, ny, nz) electrons/Å^3; the molecule lies inside the window of the grid.
    grid : Grid
        The window.
    coord : np.ndarray
        (natoms, 3) positions, Å.
    charges : np.ndarray
        (natoms,) charges of the cores (valence electrons), e.

    Returns
    -------
    np.ndarray
        (3,) in e Å. The centre c is that of the core charges; it matters only where the whole is
        charged. 1 e Å = 4.80320 debye.
    """
    centre = charges @ coord / charges.sum() if charges.sum() else coord.mean(axis=0)
    return charges @ (coord - centre) - grid.first_moment(density, centre)
