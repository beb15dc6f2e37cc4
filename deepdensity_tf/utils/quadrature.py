"""Integration over balls around atoms."""

from __future__ import annotations

from functools import cache

import numpy as np

_NRADIAL = 12
_DEGREE = 11  # of the harmonics that the angular rule integrates exactly: 50 directions


@cache
def ball(radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) and weights (n,) of a rule for the ball, Å and Å^3.

    Gauss-Legendre shells times Lebedev's rule of degree 11.
    """
    from scipy.integrate import lebedev_rule

    nodes, shell_weights = np.polynomial.legendre.leggauss(_NRADIAL)
    r = radius * (nodes + 1) / 2
    directions, angular_weights = lebedev_rule(_DEGREE)
    points = (r[:, None, None] * directions.T).reshape(-1, 3)
    weights = np.outer(shell_weights * radius / 2 * r**2, angular_weights)
    return points, weights.ravel()
