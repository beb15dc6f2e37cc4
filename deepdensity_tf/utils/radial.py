"""The radial grid on which atom-centred functions live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RadialGrid:
    """Uniform cubic B-splines in a stretched distance.

    With q = sqrt(r^2 + soft^2) and t = nspline (q - soft) / (sqrt(rcut^2 + soft^2) - soft),
    spline k is the cardinal cubic B-spline with knots k-3 ... k+1 in t. All splines and two of
    their derivatives vanish at `rcut`; all are smooth functions of the position at r = 0.

    Parameters
    ----------
    rcut : float
        Cut-off, Å.
    nspline : int
        Number of splines; rcut / nspline is about the resolution.
    """

    rcut: float
    nspline: int

    @property
    def soft(self) -> float:
        """Softening length, Å: one and a half spline widths, so that splines resolve the origin.

        Three widths cost a fifth of the accuracy near nuclei (ethane).
        """
        return 1.5 * self.rcut / self.nspline

    @property
    def parameters(self) -> np.ndarray:
        """What the native op takes: (2,) float64, cut-off and softening length in Å."""
        return np.array([self.rcut, self.soft])

    def stretched(self, r: np.ndarray) -> np.ndarray:
        """The coordinate t of distances r (Å), 0 at the nucleus, nspline at the cut-off."""
        span = np.hypot(self.rcut, self.soft) - self.soft
        return self.nspline * (np.hypot(r, self.soft) - self.soft) / span

    def design(self, r: np.ndarray):
        """All splines at distances r (n,): sparse (n, nspline), at most four in a row."""
        from scipy.interpolate import BSpline

        # From the cut-off on, only splines that are left out here have values.
        t = np.minimum(np.atleast_1d(self.stretched(r)), self.nspline)
        knots = np.arange(-3, self.nspline + 5, dtype=float)
        return BSpline.design_matrix(t, knots, 3)[:, : self.nspline]

    def values(self, r: np.ndarray) -> np.ndarray:
        """All splines at distances r (n,): (n, nspline)."""
        return self.design(r).toarray()

    def integrals(self) -> np.ndarray:
        """Integral over space of each spline taken as a spherical function: (nspline,), Å^3."""
        return self._integrals(lambda r: 4 * np.pi * r**2)

    def moments(self) -> np.ndarray:
        """Integral over space of x times each spline with its harmonic x / q: (nspline,), Å^4."""
        return self._integrals(lambda r: 4 * np.pi / 3 * r**4 / np.hypot(r, self.soft))

    def squares(self) -> np.ndarray:
        """Integral over space of each spline's square: (nspline,), Å^3."""
        r, widths = self._quadrature()
        return (4 * np.pi * r**2 * widths) @ self.values(r) ** 2

    def _integrals(self, weight) -> np.ndarray:
        """Integral of weight(r) times each spline over r from 0 to the cut-off: (nspline,)."""
        r, widths = self._quadrature()
        return (weight(r) * widths) @ self.values(r)

    def _quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances from 0 to the cut-off and what each counts in an integral over them."""
        nodes, weights = np.polynomial.legendre.leggauss(10)
        # Piece by piece between knots, where all factors are smooth functions of r.
        span = np.hypot(self.rcut, self.soft) - self.soft
        knots = np.arange(self.nspline + 1) * span / self.nspline
        edges = np.sqrt(knots * (knots + 2 * self.soft))
        width = np.diff(edges)[:, None]
        return (edges[:-1, None] + width * (nodes + 1) / 2).ravel(), (width * weights / 2).ravel()

    def fit(self, function, npoints: int = 400) -> np.ndarray:
        """Spline coefficients (nspline, ...) of function(r) (n, ...), least squares in r."""
        r = (np.arange(npoints) + 0.5) / npoints * self.rcut
        return np.linalg.lstsq(self.values(r), function(r), rcond=None)[0]

    def orthonormal(self, function) -> np.ndarray:
        """Spline coefficients (n, nspline) of combinations of functions, orthonormal with r^2 dr.

        Parameters
        ----------
        function : callable
            Takes distances (m,) in Å and returns the values of n functions, (m, n). Each
            combination takes up what the functions before it lack.
        """
        coef = self.fit(function)
        r = (np.arange(2000) + 0.5) / 2000 * self.rcut
        weighted = self.values(r) * (r * np.sqrt(r[1] - r[0]))[:, None]
        # Coordinates in which the splines are orthonormal. Householder's Q has orthonormal columns
        # even where the functions are as good as dependent; the splines then complete it.
        metric = np.linalg.cholesky(weighted.T @ weighted).T
        q, _ = np.linalg.qr(metric @ coef)
        return np.linalg.solve(metric, q).T
