"""Environment matrix and solid harmonics against NumPy formulas and finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import sph_harm_y

from deepdensity_tf.utils.ops import env_mat, harmonics

RCUT_SMTH, RCUT = 1.2, 3.4


def switch(r):
    """The quintic switch in its textbook form: 1 - 10 u^3 + 15 u^4 - 6 u^5, over r."""
    u = np.clip((r - RCUT_SMTH) / (RCUT - RCUT_SMTH), 0, 1)
    return (1 - 10 * u**3 + 15 * u**4 - 6 * u**5) / r


def scipy_harmonics(vec, lmax):
    """Racah-normalised real solid harmonics from SciPy's complex ones."""
    r = np.linalg.norm(vec, axis=1)
    theta, phi = np.arccos(vec[:, 2] / r), np.arctan2(vec[:, 1], vec[:, 0])
    columns = []
    for degree in range(lmax + 1):
        norm = np.sqrt(4 * np.pi / (2 * degree + 1)) * r**degree
        for m in range(degree, 0, -1):
            y = sph_harm_y(degree, m, theta, phi) * (-1) ** m * np.sqrt(2) * norm
            columns += [y.real, y.imag]
        columns.append(sph_harm_y(degree, 0, theta, phi).real * norm)
    return np.stack(columns, 1)


def displacements(n=203, seed=0):
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    return direction * rng.uniform(0.3, 3.8, (n, 1))


@pytest.mark.parametrize("lmax", range(9))
def test_harmonics_against_scipy(lmax):
    vec = displacements()
    expected = scipy_harmonics(vec, lmax)
    # Numbers up to 3.8^8; a few tens of operations.
    np.testing.assert_allclose(harmonics(vec, lmax), expected, atol=1e-13 * 3.8**lmax)


def test_harmonics_at_the_origin_are_finite():
    values = harmonics(np.zeros((1, 3)), 4).numpy()[0]
    np.testing.assert_array_equal(values, np.eye(25)[0])


def test_environment_matrix_against_numpy():
    disp = displacements()
    r = np.linalg.norm(disp, axis=1)
    expected = switch(r)[:, None] * np.concatenate([np.ones((len(r), 1)), disp / r[:, None]], 1)
    np.testing.assert_allclose(env_mat(disp, RCUT_SMTH, RCUT), expected, atol=1e-15)


def test_rows_beyond_the_cutoff_are_zero():
    disp = np.array([[RCUT, 0, 0], [0, 5.0, 0]])
    np.testing.assert_array_equal(env_mat(disp, RCUT_SMTH, RCUT, 3), np.zeros((2, 16)))


@pytest.mark.parametrize("r0", [RCUT_SMTH, RCUT])
def test_two_continuous_derivatives_at_the_switch(r0):
    step = 1e-3
    r = r0 + step * np.array([-2, -1, 0, 1, 2])
    disp = np.stack([r, 0 * r, 0 * r], 1)
    s = env_mat(disp, RCUT_SMTH, RCUT, 0).numpy()[:, 0]
    left, right = (s[0] - 2 * s[1] + s[2]) / step**2, (s[2] - 2 * s[3] + s[4]) / step**2
    # One-sided second differences differ by 2 h s'''; s''' is below 60 / (r0 (rcut - rcut_smth)^3).
    assert abs(left - right) < 2 * step * 60 / (r0 * (RCUT - RCUT_SMTH) ** 3) + 6 * step / r0**4


@pytest.mark.parametrize("function", ["env_mat", "harmonics"])
@pytest.mark.parametrize("lmax", [0, 1, 4, 8])
def test_gradients_against_finite_differences(function, lmax):
    rng = np.random.default_rng(lmax)
    disp = displacements(40, seed=1)
    weights = rng.normal(size=(40, (lmax + 1) ** 2))

    def value(d):
        rows = harmonics(d, lmax) if function == "harmonics" else env_mat(d, RCUT_SMTH, RCUT, lmax)
        return tf.reduce_sum(rows * weights, 1)

    variable = tf.constant(disp)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        total = tf.reduce_sum(value(variable))
    gradient = tape.gradient(total, variable).numpy()
    step = 1e-5
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        numeric = (value(disp + shift) - value(disp - shift)).numpy() / (2 * step)
        scale = np.abs(gradient).max()
        # Central differences: truncation h^2 and rounding eps / h, relative to the largest.
        np.testing.assert_allclose(numeric, gradient[:, axis], atol=1e-8 * scale)


def test_rotation_of_harmonics_keeps_norms():
    vec = displacements()
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    before, after = harmonics(vec, 6).numpy(), harmonics(vec @ rotation.T, 6).numpy()
    for degree in range(7):
        part = slice(degree**2, (degree + 1) ** 2)
        norms = [np.sum(x[:, part] ** 2, 1) for x in (before, after)]
        np.testing.assert_allclose(*norms, rtol=1e-11)
        np.testing.assert_allclose(norms[0], np.sum(vec**2, 1) ** degree, rtol=1e-11)


@pytest.mark.parametrize(
    "message, disp, smth, rcut, lmax",
    [
        ("displacement of pair 1 has length 0", [[1, 0, 0], [0, 0, 0.0]], 1.0, 2.0, 1),
        (
            "expected 0 < rcut_smth < rcut|must satisfy 0 < rcut_smth < rcut",
            [[1, 0, 0.0]],
            3.0,
            2.0,
            1,
        ),
        ("disp has shape", [[1.0, 0.0]], 1.0, 2.0, 1),
        ("lmax is 9, expected 0 to 8", [[1, 0, 0.0]], 1.0, 2.0, 9),
    ],
)
def test_malformed_input_is_invalid_argument(message, disp, smth, rcut, lmax):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        env_mat(np.array(disp), smth, rcut, lmax)
