"""Means of a line of the learning curve, and the frames of validation."""

import numpy as np
import pytest

from deepdensity_tf.data.sampler import SamplerConfig, assemble
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.infer.metrics import Errors, density_errors
from deepdensity_tf.train.validation import Validation
from deepdensity_tf.train.window import Window, window_variable
from deepdensity_tf.train.workers import Workers


def errors_of(nmae):
    errors = Errors()
    errors.frames.append(
        {"nmae": nmae, "charge_error": nmae / 10, "spin_nmae": None, "augmentation_error": None}
    )
    return errors


def test_means_go_on_after_a_restart():
    kept = window_variable()
    first = Window(kept, Workers(None))
    first.add(0.1, errors_of(10.0))
    first.add(0.3, errors_of(20.0))
    first.keep()
    first.add(9.0, errors_of(900.0))  # after the checkpoint: lost with the process
    again = Window(kept, Workers(None))
    again.add(0.8, errors_of(60.0))
    means = again.means()
    assert means["loss"] == pytest.approx(0.4) and means["nmae"] == pytest.approx(30)
    assert means["charge"] == pytest.approx(3)
    again.clear()
    assert np.isnan(again.means()["nmae"])


@pytest.mark.parametrize("exact", [True, False])
def test_all_points_of_frames_give_the_errors_of_the_test(small_system, exact):
    """One accumulator: a sample of every point against the arrays of each frame."""
    frames = list(DensitySystem(small_system))[:2]
    rng = np.random.default_rng(0)
    sample = assemble(frames, SamplerConfig(5000, 0.5), rng.spawn(2))
    predicted = sample.density * rng.uniform(0.9, 1.2, sample.density.shape)
    electrons = [6.3, 5.5]
    errors = Errors()
    errors.add(predicted, sample, electrons if exact else None)
    for found, frame, pred, integral in zip(
        errors.frames, frames, np.split(predicted[:, 0], 2), electrons, strict=True
    ):
        expected = density_errors(
            pred, frame.density, frame.volume_element, electrons=integral if exact else None
        )
        for name in ("nmae", "mae", "rmse", "max_error", "charge_error", "abs_error_sum"):
            assert found[name] == pytest.approx(expected[name], rel=1e-12), name
        if exact:
            assert found["charge_error"] == pytest.approx(
                100 * abs(integral - frame.electrons) / frame.electrons, rel=1e-12
            )
    assert errors.result()["nmae"] == pytest.approx(np.mean([f["nmae"] for f in errors.frames]))


def test_validation_takes_frames_of_all_systems(small_system):
    """A fixed sample; the first ones would all be of one system."""
    frames = [frame for _ in range(3) for frame in DensitySystem(small_system)]
    validation = Validation(frames, SamplerConfig(100, 0.5), 6, seed=1)
    places = [next(k for k, f in enumerate(frames) if f is frame) for frame in validation.frames]
    assert [place // 3 for place in places] == list(range(6))
    assert len(Validation(frames, SamplerConfig(100, 0.5), 0, seed=1).frames) == 18


def test_workers_validate_on_the_points_of_one(small_system):
    validation = Validation(list(DensitySystem(small_system)), SamplerConfig(100, 0.5), 0, seed=1)
    whole = list(validation.samples())
    parts = [list(validation.samples(slice(rank, None, 2))) for rank in (0, 1)]
    for index, sample in enumerate(whole):
        np.testing.assert_array_equal(sample.point, parts[index % 2][index // 2].point)
