"""Derived quantities against Gaussians, whose values are known."""

import numpy as np
import pytest

from deepdensity_tf.infer.analysis import COULOMB, dipole, hartree_energy
from tests.conftest import gaussian_density

CELL = np.array([[9.0, 0, 0], [1.0, 9.0, 0], [0.0, -0.5, 9.5]])
SHAPE = (36, 36, 40)


def on_grid(coord, charges, width, box=None):
    index = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE), -1)
    return gaussian_density(index / SHAPE @ CELL, coord, charges, box, width).reshape(SHAPE)


def test_dipole_of_two_charges():
    coord = np.array([[4.0, 4.0, 4.5], [5.5, 4.2, 5.0]])
    density = on_grid(coord, [1.4, 0.6], 0.55)
    expected = np.array([1.0, 1.0]) @ coord - np.array([1.4, 0.6]) @ coord
    np.testing.assert_allclose(
        dipole(density, CELL, coord, np.array([1.0, 1.0])), expected, atol=1e-5
    )


def test_hartree_energy_of_a_gaussian():
    center = np.array([[5.0, 4.2, 4.8]])
    energy = hartree_energy(on_grid(center, [2.0], 0.6), CELL, periodic=False)
    # q^2 / (2 sqrt(pi) sigma)
    assert energy == pytest.approx(COULOMB * 4 / (2 * np.sqrt(np.pi) * 0.6), rel=1e-6)


def test_hartree_energy_of_a_plane_wave():
    x = np.arange(SHAPE[0]) / SHAPE[0]
    density = np.broadcast_to(0.3 + 0.1 * np.cos(2 * np.pi * 2 * x)[:, None, None], SHAPE)
    wave = 2 * (2 * np.pi * np.linalg.inv(CELL).T)[0]
    volume = np.linalg.det(CELL)
    expected = 0.5 * COULOMB * volume * 4 * np.pi / (wave @ wave) * 2 * 0.05**2
    assert hartree_energy(density, CELL, periodic=True) == pytest.approx(expected, rel=1e-12)
