"""Newton-Schulz steps against the polynomial on singular values."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.utils.ops import orthogonal


def newton_schulz(matrix):
    """Five times the polynomial of Muon on the singular values."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / np.linalg.norm(matrix)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left * values @ right


SHAPES = [(4, 4), (3, 7), (7, 3), (1, 5), (1, 1), (16, 16), (17, 33), (64, 30), (65, 130)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_come_near_one(shape, dtype):
    """Each matrix of a stack keeps its singular vectors, whatever its norm."""
    sizes = np.array([1e-9, 1, 1e9, 1], dtype)[:, None, None]
    matrices = np.random.default_rng(1).normal(size=(4, *shape)).astype(dtype) * sizes
    found = orthogonal(tf.constant(matrices)).numpy()
    assert found.dtype == dtype
    # Steps multiply what is lost by rounding by up to 3.4445 each: 485 in all.
    tolerance = 485 * max(shape) * np.finfo(dtype).eps
    for got, matrix in zip(found, matrices.astype(np.float64), strict=True):
        np.testing.assert_allclose(got, newton_schulz(matrix), atol=tolerance)
        values = np.linalg.svd(got, compute_uv=False)
        assert values.max() < 1.25
        assert values.min() > 0.3 or np.linalg.cond(matrix) > 100


def test_zeros_and_nothing():
    np.testing.assert_array_equal(orthogonal(tf.zeros((2, 3, 4))), np.zeros((2, 3, 4)))
    for shape in [(0, 3, 4), (2, 0, 4), (2, 3, 0)]:
        assert orthogonal(tf.zeros(shape)).shape == shape


def test_no_matrix_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="x has shape"):
        orthogonal(tf.zeros((2, 3)))
