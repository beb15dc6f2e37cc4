"""The fused density op against pair lists and the sum over them, which have tests of their own."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.model.density_model import Batch
from deepdensity_tf.utils import ops
from deepdensity_tf.utils.radial import RadialGrid

GRID = RadialGrid(rcut=3.0, nspline=14)
CELLS = {
    "none": np.zeros((3, 3)),
    "cubic": np.diag([7.0, 8.0, 9.0]),
    "small triclinic": np.array([[3.0, 0, 0], [1.0, 2.5, 0], [0.5, -0.7, 4.0]]),
}


def make_batch(cells, natoms=(9,), npoints=(700,), seed=0):
    rng = np.random.default_rng(seed)
    return Batch(
        coord=tf.constant(rng.uniform(-5, 15, (sum(natoms), 3))),
        coord_splits=tf.constant(np.cumsum([0, *natoms]), tf.int32),
        atype=None,
        box=tf.constant(np.reshape(cells, (-1, 9))),
        point=tf.constant(rng.uniform(-10, 20, (sum(npoints), 3))),
        point_splits=tf.constant(np.cumsum([0, *npoints]), tf.int32),
    )


def make_coef(batch, lmax, nchannel=2, dtype=np.float64, grid=GRID):
    shape = (len(batch.coord), nchannel, grid.nspline, (lmax + 1) ** 2)
    return tf.constant(np.random.default_rng(1).normal(size=shape), dtype)


def reference(batch, coef, grid=GRID):
    """Density, and gradient of its first channel, by way of a list of pairs."""
    center, atom, disp = ops.neighbor_list(
        batch.point, batch.point_splits, batch.coord, batch.coord_splits, batch.box, grid.rcut
    )
    npoints = len(batch.point)
    with tf.GradientTape() as tape:
        tape.watch(disp)
        density = ops.expansion(-disp, center, atom, coef, grid.parameters, npoints)
        total = tf.reduce_sum(density[:, 0])
    gradient = -tf.math.unsorted_segment_sum(tape.gradient(total, disp), center, npoints)
    return density.numpy(), gradient.numpy()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lmax", [0, 1, 4, 6])
# Sums of a few hundred terms of order one: rounding times their number.
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 3e-4)])
def test_values_and_gradient(cell, lmax, dtype, tolerance):
    batch = make_batch(CELLS[cell])
    coef = make_coef(batch, lmax, dtype=dtype)
    density, gradient = reference(batch, coef)
    assert np.abs(density).max() > 0.1 and np.abs(gradient).max() > 0.1
    found = ops.density(batch, coef, GRID.parameters)
    np.testing.assert_allclose(found, density, atol=tolerance)
    slope = ops.density_gradient(batch, coef, GRID.parameters)
    np.testing.assert_allclose(slope, gradient, atol=4 * tolerance)


def test_frames_of_different_size_with_empty_ones():
    cells = [CELLS["cubic"], CELLS["none"], CELLS["small triclinic"], CELLS["cubic"]]
    batch = make_batch(cells, natoms=(5, 0, 3, 2), npoints=(40, 7, 90, 0))
    coef = make_coef(batch, 3)
    density, _ = reference(batch, coef)
    found = ops.density(batch, coef, GRID.parameters).numpy()
    np.testing.assert_allclose(found, density, atol=1e-12)
    np.testing.assert_array_equal(found[40:47], 0)


@pytest.mark.parametrize("arrangement", ["grid", "one place", "line", "far apart"])
def test_blocks_of_points_of_every_shape(arrangement):
    """More points than a block holds, spread in ways that a sort into boxes may stumble over."""
    rng = np.random.default_rng(2)
    points = {
        "grid": np.indices((25, 25, 25)).reshape(3, -1).T / 25 * [7.0, 8.0, 9.0],
        "one place": np.tile([[3.0, 3.0, 3.0]], (9000, 1)),
        "line": np.linspace(0, 1, 9000)[:, None] * [[7.0, 0.0, 0.0]],
        "far apart": rng.normal(0, 1e6, (300, 3)),
    }[arrangement]
    cell = CELLS["none"] if arrangement == "far apart" else CELLS["cubic"]
    batch = make_batch(cell, npoints=(len(points),))._replace(point=tf.constant(points))
    if arrangement == "far apart":
        batch = batch._replace(coord=tf.constant(points[:9] + 0.5))
    coef = make_coef(batch, 2, nchannel=1)
    density, gradient = reference(batch, coef)
    assert np.abs(density).max() > 0.1
    found = ops.density(batch, coef, GRID.parameters)
    np.testing.assert_allclose(found, density, atol=1e-12)
    slope = ops.density_gradient(batch, coef, GRID.parameters)
    np.testing.assert_allclose(slope, gradient, atol=1e-11)


def test_single_precision_of_points_far_from_the_others():
    """Many points around the atoms and a few a million Å away, which are no one's neighbours."""
    batch = make_batch(CELLS["none"], npoints=(9001,))
    near = np.random.default_rng(2).uniform(-5, 15, (9000, 3))
    # Between the others in memory.
    points = np.insert(near, 4500, 1e6, axis=0)
    batch = batch._replace(point=tf.constant(points))
    coef = make_coef(batch, 1, nchannel=1)
    expected = ops.density(batch, coef, GRID.parameters).numpy()
    found = ops.density(batch, tf.cast(coef, tf.float32), GRID.parameters).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-5)
    np.testing.assert_array_equal(expected[4500], 0)


def test_point_on_a_nucleus_and_at_the_cutoff():
    batch = make_batch(CELLS["none"], natoms=(1,), npoints=(4,))
    offsets = np.array([[0, 0, 0], [3.0, 0, 0], [0, 3.0 - 1e-13, 0], [0, 0, 3.0 + 1e-13]])
    batch = batch._replace(point=batch.coord + offsets)
    coef = make_coef(batch, 3, nchannel=1)
    found = ops.density(batch, coef, GRID.parameters).numpy()
    np.testing.assert_allclose(found, reference(batch, coef)[0], atol=1e-13)
    assert abs(found[0, 0]) > 1e-3
    assert np.isfinite(ops.density_gradient(batch, coef, GRID.parameters)).all()


def on_grid(batch, coef, shape, box, part=0, nparts=1, grid=GRID):
    shape, parts = tf.constant(shape, tf.int32), tf.constant([part, nparts], tf.int32)
    box = tf.reshape(tf.constant(box), [-1])
    return ops.density_on_grid(
        shape, parts, box, batch.coord, batch.box, coef, grid.parameters
    ).numpy()


def grid_points(shape, box):
    return np.indices(shape).reshape(3, -1).T / shape @ box


@pytest.mark.parametrize("shape", [(1, 1, 1), (31, 17, 23), (40, 1, 5), (1, 2, 20000), (60, 60, 3)])
@pytest.mark.parametrize("cell", ["cubic", "small triclinic"])
@pytest.mark.parametrize("periodic", [True, False])
def test_grids_as_their_points(shape, cell, periodic):
    box = CELLS[cell]
    points = grid_points(shape, box)
    batch = make_batch(box if periodic else CELLS["none"], npoints=(len(points),))
    batch = batch._replace(point=tf.constant(points))
    if not periodic:
        batch = batch._replace(coord=tf.constant(np.random.default_rng(3).uniform(0, 4, (9, 3))))
    coef = make_coef(batch, 3)
    expected = ops.density(batch, coef, GRID.parameters)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(on_grid(batch, coef, shape, box), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_parts_of_a_grid_follow_one_another(dtype):
    shape, box = (50, 31, 20), CELLS["small triclinic"]
    batch = make_batch(box)
    coef = make_coef(batch, 2, dtype=dtype)
    whole = on_grid(batch, coef, shape, box)
    for nparts in (2, 3, 7, 200):
        parts = [on_grid(batch, coef, shape, box, k, nparts) for k in range(nparts)]
        assert max(len(part) for part in parts) < len(whole)
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_single_precision_near_a_steep_nucleus():
    """A density as steep as that of oxygen: rounding of positions must not be seen."""
    box = CELLS["cubic"]
    batch = make_batch(box, natoms=(1,))
    fine = RadialGrid(rcut=3.0, nspline=40)
    coef = np.zeros((1, 1, 40, 1))
    coef[0, 0, :, 0] = 8 * np.exp(-np.linspace(0, 12, 40))
    both = [
        on_grid(batch, tf.constant(coef, dtype), (70, 80, 90), box, grid=fine)
        for dtype in (np.float32, np.float64)
    ]
    # A place on the axis of the splines, up to 40, is rounded to 2e-6 of their width, across
    # which the largest changes by less than 8 electrons/Å^3.
    np.testing.assert_allclose(both[0], both[1], rtol=0, atol=8 * 40 * 2.0**-24)


BAD_GRIDS = {
    "shape must hold three positive": {"shape": [3, 0, 3]},
    "shape asks for too many points": {"shape": [2**30] * 3},
    "part must hold": {"part": 3, "nparts": 3},
    "grid_box is not the box": {"box": np.eye(3)},
    "grid_box holds nine zeros": {"box": np.zeros((3, 3))},
}


@pytest.mark.parametrize("message", BAD_GRIDS)
def test_malformed_grids(message):
    batch = make_batch(CELLS["cubic"])
    given = {"shape": [3, 3, 3], "box": CELLS["cubic"], **BAD_GRIDS[message]}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        on_grid(batch, make_coef(batch, 1), **given)


def test_a_grid_that_no_memory_holds():
    batch = make_batch(CELLS["cubic"])
    with pytest.raises(tf.errors.ResourceExhaustedError, match="out of memory"):
        on_grid(batch, make_coef(batch, 1), [9 * 10**4] * 3, CELLS["cubic"])


def test_the_same_numbers_every_time():
    batch = make_batch(CELLS["cubic"], npoints=(20000,))
    coef = make_coef(batch, 4, dtype=np.float32)
    runs = [ops.density(batch, coef, GRID.parameters).numpy() for _ in range(3)]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])


BAD = {
    "coef is of 8 atoms": {"coef": np.zeros((8, 1, 14, 4))},
    "coef must have shape": {"coef": np.zeros((9, 1, 14, 5))},
    "coef must have shape .*nchannel": {"coef": np.zeros((9, 0, 14, 4))},
    "point is not finite in row 3": {"point": np.where(np.indices((700, 3))[0] == 3, np.nan, 0.0)},
    "point_splits must rise": {"point_splits": np.array([0, 600], np.int32)},
    "box of frame 0 has volume": {"box": np.ones((1, 9))},
    "radial must hold a positive": {"radial": np.array([3.0, 0.0])},
}


@pytest.mark.parametrize("message", BAD)
def test_malformed_input(message):
    batch = make_batch(CELLS["cubic"])
    given = {"coef": make_coef(batch, 1, nchannel=1), "radial": GRID.parameters, **BAD[message]}
    batch = batch._replace(**{k: v for k, v in given.items() if k in Batch._fields})
    for op in (ops.density, ops.density_gradient):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            op(batch, given["coef"], given["radial"])
