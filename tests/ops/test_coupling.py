"""Products of functions on the sphere against their definition, point by point."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.utils.nn import SphereProduct
from deepdensity_tf.utils.ops import couple, harmonics


@pytest.mark.parametrize(("lmax", "n", "m"), [(1, 3, 2), (2, 5, 70), (4, 30, 9), (8, 1, 1)])
def test_a_product_is_that_of_the_functions(lmax, n, m):
    """At any direction: what of the product is of l <= lmax, by least squares to 2 lmax."""
    rng = np.random.default_rng(lmax)
    nlm = (lmax + 1) ** 2
    a, b = rng.normal(size=(2, nlm, n, m))
    directions = rng.normal(size=(4 * (2 * lmax + 1) ** 2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = [harmonics(tf.constant(directions), k).numpy() for k in range(lmax, 9)]
    at_points = np.einsum("pc,cnm->pnm", values[0], a) * np.einsum("pc,cnm->pnm", values[0], b)
    if 2 * lmax <= 8:
        flat = at_points.reshape(len(directions), -1)
        fitted, residual, *_ = np.linalg.lstsq(values[lmax], flat, rcond=None)
        assert np.max(residual, initial=0) < 1e-20
        expected = fitted[:nlm].reshape(a.shape)
    else:
        expected = _by_quadrature(lmax, a, b)
    product = SphereProduct(lmax, tf.float64)(tf.constant(a), tf.constant(b))
    np.testing.assert_allclose(product, expected, atol=1e-12 * nlm)
    single = SphereProduct(lmax, tf.float32)(*(tf.constant(x, tf.float32) for x in (a, b)))
    # Some hundred products of numbers up to four, of either sign.
    np.testing.assert_allclose(single, expected, atol=3e-6 * nlm)


def _by_quadrature(lmax: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same with Gauss-Legendre in the cosine and equal steps of the angle."""
    cosine, weight = np.polynomial.legendre.leggauss(3 * lmax)
    angle = 2 * np.pi * np.arange(4 * lmax) / (4 * lmax)
    sine = np.sqrt(1 - cosine**2)[:, None]
    vectors = np.stack(
        [sine * np.cos(angle), sine * np.sin(angle), np.repeat(cosine[:, None], 4 * lmax, 1)], -1
    )
    values = harmonics(tf.constant(vectors.reshape(-1, 3)), lmax).numpy()
    weight = np.repeat(weight / (8 * lmax), 4 * lmax)
    degree = np.repeat(np.arange(lmax + 1), 2 * np.arange(lmax + 1) + 1)
    product = np.tensordot(values, a, 1) * np.tensordot(values, b, 1)
    return (2 * degree + 1)[:, None, None] * np.tensordot((weight[:, None] * values).T, product, 1)


def test_the_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    a, b, direction, factor = rng.normal(size=(4, 9, 2, 3))
    product = SphereProduct(2, tf.float64)
    left, right = tf.constant(a), tf.constant(b)
    with tf.GradientTape() as tape:
        tape.watch([left, right])
        value = tf.reduce_sum(factor * product(left, right))
    found = tape.gradient(value, [left, right])
    # Linear in each factor: differences are exact.
    for gradient, moved in zip(
        found, (product(left + direction, right), product(left, right + direction)), strict=True
    ):
        expected = tf.reduce_sum(factor * moved) - value
        np.testing.assert_allclose(tf.reduce_sum(gradient * direction), expected, rtol=1e-11)


def test_columns_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(1)
    a, b = (tf.constant(x, tf.float32) for x in rng.normal(size=(2, 25, 41, 7)))
    product = SphereProduct(4, tf.float32)
    whole = product(a, b).numpy()
    for k in (0, 17, 40):
        alone = product(a[:, k : k + 1], b[:, k : k + 1]).numpy()
        np.testing.assert_array_equal(whole[:, k : k + 1], alone)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ([[0, 0, 4]], "holds 4, expected 0 to 3"),
        ([[0, -1, 0]], "holds -1"),
        ([[1, 0, 0], [0, 0, 0]], "expected terms by what they make"),
    ],
)
def test_bad_terms_are_refused(term, message):
    ones = tf.ones([4, 2, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        couple(ones, ones, tf.constant(term, tf.int32), tf.ones([len(term)]))
