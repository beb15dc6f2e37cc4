"""The loss against sums written out."""

import numpy as np

from deepdensity_tf.data.sampler import SamplerConfig, assemble
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.loss import DensityLoss

PREFACTORS = {
    "pref_abs": 0.7,
    "pref_sq": 0.2,
    "pref_charge": 3.0,
    "pref_spin": 0.0,
    "pref_aug": 0.0,
    "pref_dipole": 0.0,
}


def test_errors_of_whole_frames(small_system):
    frames = list(DensitySystem(small_system))[:2]
    rng = np.random.default_rng(0)
    sample = assemble(frames, SamplerConfig(5000, 0.5), rng.spawn(len(frames)))
    predicted = sample.density + rng.normal(0, 0.01, sample.density.shape)
    loss = DensityLoss(PREFACTORS)
    errors = loss.errors(predicted, sample)
    expected = []
    for f in range(2):
        part = slice(4096 * f, 4096 * (f + 1))
        reference, difference = sample.density[part, 0], (predicted - sample.density)[part, 0]
        absolute = np.abs(difference).sum() / reference.sum()
        squared = np.mean(difference**2) / reference.mean() ** 2
        charge = abs(difference.sum()) / reference.sum()
        np.testing.assert_allclose(errors.absolute[f], absolute)
        np.testing.assert_allclose(errors.squared[f], squared)
        np.testing.assert_allclose(errors.charge[f], charge)
        expected.append(0.7 * absolute + 0.2 * squared + 3.0 * charge)
    np.testing.assert_allclose(loss(errors), np.mean(expected))


def test_charge_is_that_of_exact_integrals(small_system):
    """Whatever the points say; where a frame's electrons are not known, the points decide."""
    frames = list(DensitySystem(small_system))[:2]
    sample = assemble(frames, SamplerConfig(200, 0.5), np.random.default_rng(0).spawn(2))
    sample = sample._replace(electrons=sample.electrons * [1, 0])
    loss = DensityLoss(PREFACTORS)
    charge = loss.errors(1.5 * sample.density, sample, np.array([6.6, 6.6])).charge
    np.testing.assert_allclose(charge, [abs(6.6 / frames[0].electrons - 1), 0.5], rtol=1e-9)


def test_frames_weigh_the_same_whatever_their_points(small_system):
    """Ten times the points of one frame leave the loss where it was."""
    frames = list(DensitySystem(small_system))[:2]
    losses = []
    for points in (400, 4000):
        draws = []
        for seed in range(30):
            rng = np.random.default_rng(seed)
            one = assemble(frames[:1], SamplerConfig(points, 0.5), rng.spawn(1))
            two = assemble(frames[1:], SamplerConfig(400, 0.5), rng.spawn(len(frames) - 1))
            both = [
                np.concatenate([a, b]) if name in ("density", "weight") else None
                for name, a, b in zip(one._fields, one, two, strict=True)
            ]
            sample = one._replace(
                density=both[6],
                weight=both[7],
                point_splits=np.array([0, len(one.point), len(one.point) + len(two.point)]),
            )
            # Frame one is wrong by 10 %, frame two by 30 %.
            factor = np.repeat([1.1, 1.3], np.diff(sample.point_splits))[:, None]
            loss = DensityLoss({**PREFACTORS, "pref_sq": 0.0, "pref_charge": 0.0})
            draws.append(float(loss(loss.errors(sample.density * factor, sample))))
        losses.append(np.mean(draws))
    np.testing.assert_allclose(losses, 0.7 * 0.2, rtol=1e-6)
