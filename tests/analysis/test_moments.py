"""Electrons, dipoles and planar averages of Gaussians."""

import numpy as np
import pytest

from deepdensity_tf.analysis.moments import dipole, electrons
from deepdensity_tf.analysis.profiles import planar_average
from deepdensity_tf.formats import Grid
from tests.conftest import gaussian_density

CELL = np.array([[9.0, 0, 0], [1.0, 9.0, 0], [0.0, -0.5, 9.5]])
COORD = np.array([[4.0, 4.0, 4.5], [5.5, 4.2, 5.0]])


def density_on(grid, coord, charges):
    return gaussian_density(grid.points(), coord, charges, None, 0.5).reshape(grid.shape)


@pytest.mark.parametrize("origin", [np.zeros(3), np.array([-7.0, 3.0, 11.0])])
@pytest.mark.parametrize("charges", [[1.4, 0.6], [1.9, 0.6]])  # neutral, an anion
def test_dipole_of_shifted_gaussians(origin, charges):
    grid = Grid((36, 36, 40), CELL, origin)
    coord = COORD + origin
    density = density_on(grid, coord, charges)
    found = dipole(density, grid, coord, np.array([1.0, 1.0]))
    expected = -np.array(charges) @ (COORD - COORD.mean(0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    assert electrons(density, grid) == pytest.approx(sum(charges), abs=1e-8)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planar_average_holds_all_electrons(axis):
    grid = Grid((36, 36, 40), CELL)
    density = density_on(grid, COORD, [1.4, 0.6])
    height, average = planar_average(density, grid, axis)
    area = np.linalg.norm(np.cross(*[CELL[k] for k in range(3) if k != axis]))
    assert average.sum() * area * height[1] == pytest.approx(2.0, abs=1e-8)
    # The plane of largest average goes through the heavier Gaussian.
    normal = np.linalg.inv(CELL)[:, axis]
    expected = COORD[0] @ normal / np.linalg.norm(normal)
    assert height[average.argmax()] == pytest.approx(expected, abs=0.4)
