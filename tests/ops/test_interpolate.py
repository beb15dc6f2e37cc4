"""Rows between rows against SciPy's polynomials; embedding nets by way of them."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.interpolate import BarycentricInterpolator

from deepdensity_tf.descriptor.base import NODES, RadialEmbedding, interpolated_embeddings
from deepdensity_tf.utils.nn import Initializer
from deepdensity_tf.utils.ops import interpolate


def _expected(x, nodes):
    rows = []
    for place in x:
        first = int(np.clip(np.floor(place) - 2, 0, len(nodes) - 6))
        about = slice(first, first + 6)
        rows.append(BarycentricInterpolator(np.arange(len(nodes))[about], nodes[about])(place))
    return np.array(rows).reshape(len(x), nodes.shape[1])


@pytest.mark.parametrize(("nnodes", "width", "n"), [(6, 1, 20), (9, 3, 50), (40, 67, 300)])
def test_values_are_those_of_the_polynomials(nnodes, width, n):
    rng = np.random.default_rng(nnodes)
    nodes = rng.normal(size=(nnodes, width))
    x = np.concatenate([rng.uniform(0, nnodes - 1, n), np.arange(nnodes), [0.0, nnodes - 1.0]])
    expected = _expected(x, nodes)
    np.testing.assert_allclose(interpolate(x, tf.constant(nodes)), expected, atol=1e-12)
    single = interpolate(tf.constant(x, tf.float32), tf.constant(nodes, tf.float32))
    # Places are rounded too: 40 * 6e-8 of a node, slopes at the ends to some ten a node.
    np.testing.assert_allclose(single, expected, atol=1e-4)


def test_the_gradient_is_the_transposed_map():
    rng = np.random.default_rng(1)
    nodes, x = tf.constant(rng.normal(size=(30, 70))), tf.constant(rng.uniform(0, 29, 500))
    grad = rng.normal(size=(500, 70))
    with tf.GradientTape() as tape:
        tape.watch(nodes)
        total = tf.reduce_sum(grad * interpolate(x, nodes))
    matrix = interpolate(x, tf.eye(30, dtype=tf.float64)).numpy()
    np.testing.assert_allclose(tape.gradient(total, nodes), matrix.T @ grad, atol=1e-11)


def test_no_places_and_no_columns():
    assert interpolate(tf.zeros([0]), tf.zeros([6, 3])).shape == (0, 3)
    assert interpolate(tf.zeros([2]), tf.zeros([6, 0])).shape == (2, 0)


@pytest.mark.parametrize(
    ("x", "nnodes", "told"),
    [
        ([1.0], 5, "nodes has 5 rows, expected 6 or more"),
        ([1.0, -1.0], 8, r"x\[1\] is -1.0*, expected 0 to 7"),
        ([8.0], 8, r"x\[0\] is 8.0*, expected 0 to 7"),
        ([np.nan], 8, r"x\[0\] is .*nan"),
    ],
)
def test_what_lies_beyond_is_refused(x, nnodes, told):
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        interpolate(tf.constant(x), tf.zeros([nnodes, 2]))


def test_embedding_nets_by_way_of_nodes():
    """Values to what single precision has, gradients of the weights likewise."""
    net = RadialEmbedding(Initializer(1, tf.float64), 4.0, [32, 32], 24)
    rng = np.random.default_rng(2)
    distance = tf.constant(rng.uniform(0.6, 4.0, 2000))
    factor = tf.constant(rng.normal(size=(2000, 24)))
    found = []
    for wanted in (False, True):
        with tf.GradientTape() as tape, interpolated_embeddings(wanted):
            values = net(distance)
            total = tf.reduce_sum(factor * values)
        found.append([values, *tape.gradient(total, net.trainable_variables)])
    assert len(found[0]) == 7 and len(distance) > 2 * NODES
    for exact, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, exact, atol=2e-6 * np.abs(exact).max())
    assert not np.array_equal(*[values[0] for values in found])
