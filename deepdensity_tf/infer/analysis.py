"""Quantities derived from a density on a grid."""

from __future__ import annotations

import numpy as np

COULOMB = 14.399645478425668  # e^2 / (4 pi epsilon_0), eV Å (CODATA 2018)


def dipole(density: np.ndarray, cell: np.ndarray, coord: np.ndarray, charges: np.ndarray):
    """Dipole moment of a molecule.

    Parameters
    ----------
    density : np.ndarray
        (nx, ny, nz) electrons/Å^3; the molecule lies inside the cell.
    cell : np.ndarray
        (3, 3) rows, Å.
    coord : np.ndarray
        (natoms, 3) positions, Å.
    charges : np.ndarray
        (natoms,) charges of the cores (valence electrons), e.

    Returns
    -------
    np.ndarray
        (3,) in e Å; for a charged system relative to the origin.
    """
    axes = [np.arange(n) / n for n in density.shape]
    volume_element = abs(np.linalg.det(cell)) / density.size
    sums = [
        np.tensordot(density.sum(tuple({0, 1, 2} - {k})), axes[k], 1) * volume_element
        for k in range(3)
    ]
    return charges @ coord - np.array(sums) @ cell


def hartree_energy(density: np.ndarray, cell: np.ndarray, periodic: bool) -> float:
    """Electrostatic energy of the density with itself, eV.

    Parameters
    ----------
    density : np.ndarray
        (nx, ny, nz) electrons/Å^3.
    cell : np.ndarray
        (3, 3) rows, Å.
    periodic : bool
        True: in a neutralising background, the average potential set to zero. False: without
        images; the density must vanish at the faces of the cell.

    References
    ----------
    The truncated Coulomb kernel of isolated systems: Jarvis, White, Godby, Payne, Phys. Rev. B 56,
    14972 (1997).
    """
    if not periodic:
        # Twice the cell keeps the images of the truncated interaction apart.
        density = np.pad(density, [(0, n) for n in density.shape])
        cell = 2 * cell
    square = _square_of_g(density.shape, cell)
    square[0, 0, 0] = 1.0
    kernel = 4 * np.pi / square
    if periodic:
        kernel[0, 0, 0] = 0.0
    else:
        heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        radius = 0.5 * heights.min()
        kernel *= 1 - np.cos(np.sqrt(square) * radius)
        kernel[0, 0, 0] = 2 * np.pi * radius**2
    coefficients = np.fft.fftn(density) / density.size
    volume = abs(np.linalg.det(cell))
    return float(0.5 * COULOMB * volume * np.sum(kernel * np.abs(coefficients) ** 2))


def _square_of_g(shape: tuple[int, ...], cell: np.ndarray) -> np.ndarray:
    """|G|^2 on the FFT grid, 1/Å^2."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    index = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in shape], indexing="ij")
    return np.sum((np.stack(index, -1) @ reciprocal) ** 2, -1)
