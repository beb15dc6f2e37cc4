"""Sums over neighbours of products with functions of the pair, against plain TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.descriptor import Pairs
from deepdensity_tf.utils.ops import couple, gather_products
from deepdensity_tf.utils.spherical import solid_couplings

NATOMS, NPAIRS = 7, 40


def random_case(lmax: int, nchannels: int, dtype=tf.float64):
    rng = np.random.default_rng(3)
    # Atom 4 gathers from nobody, atom 2 sends to nobody.
    center = np.sort(rng.choice([0, 1, 2, 3, 5, 6], NPAIRS)).astype(np.int32)
    atom = rng.choice([0, 1, 3, 4, 5, 6], NPAIRS).astype(np.int32)
    nlm = (lmax + 1) ** 2
    shapes = [(NPAIRS, (lmax + 1) * nchannels), (NPAIRS, nlm), (nlm, NATOMS, nchannels)]
    inputs = [tf.constant(rng.normal(size=shape), dtype) for shape in shapes]
    term, value = solid_couplings(lmax)
    terms = tf.constant(term, tf.int32), tf.constant(value, dtype)
    return Pairs(tf.constant(center), tf.constant(atom), None), inputs, terms


def reference(pairs, radial, rows, tensors, lmax, term, value):
    """The formula of op/pair_products.cc, with an array of all pairs' products."""
    l_of_lm = np.repeat(np.arange(lmax + 1), 2 * np.arange(lmax + 1) + 1)
    weights = tf.gather(tf.reshape(radial, [NPAIRS, lmax + 1, -1]), l_of_lm, axis=1)
    function = tf.transpose(weights * rows[:, :, None], [1, 0, 2])
    products = couple(tf.gather(tensors, pairs.atom, axis=1), function, term, value)
    by_pair = tf.transpose(products, [1, 0, 2])
    return tf.transpose(tf.math.unsorted_segment_sum(by_pair, pairs.center, NATOMS), [1, 0, 2])


# Channels fill no register, half of one, several and a rest.
@pytest.mark.parametrize(("lmax", "nchannels"), [(2, 16), (0, 4), (3, 5), (4, 23), (6, 1)])
def test_products_and_their_gradient(lmax, nchannels):
    pairs, inputs, terms = random_case(lmax, nchannels)
    weight = tf.constant(np.random.default_rng(4).normal(size=inputs[2].shape))
    results = []
    for function in (gather_products, reference):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            out = function(pairs, *inputs, lmax, *terms)
            loss = tf.reduce_sum(weight * out)
        results.append([out, *map(tf.convert_to_tensor, tape.gradient(loss, inputs))])
    for found, expected in zip(*results, strict=True):
        # A row is a sum over up to 40 pairs of all its couplings, in double precision.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
        assert np.abs(expected).max() > 0.1


def test_products_in_single_precision():
    pairs, inputs, terms = random_case(2, 16, tf.float32)
    exact = [tf.cast(x, tf.float64) for x in (*inputs, terms[1])]
    expected = reference(pairs, *exact[:3], 2, terms[0], exact[3])
    found = gather_products(pairs, *inputs, 2, *terms)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_products_without_pairs():
    _, (radial, rows, tensors), terms = random_case(2, 3)
    pairs = Pairs(tf.zeros([0], tf.int32), tf.zeros([0], tf.int32), None)
    assert not gather_products(pairs, radial[:0], rows[:0], tensors, 2, *terms).numpy().any()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"atom": NATOMS}, "not there"),
        ({"center": -1}, "not there"),
        ({"term": 9}, "expected 0 to 8"),
        ({"rows": 0}, "rows has shape"),
    ],
)
def test_products_refuse(change, message):
    pairs, (radial, rows, tensors), (term, value) = random_case(2, 3)
    center = tf.fill([NPAIRS], change.get("center", 0))
    pairs = Pairs(center, tf.fill([NPAIRS], change.get("atom", 0)), None)
    rows = rows[:, :8] if "rows" in change else rows
    term = tf.fill(term.shape, change["term"]) if "term" in change else term
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        gather_products(pairs, radial, rows, tensors, 2, term, value)
