"""Neighbour search against brute force, ASE and matscipy."""

import itertools

import ase
import ase.neighborlist
import matscipy.neighbours
import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.utils.ops import neighbor_list

CELLS = {
    "none": np.zeros((3, 3)),
    "cubic": np.diag([6.0, 6.0, 6.0]),
    "tiny": np.diag([1.7, 2.1, 1.9]),
    "thin": np.diag([12.0, 1.5, 7.0]),
    "triclinic": np.array([[5.0, 0.3, -0.4], [2.1, 4.6, 0.2], [-1.7, 1.3, 5.5]]),
    "flat triclinic": np.array([[3.0, 0.0, 0.0], [2.6, 1.5, 0.0], [2.7, 0.9, 1.4]]),
    "left-handed": np.array([[0.0, 5.0, 0.0], [4.5, 0.0, 0.0], [0.3, 0.2, 5.2]]),
}
RCUT = 3.1


def search(center, coord, box, rcut=RCUT, skip_self=False):
    result = neighbor_list(
        center, [0, len(center)], coord, [0, len(coord)], box.reshape(1, 9), rcut, skip_self
    )
    return [x.numpy() for x in result]


def brute_force(center, coord, box, rcut):
    """All pairs by trying every image; displacements sorted."""
    reach = [0, 0, 0]
    if box.any():
        inverse = np.linalg.inv(box)
        heights = 1 / np.linalg.norm(inverse, axis=0)
        reach = np.ceil(rcut / heights).astype(int) + 1
        center = center - np.floor(center @ inverse) @ box
        coord = coord - np.floor(coord @ inverse) @ box
    shifts = itertools.product(*[range(-n, n + 1) for n in reach])
    pairs = []
    for shift in shifts:
        disp = coord[None] + np.array(shift) @ box - center[:, None]
        for c, a in zip(*np.nonzero(np.sum(disp**2, -1) < rcut**2), strict=True):
            pairs.append((c, a, *disp[c, a]))
    return pairs


def ordered(pairs):
    """Rows (centre, atom, displacement) in one order, whatever the rounding of displacements."""
    table = np.array([tuple(p) for p in pairs], dtype=float).reshape(-1, 5)
    keys = np.round(table, 6) + 0.0
    return table[np.lexsort(keys.T[::-1])]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("natoms", [1, 2, 37])
def test_same_pairs_as_brute_force(name, natoms):
    rng = np.random.default_rng(natoms)
    box = CELLS[name]
    # Positions reach far outside the cell: they must be wrapped.
    coord, center = rng.uniform(-9, 9, (natoms, 3)), rng.uniform(-9, 9, (50, 3))
    pair_center, pair_atom, disp = search(center, coord, box)
    found = ordered(zip(pair_center, pair_atom, *disp.T, strict=True))
    expected = ordered(brute_force(center, coord, box, RCUT))
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found[:, :2], expected[:, :2])
    # Wrapping loses digits of numbers below 20 Å: 20 Å x 2^-52 x a few operations.
    np.testing.assert_allclose(found[:, 2:], expected[:, 2:], atol=1e-13)
    assert np.all(np.diff(pair_center) >= 0)


@pytest.mark.parametrize("name", CELLS)
def test_atoms_against_ase_and_matscipy(name):
    rng = np.random.default_rng(1)
    box = CELLS[name]
    coord = rng.uniform(-4, 8, (30, 3))
    atoms = ase.Atoms("H30", coord, cell=box, pbc=box.any())
    pair_center, pair_atom, disp = search(coord, coord, box, skip_self=True)
    found = ordered(zip(pair_center, pair_atom, *disp.T, strict=True))
    i, j, vectors = ase.neighborlist.neighbor_list("ijD", atoms, RCUT)
    np.testing.assert_allclose(found, ordered(zip(i, j, *vectors.T, strict=True)), atol=1e-12)
    if box.any() and np.linalg.det(box) > 0:
        i, j, vectors = matscipy.neighbours.neighbour_list("ijD", atoms, RCUT)
        np.testing.assert_allclose(found, ordered(zip(i, j, *vectors.T, strict=True)), atol=1e-12)


def test_own_images_are_neighbours():
    box = np.diag([2.0, 20.0, 20.0])
    _, _, disp = search(np.zeros((1, 3)), np.zeros((1, 3)), box, skip_self=True)
    np.testing.assert_allclose(sorted(disp[:, 0]), [-2.0, 2.0])


def test_atoms_and_points_on_cell_faces():
    box = np.diag([4.0, 5.0, 6.0])
    corners = np.array(list(itertools.product([0.0, 4.0], [0.0, 5.0], [0.0, 6.0])))
    for atom in corners:
        center, _, disp = search(corners, atom[None], box, rcut=1.0)
        np.testing.assert_array_equal(center, np.arange(8))
        np.testing.assert_allclose(disp, 0, atol=1e-14)


def test_frames_of_different_size_are_kept_apart():
    rng = np.random.default_rng(2)
    sizes, points = [3, 0, 11, 5], [7, 4, 0, 300]
    boxes = np.stack([CELLS[n].ravel() for n in ("triclinic", "cubic", "none", "tiny")])
    coord, center = rng.uniform(0, 6, (19, 3)), rng.uniform(0, 6, (311, 3))
    atom_splits, point_splits = np.cumsum([0, *sizes]), np.cumsum([0, *points])
    together = neighbor_list(
        center, point_splits.astype(np.int32), coord, atom_splits.astype(np.int32), boxes, RCUT
    )
    parts = [[], [], []]
    for f in range(4):
        mine = slice(point_splits[f], point_splits[f + 1])
        ours = slice(atom_splits[f], atom_splits[f + 1])
        c, a, d = search(center[mine], coord[ours], boxes[f])
        for part, values in zip(parts, (c + point_splits[f], a + atom_splits[f], d), strict=True):
            part.append(values)
    for one, many in zip(together, parts, strict=True):
        np.testing.assert_array_equal(one.numpy(), np.concatenate(many))


@pytest.mark.parametrize("natoms, ncenters", [(0, 5), (5, 0), (0, 0)])
def test_empty_lists(natoms, ncenters):
    center, coord = np.zeros((ncenters, 3)), np.zeros((natoms, 3)) + 50.0
    pair_center, pair_atom, disp = search(center, coord, CELLS["none"])
    assert pair_center.shape == pair_atom.shape == (0,)
    assert disp.shape == (0, 3)


def test_order_is_deterministic():
    rng = np.random.default_rng(3)
    coord, center = rng.uniform(0, 6, (60, 3)), rng.uniform(0, 6, (5000, 3))
    first = search(center, coord, CELLS["cubic"])
    for _ in range(3):
        for a, b in zip(first, search(center, coord, CELLS["cubic"]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_far_apart_atoms_do_not_exhaust_memory():
    coord = np.array([[0.0, 0.0, 0.0], [1e7, -1e7, 1e7], [1e7 + 1.0, -1e7, 1e7]])
    center, atom, _ = search(coord, coord, CELLS["none"], skip_self=True)
    assert list(zip(center, atom, strict=True)) == [(1, 2), (2, 1)]


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(4)
    box = CELLS["triclinic"]
    coord, center = rng.uniform(0, 5, (4, 3)), rng.uniform(0, 5, (6, 3))

    def value(center, coord):
        _, _, disp = neighbor_list(center, [0, 6], coord, [0, 4], box.reshape(1, 9), RCUT)
        # Vanishes smoothly at the cut-off, so that pairs may come and go.
        return tf.reduce_sum((RCUT**2 - tf.reduce_sum(disp**2, 1)) ** 3 * disp[:, 0])

    variables = [tf.constant(center), tf.constant(coord)]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        result = value(*variables)
    gradients = tape.gradient(result, variables)
    step = 1e-5
    for which, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)
        moved = [
            [v + (s * step * direction if k == which else 0) for k, v in enumerate((center, coord))]
            for s in (1, -1)
        ]
        numeric = (value(*moved[0]) - value(*moved[1])) / (2 * step)
        analytic = np.sum(gradient.numpy() * direction)
        np.testing.assert_allclose(numeric, analytic, rtol=1e-6)


BAD = {
    "center has shape": {"center": np.zeros((2, 2))},
    "coord is not finite in row 1": {"coord": np.array([[0, 0, 0], [0, np.nan, 0.0]])},
    "center is not finite in row 0": {"center": np.array([[np.inf, 0, 0], [0, 0, 0.0]])},
    "box has shape": {"box": np.zeros((1, 6))},
    "box of frame 0 has volume 0": {"box": np.array([[1, 0, 0, 2, 0, 0, 0, 0, 1.0]])},
    "rcut is -1": {"rcut": -1.0},
    "center_splits must rise from 0 to 2": {"center_splits": [0, 3]},
    "coord_splits has shape": {"coord_splits": [0, 1, 2]},
}


@pytest.mark.parametrize("message", BAD)
def test_malformed_input_is_invalid_argument(message):
    arguments = {
        "center": np.zeros((2, 3)),
        "center_splits": [0, 2],
        "coord": np.ones((2, 3)),
        "coord_splits": [0, 2],
        "box": np.zeros((1, 9)),
        "rcut": 2.0,
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        neighbor_list(**{**arguments, **BAD[message]})
