"""Electrostatic potential and energy of a density and of atomic cores, with and without images.

Potentials are potential energies of an electron in eV, as in VASP's LOCPOT: positive near
electrons, negative near cores. Their negative is the electrostatic potential in volts.
"""

from __future__ import annotations

import numpy as np
from scipy import fft
from scipy.special import erf

from deepdensity_tf.analysis.near import points_near
from deepdensity_tf.formats import Grid

COULOMB = 14.399645478425668  # e^2 / (4 pi epsilon_0), eV Å (CODATA 2018)

# Width of the Gaussians that part the Coulomb interaction, in grid spacings: their transform has
# fallen to exp(-30) at the highest frequency of the grid.
_WIDTH = 2.5
# Beyond so many widths erf is 1 to 1e-16.
_REACH = 6 * np.sqrt(2)


def hartree_potential(density: np.ndarray, grid: Grid, periodic: bool) -> np.ndarray:
    """Potential of the electrons: solves Poisson's equation.

    Parameters
    ----------
    density : np.ndarray
        (nx, ny, nz) electrons/Å^3.
    grid : Grid
        Any cell, also triclinic.
    periodic : bool
        True: in a neutralising background, the average potential (G = 0) set to zero. False: of
        the electrons in the window alone, zero at infinity, exact whatever their multipoles.

    Returns
    -------
    np.ndarray
        (nx, ny, nz) eV, positive.

    Notes
    -----
    Without images the convolution with 1/r runs on a grid of twice the cell (Hockney), where no
    point sees an image of the charge. 1/r is parted into erf(r/(sqrt(2) s))/r, summed in real
    space, and the short-ranged rest with its exact transform; both are smooth on the grid, so the
    error falls exponentially with the spacing.

    References
    ----------
    R. W. Hockney, Methods Comput. Phys. 9, 135 (1970); G. J. Martyna, M. E. Tuckerman, J. Chem.
    Phys. 110, 2810 (1999).
    """
    if periodic:
        return _convolve(density, _periodic_kernel(density.shape, grid.cell))
    doubled = tuple(2 * n for n in density.shape)
    kernel = _isolated_kernel(doubled, grid)
    nx, ny, nz = density.shape
    return _convolve(np.pad(density, [(0, n) for n in density.shape]), kernel)[:nx, :ny, :nz]


def hartree_energy(density: np.ndarray, grid: Grid, periodic: bool) -> float:
    """Electrostatic energy of the electrons with themselves, eV (see `hartree_potential`)."""
    potential = hartree_potential(density, grid, periodic)
    return float(0.5 * np.vdot(density, potential) * grid.volume_element)


def core_potential(
    grid: Grid, coord: np.ndarray, charges: np.ndarray, periodic: bool, width: float = 0.0
) -> np.ndarray:
    """Potential of the cores for an electron.

    Parameters
    ----------
    grid : Grid
        Where.
    coord : np.ndarray
        (natoms, 3) positions, Å.
    charges : np.ndarray
        (natoms,) e.
    periodic : bool
        As in `hartree_potential`: the average is zero, or the potential at infinity.
    width : float
        Standard deviation of Gaussian cores, Å. 0: point charges; only grid points nearer than
        the radius of a sphere of the volume of a grid point (0.62 spacings) see the charge
        spread evenly over that sphere, in place of infinity.

    Returns
    -------
    np.ndarray
        (nx, ny, nz) eV, negative for positive charges.
    """
    if not periodic:
        return _direct_sum(grid, coord, charges, width)
    smooth = max(width, _WIDTH * _spacing(grid))
    kernel = _periodic_kernel(grid.shape, grid.cell)
    transform = kernel * _gaussians_of_g(grid, coord, charges, smooth)
    potential = -fft.irfftn(transform, s=grid.shape, workers=-1) / grid.volume_element
    if smooth > width:
        _add_near_field(potential, grid, coord, charges, (width, smooth))
    return potential


def _convolve(values: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return fft.irfftn(fft.rfftn(values, workers=-1) * kernel, s=values.shape, workers=-1)


def _half_axes(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Whole-numbered frequencies of rfftn along each axis."""
    axes = [np.fft.fftfreq(n, 1 / n) for n in shape[:2]]
    return [*axes, np.arange(shape[2] // 2 + 1, dtype=float)]


def _square_norm(axes: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """|i a + j b + k c|^2 on the mesh of three axes, a, b, c the rows."""
    mesh = np.meshgrid(*axes, indexing="ij", sparse=True)
    metric = rows @ rows.T
    pairs = [(0, 1), (0, 2), (1, 2)]
    mixed = sum(2 * metric[p, q] * mesh[p] * mesh[q] for p, q in pairs)
    return mixed + sum(metric[p, p] * mesh[p] ** 2 for p in range(3))


def _square_of_g(shape: tuple[int, ...], cell: np.ndarray) -> np.ndarray:
    """|G|^2 on the half grid of rfftn, (nx, ny, nz//2 + 1), 1/Å^2."""
    return _square_norm(_half_axes(shape), 2 * np.pi * np.linalg.inv(cell).T)


def _periodic_kernel(shape: tuple[int, ...], cell: np.ndarray) -> np.ndarray:
    square = _square_of_g(shape, cell)
    square[0, 0, 0] = np.inf
    return 4 * np.pi * COULOMB / square


def _isolated_kernel(doubled: tuple[int, ...], grid: Grid) -> np.ndarray:
    """Transform of 1/r on the doubled grid."""
    cell = 2 * grid.cell
    heights = 1 / np.linalg.norm(np.linalg.inv(grid.cell), axis=0)
    # The short-ranged part must fit into the empty half; that binds on the coarsest grids only.
    width = min(_WIDTH * _spacing(grid), heights.min() / 8)
    square = _square_of_g(doubled, cell)
    square[0, 0, 0] = 1.0
    short = 4 * np.pi * -np.expm1(-0.5 * width**2 * square) / square
    short[0, 0, 0] = 2 * np.pi * width**2
    distance = np.sqrt(np.maximum(_square_norm([np.fft.fftfreq(n) for n in doubled], cell), 0))
    long = fft.rfftn(_gaussian_potential(distance, width), workers=-1)
    return COULOMB * (short + long * grid.volume_element)


def _gaussian_potential(distance: np.ndarray, width: float) -> np.ndarray:
    """erf(r / (sqrt(2) s)) / r, 1/Å."""
    tiny = distance < 1e-10
    safe = np.where(tiny, 1.0, distance)
    at_zero = np.sqrt(2 / np.pi) / width
    return np.where(tiny, at_zero, erf(safe / (np.sqrt(2) * width)) / safe)


def _ball_potential(distance: np.ndarray, radius: float) -> np.ndarray:
    """1/r outside a uniformly charged ball, finite inside, 1/Å."""
    inside = (3 * radius**2 - distance**2) / (2 * radius**3)
    return np.where(distance < radius, inside, 1 / np.maximum(distance, radius))


def _one_core(distance: np.ndarray, width: float, grid: Grid) -> np.ndarray:
    if width > 0:
        return _gaussian_potential(distance, width)
    return _ball_potential(distance, (3 * grid.volume_element / (4 * np.pi)) ** (1 / 3))


def _direct_sum(grid: Grid, coord: np.ndarray, charges: np.ndarray, width: float) -> np.ndarray:
    points = grid.points()
    total = np.zeros(len(points))
    for center, charge in zip(coord, charges, strict=True):
        total -= charge * _one_core(np.linalg.norm(points - center, axis=1), width, grid)
    return COULOMB * total.reshape(grid.shape)


def _gaussians_of_g(grid: Grid, coord: np.ndarray, charges: np.ndarray, width: float) -> np.ndarray:
    """Transform of periodic Gaussians of charge at the atoms, on the half grid of rfftn."""
    fractions = np.linalg.solve(grid.cell.T, (coord - grid.origin).T).T
    axes = _half_axes(grid.shape)
    total = np.zeros([len(axis) for axis in axes], dtype=complex)
    for fraction, charge in zip(fractions, charges, strict=True):
        x, y, z = (np.exp(-2j * np.pi * f * m) for f, m in zip(fraction, axes, strict=True))
        total += charge * x[:, None, None] * y[:, None] * z
    square = _square_of_g(grid.shape, grid.cell)
    return total * np.exp(-0.5 * width**2 * square)


def _add_near_field(
    potential: np.ndarray,
    grid: Grid,
    coord: np.ndarray,
    charges: np.ndarray,
    widths: tuple[float, float],
) -> None:
    """Sharpen cores from the wide Gaussian of the grid to the narrow one, in place."""
    narrow, wide = widths
    reach = _REACH * wide
    # The integral of what is added belongs to G = 0, which stays zero.
    mean = 2 * np.pi * (wide**2 - narrow**2) / abs(np.linalg.det(grid.cell))
    potential += COULOMB * charges.sum() * mean
    for center, charge in zip(coord, charges, strict=True):
        index, distance = points_near(grid, center, reach, periodic=True)
        added = _one_core(distance, narrow, grid) - _gaussian_potential(distance, wide)
        # Images of a point may lie within reach of one atom: they add up.
        np.add.at(potential.reshape(-1), index, -COULOMB * charge * added)


def _spacing(grid: Grid) -> float:
    return float(np.max(np.linalg.norm(grid.cell, axis=1) / grid.shape))
