"""Planes and lines through grids."""

import numpy as np
import pytest

from deepdensity_tf.formats import Grid
from deepdensity_tf.plot.sections import (
    Structure,
    axis_line,
    bond_line,
    central_index,
    flattest_axis,
    interpolate,
    plane,
)
from deepdensity_tf.utils.errors import InputError

SKEW = np.array([[5.0, 0.0, 0.0], [1.5, 4.0, 0.0], [0.5, -1.0, 6.0]])


def crystal(fractions, shape=(10, 12, 14), pbc=True):
    fractions = np.atleast_2d(fractions)
    return Structure(["O"] * len(fractions), fractions @ SKEW, Grid(shape, SKEW), pbc)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_plane_keeps_lengths_and_angles(axis):
    section = plane(crystal([0.1, 0.2, 0.3]), axis, 3)
    first, second = (SKEW[k] for k in range(3) if k != axis)
    corners = np.stack([section.x, section.y], -1)[[0, -1, 0], [0, 0, -1]]
    a, b = corners[1] - corners[0], corners[2] - corners[0]
    # The far edges are there: a full cell is drawn.
    assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(first), rel=1e-12)
    assert np.linalg.norm(b) == pytest.approx(np.linalg.norm(second), rel=1e-12)
    assert a @ b == pytest.approx(first @ second, abs=1e-12)
    normal = np.cross(first, second) / np.linalg.norm(np.cross(first, second))
    height = abs(normal @ SKEW[axis]) * 3 / (10, 12, 14)[axis]
    assert section.height == pytest.approx(height, rel=1e-12)


def test_plane_finds_atom_and_its_image():
    # Grid plane 0 across c; one atom just below it, as image, one far away.
    section = plane(crystal([[0.5, 0.25, 0.99], [0.5, 0.5, 0.5]]), 2, 0)
    ((symbol, x, y, distance),) = section.atoms
    assert symbol == "O" and distance == pytest.approx(0.06, abs=1e-12)
    expected = (np.array([0.5, 0.25, -0.01]) @ SKEW)[:2]
    np.testing.assert_allclose([x, y], expected, atol=1e-12)


def test_molecule_has_no_images():
    assert plane(crystal([0.5, 0.25, 0.99], pbc=False), 2, 0).atoms == []


def test_close_repeats_the_edges():
    values = np.random.default_rng(0).random((10, 12))
    closed = plane(crystal([0, 0, 0]), 2, 0).close(values)
    np.testing.assert_array_equal(closed[:-1, :-1], values)
    np.testing.assert_array_equal(closed[-1, :-1], values[0])
    np.testing.assert_array_equal(closed[:-1, -1], values[:, 0])
    window = plane(crystal([0, 0, 0], pbc=False), 2, 0)
    np.testing.assert_array_equal(window.close(values), values)


def test_default_plane_holds_a_flat_molecule():
    coord = np.array([[3.0, 4.1, 2.0], [4.0, 4.1, 3.0], [2.0, 4.1, 3.5]])
    flat = Structure(["O", "H", "H"], coord, Grid((40, 40, 40), 8 * np.eye(3)), False)
    axis = flattest_axis(flat)
    assert axis == 1
    # 4.1 Å is between planes 20 (4.0) and 21 (4.2); either is nearest.
    assert central_index(flat, axis) in (20, 21)
    assert len(plane(flat, axis, 20).atoms) == 3


def test_central_plane_is_at_an_atom_near_the_centre_of_mass():
    coord = np.array([[1.0, 1, 1], [3.0, 1, 1], [7.0, 1, 1]])
    chain = Structure(["H", "O", "H"], coord, Grid((16, 8, 8), 8 * np.eye(3)), False)
    # The centre of mass is at (16 * 3 + 1 + 7) / 18 = 3.1 Å, the oxygen at grid plane 6.
    assert central_index(chain, 0) == 6


def test_no_such_plane():
    with pytest.raises(InputError, match="plane 14 asked for, the grid has planes 0 to 13"):
        plane(crystal([0, 0, 0]), 2, 14)


def test_bond_through_the_boundary():
    line = bond_line(crystal([[0.05, 0.5, 0.5], [0.95, 0.5, 0.5]]), 0, 1, beyond=1.0)
    np.testing.assert_allclose(line.distance[[0, -1]], [-1.0, 1.5], atol=1e-12)
    start = np.array([0.05, 0.5, 0.5]) @ SKEW
    np.testing.assert_allclose(line.points[0], start + [1.0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(line.points[-1], start - [1.5, 0, 0], atol=1e-12)
    assert line.atoms == [("O0", 0.0), ("O1", pytest.approx(0.5))]


@pytest.mark.parametrize(
    ("bond", "message"),
    [
        ((0, 2), "atom 2 asked for, found atoms 0 to 1"),
        ((-1, 0), "atom -1 asked for"),
        ((0, 0), "same place"),
    ],
)
def test_bad_bond(bond, message):
    with pytest.raises(InputError, match=message):
        bond_line(crystal([[0, 0, 0], [0.5, 0, 0]]), *bond)


@pytest.mark.parametrize("pbc", [True, False])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axis_line_runs_over_grid_points(axis, pbc):
    structure = crystal([0.31, 0.52, 0.69], pbc=pbc)
    values = np.random.default_rng(2).random(structure.grid.shape)
    line = axis_line(structure, axis, 0)
    index = [3, 6, 10]
    index[axis] = slice(None)
    np.testing.assert_allclose(
        interpolate(structure, values, line.points), values[tuple(index)], atol=1e-12
    )
    length = np.linalg.norm(SKEW[axis])
    assert line.atoms == [("O0", pytest.approx((0.31, 0.52, 0.69)[axis] * length))]


def test_no_such_atom():
    with pytest.raises(InputError, match="--through: atom 1 asked for, found atoms 0 to 0"):
        axis_line(crystal([0, 0, 0]), 0, 1)


def test_interpolation_of_a_plane_wave():
    structure = crystal([0, 0, 0], shape=(40, 40, 40))
    fractions = np.random.default_rng(3).random((50, 3)) * 3 - 1

    def wave(f):
        return np.cos(2 * np.pi * (f[..., 0] - f[..., 2]))

    mesh = np.stack(np.meshgrid(*[np.arange(40) / 40] * 3, indexing="ij"), -1)
    found = interpolate(structure, wave(mesh), fractions @ SKEW)
    # Cubic splines: error below (k h)^4 / 384 for each of the two directions, k h = 2 pi / 40.
    bound = 2 * (2 * np.pi / 40) ** 4 / 384 * 2
    np.testing.assert_allclose(found, wave(fractions), rtol=0, atol=bound)


def test_outside_of_a_window_is_nothing():
    structure = crystal([0, 0, 0], pbc=False)
    values = np.ones(structure.grid.shape)
    far = np.array([[-3.0, 0.5, 0.5]]) @ SKEW
    assert interpolate(structure, values, far)[0] == pytest.approx(0, abs=1e-12)
