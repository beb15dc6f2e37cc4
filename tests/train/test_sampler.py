"""Point sampling: unbiased whatever the mixture, the same for the same step."""

import numpy as np
import pytest

from deepdensity_tf.data.sampler import BatchSampler, SamplerConfig, draw_points
from deepdensity_tf.data.system import DensitySystem


@pytest.mark.parametrize("uniform_fraction", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("wanted", [50, 700])
def test_weighted_sums_are_unbiased(uniform_fraction, wanted):
    rng = np.random.default_rng(0)
    density = rng.lognormal(sigma=2.0, size=1000).astype(np.float32)
    values = rng.normal(size=1000) + 3 * density / density.max()
    config = SamplerConfig(wanted, uniform_fraction)
    estimates = []
    for _ in range(3000):
        index, weight = draw_points(density, config, rng)
        assert len(index) == len(weight) == wanted
        estimates.append(np.sum(weight * values[index]))
    error = np.std(estimates) / np.sqrt(len(estimates))
    # Five standard errors: a false alarm once in two million runs of a fixed seed.
    assert abs(np.mean(estimates) - values.mean()) < 5 * error


def test_density_weighted_draws_see_more_of_the_density():
    density = np.where(np.arange(100_000) < 100, 10.0, 1e-6)
    rng = np.random.default_rng(1)
    share = {
        mix: np.mean(density[draw_points(density, SamplerConfig(5000, mix), rng)[0]] > 1)
        for mix in (0.1, 1.0)
    }
    assert share[1.0] < 0.01 and share[0.1] > 0.5


def test_small_frames_are_taken_whole():
    index, weight = draw_points(np.ones(7), SamplerConfig(100, 0.5), np.random.default_rng(0))
    np.testing.assert_array_equal(index, np.arange(7))
    np.testing.assert_allclose(weight, 1 / 7)


def test_zero_density_is_sampled_uniformly():
    index, weight = draw_points(np.zeros(1000), SamplerConfig(10, 0.5), np.random.default_rng(0))
    np.testing.assert_allclose(weight.sum(), 1.0)
    assert len(np.unique(index)) == 10


def test_batches_depend_on_seed_and_step_alone(small_system):
    frames = list(DensitySystem(small_system))
    config = SamplerConfig(30, 0.5)
    one, other = (BatchSampler(frames, config, 2, seed=4) for _ in range(2))
    one(0), one(1)
    for a, b in zip(one(7), other(7), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one(7).point, one(8).point)
    assert not np.array_equal(one(7).point, BatchSampler(frames, config, 2, seed=5)(7).point)


def test_every_frame_is_drawn_once_an_epoch(small_system):
    frames = list(DensitySystem(small_system))
    sampler = BatchSampler(frames, SamplerConfig(5, 0.5), 3, seed=0)
    first = [frame.coord[0, 0] for frame in frames]
    drawn = [x for step in range(2) for x in sampler(step).coord[::3, 0]]
    np.testing.assert_allclose(sorted(drawn), sorted(first))


def test_references_belong_to_their_points(small_system):
    frames = list(DensitySystem(small_system))
    sample = BatchSampler(frames, SamplerConfig(40, 0.3), 2, seed=0)(0)
    for f in range(2):
        part = slice(sample.point_splits[f], sample.point_splits[f + 1])
        coord = sample.coord[sample.coord_splits[f] : sample.coord_splits[f + 1]]
        frame = next(x for x in frames if np.array_equal(x.coord, coord))
        grid = np.rint(sample.point[part] / 6.0 * 16).astype(int)
        flat = np.ravel_multi_index(grid.T, (16, 16, 16))
        np.testing.assert_allclose(sample.density[part, 0], frame.density[flat])
        assert sample.volume[f] == pytest.approx(216.0)
