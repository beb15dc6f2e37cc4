"""Regular grids of points."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Grid:
    """A regular grid: point (i, j, k) lies at origin + (i/nx, j/ny, k/nz) cell.

    Parameters
    ----------
    shape : tuple of int
        (nx, ny, nz).
    cell : ndarray
        Vectors that span the grid, rows of (3, 3), Å.
    origin : ndarray
        (3,), Å.
    """

    shape: tuple[int, ...]
    cell: np.ndarray
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))

    @property
    def npoints(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def volume_element(self) -> float:
        """Volume a point stands for, Å^3."""
        return abs(np.linalg.det(self.cell)) / self.npoints

    def points(self) -> np.ndarray:
        """All points in C order, (npoints, 3), Å."""
        fractions = [np.arange(n) / n for n in self.shape]
        mesh = np.stack(np.meshgrid(*fractions, indexing="ij"), -1).reshape(-1, 3)
        return self.origin + mesh @ self.cell

    def first_moment(self, density: np.ndarray, about: np.ndarray) -> np.ndarray:
        """Integral of rho(r) (r - about) over the grid, (3,) e Å; density (nx, ny, nz) e/Å^3."""
        sums = [
            np.dot(density.sum(tuple({0, 1, 2} - {k}), dtype=np.float64), np.arange(n) / n)
            for k, n in enumerate(self.shape)
        ]
        shift = (self.origin - about) * density.sum(dtype=np.float64)
        return (np.array(sums) @ self.cell + shift) * self.volume_element


def fft_shape(cell: np.ndarray, spacing: float) -> tuple[int, int, int]:
    """Numbers of points along the cell vectors, at most `spacing` (Å) apart.

    Rounded up to products of 2, 3, 5 and 7, which fast Fourier transforms (and VASP) ask for.

    Examples
    --------
    >>> fft_shape(10 * np.eye(3), 0.1)
    (100, 100, 100)
    >>> fft_shape(10 * np.eye(3), 0.9)
    (12, 12, 12)
    """
    lengths = np.linalg.norm(cell, axis=1)
    # The tolerance keeps 10 Å / 0.1 Å at 100 whatever the rounding.
    nx, ny, nz = (_next_smooth(int(np.ceil(n - 1e-8))) for n in lengths / spacing)
    return nx, ny, nz


def _next_smooth(n: int) -> int:
    n = max(n, 1)
    while True:
        rest = n
        for factor in (2, 3, 5, 7):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 1


def box_around(positions: np.ndarray, pad: float) -> tuple[np.ndarray, np.ndarray]:
    """The upright box that reaches `pad` beyond the outermost atoms.

    Parameters
    ----------
    positions : ndarray
        (natoms, 3), Å.
    pad : float
        Å; more than 0.

    Returns
    -------
    cell : ndarray
        (3, 3), Å.
    origin : ndarray
        Lowest corner, (3,), Å.
    """
    low, high = positions.min(axis=0) - pad, positions.max(axis=0) + pad
    return np.diag(high - low), low
