"""Hirshfeld's charges: each atom gets the share of the density that its pro-atom has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepdensity_tf.analysis.near import points_near
from deepdensity_tf.formats import Grid
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.radial import RadialGrid

# Below this pro-density (electrons/Å^3) a point belongs to no atom.
_EMPTY = 1e-12
_SHELL = 0.05  # of the spacing of the grid


@dataclass(frozen=True)
class ProAtom:
    """Spherical density of a free atom.

    Parameters
    ----------
    r : np.ndarray
        (n,) distances, Å, rising from 0.
    density : np.ndarray
        (n,) electrons/Å^3; 0 beyond the last distance.
    """

    r: np.ndarray
    density: np.ndarray

    @classmethod
    def from_function(cls, function: Callable, rcut: float, npoints: int = 400) -> ProAtom:
        """Tabulate function(r) (n,) up to `rcut` (Å); negative values become 0."""
        r = np.linspace(0, rcut, npoints)
        return cls(r, np.maximum(function(r), 0))

    def __call__(self, distance: np.ndarray) -> np.ndarray:
        """Density at distances (Å)."""
        return np.interp(distance, self.r, self.density, right=0.0)

    @property
    def electrons(self) -> float:
        """Integral over space."""
        from scipy.integrate import simpson

        return float(simpson(4 * np.pi * self.r**2 * self.density, x=self.r))

    def scaled(self, electrons: float) -> ProAtom:
        """The same with another number of electrons."""
        return ProAtom(self.r, self.density * (electrons / self.electrons))


def spherical_average(density: np.ndarray, grid: Grid, center: np.ndarray) -> ProAtom:
    """Pro-atom out of the density of one atom on a grid.

    Parameters
    ----------
    density : np.ndarray
        (nx, ny, nz) electrons/Å^3 of a single atom.
    grid : Grid
        Its box.
    center : np.ndarray
        (3,) position of the nucleus, Å; images of the box are taken, up to half its least height.
    """
    heights = 1 / np.linalg.norm(np.linalg.inv(grid.cell), axis=0)
    rcut = 0.5 * heights.min()
    fractions = np.linalg.solve(grid.cell.T, (grid.points() - center).T).T
    distance = np.linalg.norm((fractions - np.rint(fractions)) @ grid.cell, axis=1)
    inside = distance < rcut
    spacing = grid.volume_element ** (1 / 3)
    # Means over thin shells first: as good for the splines as all the points.
    shell = (distance[inside] / (_SHELL * spacing)).astype(int)
    count = np.bincount(shell)
    filled = count > 0
    weight = np.sqrt(count[filled])
    r = np.bincount(shell, distance[inside])[filled] / count[filled]
    mean = np.bincount(shell, density.ravel()[inside])[filled] / count[filled]
    radial = RadialGrid(rcut, max(4, round(rcut / spacing)))
    design = weight[:, None] * radial.values(r)
    coef = np.linalg.lstsq(design, weight * mean, rcond=1e-6)[0]
    return ProAtom.from_function(lambda r: radial.values(r) @ coef, rcut)


def hirshfeld_populations(
    density: np.ndarray,
    grid: Grid,
    coord: np.ndarray,
    symbols: Sequence[str],
    pro_atoms: Mapping[str, ProAtom],
    periodic: bool,
) -> np.ndarray:
    """Electrons of each atom: integral of rho(r) rho_i(r) / sum_j rho_j(r).

    Parameters
    ----------
    density : np.ndarray
        (nx, ny, nz) electrons/Å^3.
    grid : Grid
        Where it is.
    coord : np.ndarray
        (natoms, 3) Å.
    symbols : sequence of str
        Elements of the atoms.
    pro_atoms : mapping
        Pro-atom of each element.
    periodic : bool
        Count the images of the atoms.

    Returns
    -------
    np.ndarray
        (natoms,). What lies where no pro-atom reaches is missing in their sum.

    Raises
    ------
    InputError
        An element without a pro-atom.

    References
    ----------
    F. L. Hirshfeld, Theor. Chim. Acta 44, 129 (1977).
    """
    missing = sorted(set(symbols) - set(pro_atoms))
    if missing:
        raise InputError(f"Hirshfeld charges: no pro-atom of {' '.join(missing)}")
    atoms = list(zip(coord, symbols, strict=True))
    total = np.zeros(grid.npoints)
    for center, symbol in atoms:
        index, values = _on_grid(grid, center, pro_atoms[symbol], periodic)
        np.add.at(total, index, values)
    share = np.divide(density.ravel(), total, out=np.zeros(grid.npoints), where=total > _EMPTY)
    populations = []
    for center, symbol in atoms:
        index, values = _on_grid(grid, center, pro_atoms[symbol], periodic)
        populations.append(share[index] @ values)
    return np.array(populations) * grid.volume_element


def _on_grid(
    grid: Grid, center: np.ndarray, pro_atom: ProAtom, periodic: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the grid points that a pro-atom reaches, and its density there."""
    index, distance = points_near(grid, center, pro_atom.r[-1], periodic)
    return index, pro_atom(distance)
