"""Real spherical harmonics and their coupling, by NumPy and SciPy alone.

Orthonormal on the unit sphere, in the order M = -L ... L: sines of |M| phi for negative M, cosines
for positive, without the sign of Condon and Shortley; for L = 1: y, z, x.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np


def real_harmonics(degree: int, directions: np.ndarray) -> np.ndarray:
    """Y_LM of one L at unit vectors (n, 3): (n, 2 L + 1)."""
    from scipy.special import gammaln, lpmv

    x, y, z = np.moveaxis(np.asarray(directions, dtype=np.float64), -1, 0)
    phi = np.arctan2(y, x)
    columns = np.empty((len(z), 2 * degree + 1))
    for m in range(degree + 1):
        factor = np.exp(0.5 * (gammaln(degree - m + 1) - gammaln(degree + m + 1)))
        factor *= np.sqrt((2 * degree + 1) / (4 * np.pi)) * (np.sqrt(2) if m else 1)
        polar = (-1) ** m * factor * lpmv(m, degree, np.clip(z, -1, 1))
        columns[:, degree + m] = polar * np.cos(m * phi)
        if m:
            columns[:, degree - m] = polar * np.sin(m * phi)
    return columns


def native_order(degree: int) -> np.ndarray:
    """Place of M = -L ... L among the solid harmonics of the native operations.

    These go from L down to 0, cosine before sine.
    """
    order = np.arange(-degree, degree + 1)
    return 2 * (degree - np.abs(order)) + (order < 0)


def sphere_rule(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions (n, 3) and weights (n,) that integrate polynomials of a degree exactly.

    Gauss-Legendre along z times equal steps around it; the weights add up to 4 pi.
    """
    z, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
    phi = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    sin = np.sqrt(1 - z**2)[:, None]
    xyz = np.stack(np.broadcast_arrays(sin * np.cos(phi), sin * np.sin(phi), z[:, None]), -1)
    return xyz.reshape(-1, 3), np.repeat(weight, len(phi)) * 2 * np.pi / len(phi)


@functools.cache
def gaunt(degree: int, left: int, right: int) -> np.ndarray:
    """Integrals of Y_LM Y_lm Y_l'm' over the sphere: (2 L + 1, 2 l + 1, 2 l' + 1)."""
    directions, weights = sphere_rule(degree + left + right)
    harmonics = (real_harmonics(order, directions) for order in (degree, left, right))
    integrals = np.einsum("n,na,nb,nc->abc", weights, *harmonics, optimize=True)
    integrals[np.abs(integrals) < 1e-14] = 0.0
    integrals.flags.writeable = False
    return integrals


@functools.cache
def solid_couplings(lmax: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over the sphere of three solid harmonics up to lmax that are not zero.

    Racah normalisation, in the order of the native operations.

    Returns
    -------
    term : np.ndarray
        (n, 3): places of the harmonics, the first rising; all orders of each three are there.
    value : np.ndarray
        (n,).
    """
    means = np.zeros([(lmax + 1) ** 2] * 3)
    for degrees in itertools.product(range(lmax + 1), repeat=3):
        if sum(degrees) % 2 == 0 and max(degrees) <= sum(degrees) / 2:
            places = [degree**2 + native_order(degree) for degree in degrees]
            norms = np.prod([2 * degree + 1 for degree in degrees])
            means[np.ix_(*places)] = np.sqrt(4 * np.pi / norms) * gaunt(*degrees)
    term = np.argwhere(means)
    return term, means[tuple(term.T)]
