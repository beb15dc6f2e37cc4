"""Baseline and scales taken from the data before training."""

import numpy as np
import pytest
import tensorflow as tf
from ase.build import bulk
from scipy.sparse import csr_array

from deepdensity_tf.baseline.atomic import Atomic
from deepdensity_tf.data.sampler import Sample
from deepdensity_tf.descriptor.equivariant import BOUND
from deepdensity_tf.model import Batch, DensityModel
from deepdensity_tf.model.statistics import fit_baseline, initialise_statistics
from deepdensity_tf.utils.radial import RadialGrid
from deepdensity_tf.utils.scale import Scale, ScaleTensors
from tests.conftest import completed_model, random_weights

CRYSTALS = {
    "sc": bulk("Po", "sc", a=3.3),
    "bcc": bulk("Fe", "bcc", a=2.9),
    "fcc": bulk("Al", "fcc", a=4.05),
    "diamond": bulk("Si", "diamond", a=5.43),
}
NO_CELL = np.zeros((3, 3))


def gaussians(coord, box, points, width=0.5):
    """The density of Gaussian atoms and their nearest images."""
    shifts = np.indices((5,) * 3).reshape(3, -1).T - 2
    images = (coord[:, None] + (shifts @ box)[None]).reshape(-1, 3) if box.any() else coord
    square = ((points[:, None] - images) ** 2).sum(-1)
    return np.exp(-0.5 * square / width**2).sum(1)


def sample(coord, box, atype, density=None, npoints=300, seed=0):
    """One frame as the sampler gives it, points within the cell or around the atoms."""
    coord, rng = np.asarray(coord, float), np.random.default_rng(seed)
    around = rng.normal(size=(npoints, 3)) + coord[rng.integers(0, len(coord), npoints)]
    points = rng.random((npoints, 3)) @ box if np.any(box) else around
    density = (
        gaussians(coord, np.asarray(box), points)[:, None] if density is None else density(points)
    )
    return Sample(
        coord=coord,
        coord_splits=np.array([0, len(coord)], np.int32),
        atype=np.asarray(atype, np.int32),
        box=np.asarray(box, float).reshape(1, 9),
        point=points,
        point_splits=np.array([0, npoints], np.int32),
        density=density,
        weight=np.full(npoints, 1 / npoints),
        volume=np.ones(1),
        electrons=np.zeros(1),
    )


def make_model(**changes) -> DensityModel:
    model = DensityModel(completed_model(**changes), seed=3)
    random_weights(model)
    return model


def scales(model) -> list[np.ndarray]:
    found = [module.scale.numpy() for module in model.submodules if isinstance(module, Scale)]
    assert found
    return found


def prepared(frames, **changes) -> DensityModel:
    model = make_model(**changes)
    initialise_statistics([model], len(frames), lambda index: frames[index])
    return model


def density_of(model, frame: Sample, points=None):
    batch = Batch(*(tf.constant(getattr(frame, name)) for name in Batch._fields))
    if points is not None:
        batch = batch._replace(point=tf.constant(points))
    return model(batch).numpy()[:, 0]


def test_baseline_against_dense_least_squares():
    rng = np.random.default_rng(1)
    coords = [rng.uniform(0, 4, (3, 3)) for _ in range(3)]
    frames = [sample(c, NO_CELL, [0, 1, 1], seed=i) for i, c in enumerate(coords)]
    model = make_model(baseline={"type": "atomic", "smoothness": 1e-3})
    fit_baseline(model, 3, lambda index: frames[index])
    size = model.grid.nspline
    rows, target, weight = [], [], []
    for frame in frames:
        design = np.zeros((len(frame.point), 2 * size))
        for position, t in zip(frame.coord, frame.atype, strict=True):
            r = np.linalg.norm(frame.point - position, axis=1)
            design[:, t * size : (t + 1) * size] += np.where(
                (r < model.grid.rcut)[:, None], model.grid.values(r), 0
            )
        rows.append(design)
        target.append(frame.density)
        weight.append(frame.weight)
    design, target, weight = np.concatenate(rows), np.concatenate(target), np.concatenate(weight)
    normal = design.T @ (weight[:, None] * design)
    curvature = np.diff(np.eye(size), 2, axis=0)
    r = (np.arange(40000) + 0.5) / 40000 * model.grid.rcut
    volume = (r**2) @ model.grid.values(r) ** 2
    volume /= volume.mean()
    penalty = curvature.T @ np.diag(volume[1:-1]) @ curvature + 1e-3 * np.diag(volume)
    for t in range(2):
        block = slice(t * size, (t + 1) * size)
        normal[block, block] += (
            1e-3 * np.diag(design.T @ (weight[:, None] * design))[block].mean() * penalty
        )
    expected = np.linalg.solve(normal, design.T @ (weight[:, None] * target))
    np.testing.assert_allclose(
        model.baseline.numpy()[:, 0],
        expected.reshape(2, size),
        rtol=0,
        atol=1e-8 * np.abs(expected).max(),
    )


def test_baseline_keeps_what_is_sharp_at_a_nucleus():
    """The valence of oxygen is a shell around a hole of a tenth of an Ångström."""
    grid = RadialGrid(4.0, 60)
    r = (np.arange(4000) + 0.5) / 1000
    shell = np.exp(-0.5 * (r / 0.35) ** 2) * (1 - 0.95 * np.exp(-0.5 * (r / 0.1) ** 2))
    design, weight = grid.values(r), r**2
    normal = csr_array(design.T @ (weight[:, None] * design))
    right = design.T @ (weight * shell)
    found = Atomic({"smoothness": 1e-3}).fit(grid, normal, right[:, None])
    # A curvature that counts alike everywhere is off by a quarter of the shell's height there.
    np.testing.assert_allclose(design @ found[0, 0], shell, rtol=0, atol=0.02 * shell.max())


def test_baseline_of_an_absent_type_is_zero():
    model = prepared([sample([[0.0, 0, 0], [1.1, 0, 0]], NO_CELL, [1, 1])])
    assert not model.baseline.numpy()[0].any() and model.baseline.numpy()[1].any()


def test_scales_are_bounded_for_a_rare_type():
    common = [sample([[0.0, 0, 0], [1.1, 0, 0], [0, 1.2, 0]], NO_CELL, [0, 1, 1])] * 60
    rare = sample([[0.0, 0, 0], [1.3, 0, 0]], NO_CELL, [0, 2])
    model = prepared([*common, rare], type_map=["C", "H", "O"])
    usual = prepared(common, type_map=["C", "H", "O"])
    for found, expected in zip(scales(model), scales(usual), strict=True):
        # One frame in 61 changes mean squares by little, and none may be taken for zero.
        np.testing.assert_allclose(found, expected, rtol=0.5)


@pytest.mark.parametrize("name", CRYSTALS)
def test_scales_of_perfect_crystals_are_bounded(name):
    atoms = CRYSTALS[name]
    frame = sample(atoms.positions, atoms.cell.array, [0] * len(atoms))
    for scale in scales(prepared([frame])):
        # The floor: what vanishes by symmetry counts as a tenth of the largest mean square.
        assert scale.max() <= np.sqrt(10) * scale.min() * (1 + 1e-6)


@pytest.mark.parametrize("name", CRYSTALS)
def test_perfect_crystals_turn_and_tremble(name):
    atoms = CRYSTALS[name]
    box, atype = atoms.cell.array, [0] * len(atoms)
    frame = sample(atoms.positions, box, atype)
    model = prepared([frame], precision="float32")
    density = density_of(model, frame)
    q, r = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    turn = q * np.sign(np.diag(r))
    turned = sample(frame.coord @ turn, box @ turn, atype)
    mean = np.abs(density).mean()
    # Single precision: 6e-8 of numbers of order one, through some dozens of operations.
    assert np.abs(density_of(model, turned, frame.point @ turn) - density).max() < 2e-5 * mean
    moved = np.random.default_rng(3).normal(0, 1e-5, frame.coord.shape)
    trembling = sample(frame.coord + moved, box, atype)
    # Atoms move by 1e-5 Å; densities change over some tenths of an Å.
    assert np.abs(density_of(model, trembling, frame.point) - density).max() < 1e-3 * mean


def test_single_atoms():
    model = prepared([sample([[0.0, 0, 0]], NO_CELL, [0])])
    assert all(np.isfinite(scale).all() and scale.max() == 1 for scale in scales(model)[:1])
    far = sample([[0.0, 0, 0], [1.0, 0, 0]], NO_CELL, [0, 0])
    assert np.abs(density_of(model, far)).max() < 1e3 * np.abs(far.density).max()


def test_spin_scale_of_closed_shells():
    closed = sample(
        [[0.0, 0, 0], [1.1, 0, 0]],
        NO_CELL,
        [0, 1],
        density=lambda p: np.stack([gaussians(np.zeros((1, 3)), NO_CELL, p), 0 * p[:, 0]], 1),
    )
    model = prepared([closed], spin=True)
    density, spin = model.scale.numpy()
    assert spin >= 0.1 * density > 0


def test_tensors_far_from_the_data_are_bounded():
    scale = ScaleTensors(make_init(), 2, 3.0)
    features = tf.constant(np.random.default_rng(0).normal(size=(9, 4, 3)))
    scaled = scale(1e8 * features)
    norms = np.add.reduceat(scaled.numpy() ** 2, [0, 1, 4]).mean(-1) / np.array([1, 3, 5])[:, None]
    np.testing.assert_allclose(np.sqrt(norms), 3.0, rtol=1e-6)
    np.testing.assert_allclose(scale(1e-6 * features), 1e-6 * features, rtol=1e-9)


def test_atoms_far_from_the_data_are_bounded():
    frame = sample(np.random.default_rng(0).uniform(0, 3, (6, 3)), NO_CELL, [0, 1] * 3)
    model = prepared([frame])
    passes = model.descriptor._passes
    for one in passes:  # nets that go steeply beyond what they learned
        for variable in (*one._scalars.trainable_variables, one._gates.weight):
            variable.assign(1e3 * variable)
    squeezed = [frame.coord / 4, frame.coord_splits, frame.atype, frame.box]
    state = model.atom_state(*squeezed)
    assert 0.9 * BOUND < np.abs(state.scalars).max() <= len(passes) * BOUND
    norms = np.add.reduceat(np.sum(state.tensors.numpy() ** 2, -1), [0, 1, 4, 9])
    largest = BOUND * sum(_most_of_tensors(one) for one in passes)
    assert np.all(np.sqrt(norms.max(1)) <= largest)
    for one in passes:
        one._bounded = False
    assert np.abs(model.atom_state(*squeezed).scalars).max() > 1e3


def _most_of_tensors(one):
    """Of each l up to 3, in units of BOUND: gates up to 2, the matrix, features of both kinds."""
    nchannels = one._mix.weight.shape[-1]
    gathered = 1 + sum(
        np.pad(np.linalg.norm(part.weight, 2, (1, 2)), (0, 4 - part.weight.shape[0]))
        for part in ([] if one._crossed is None else [one._own, one._crossed._mix])
    )
    both = np.sqrt((1 + gathered**2) * nchannels * (2 * np.arange(4) + 1))
    return 2 * np.linalg.norm(one._mix.weight, 2, (1, 2)) * both


def make_init():
    from deepdensity_tf.utils.nn import Initializer

    return Initializer(0, tf.float64)


@pytest.mark.parametrize("count", [4, 12, 18, 20])
def test_radial_functions_are_orthonormal(count):
    grid = RadialGrid(4.0, 20)
    widths = np.geomspace(0.45, 0.175, count) * grid.rcut
    coef = grid.orthonormal(lambda r: np.exp(-0.5 * (r[:, None] / widths) ** 2))
    r = (np.arange(20_000) + 0.5) / 20_000 * grid.rcut
    functions = grid.values(r) @ coef.T
    overlap = functions.T @ (functions * (r**2 * (r[1] - r[0]))[:, None])
    # The scalar product of the construction has 2000 points, this one 20 000.
    np.testing.assert_allclose(overlap, np.eye(count), atol=1e-4)
