"""The look-up of tabulated functions against NumPy's polynomials."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.utils.ops import table

STEP = 0.25


def random_table(dtype=np.float64):
    return np.random.default_rng(0).normal(size=(8, 6, 5)).astype(dtype)


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 1e-5)])
def test_values(dtype, tolerance):
    rng = np.random.default_rng(1)
    x = np.append(rng.uniform(0, 2, 700), [0.0, 0.25, 1.999999]).astype(dtype)
    coef = random_table(dtype)
    interval = (x / STEP).astype(int)
    v = x - STEP * interval
    expected = [np.polynomial.polynomial.polyval(v[i], coef[interval[i]]) for i in range(len(x))]
    np.testing.assert_allclose(table(x, coef, STEP), expected, atol=tolerance)


def test_beyond_its_ends_the_table_is_constant():
    coef = random_table()
    inside = table(np.array([0.0, 2.0]), coef, STEP)
    outside = table(np.array([-3.0, 1e30]), coef, STEP)
    np.testing.assert_array_equal(inside, outside)


def test_no_distances():
    assert table(np.zeros(0), random_table(), STEP).shape == (0, 5)


@pytest.mark.parametrize(
    "message, change",
    [
        (r"x\[1\] is not finite", {"x": np.array([0.0, np.nan])}),
        ("table has shape", {"coef": np.zeros((8, 5, 5))}),
        ("positive step", {"step": 0.0}),
    ],
)
def test_malformed_input(message, change):
    given = {"x": np.zeros(2), "coef": random_table()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        table(**{**given, "step": STEP, **change})
