"""Sums over neighbours and products with a matrix for each row, against plain TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.descriptor import Pairs
from deepdensity_tf.utils.ops import gather_messages, grouped_matmul, interpolate, library

NATOMS, NPAIRS, LMAX, NCHANNELS = 7, 40, 3, 5


def random_case(passed: bool, dtype=tf.float64, lmax=LMAX, nchannels=NCHANNELS):
    rng = np.random.default_rng(3)
    # Atom 4 gathers from nobody, atom 2 sends to nobody.
    center = np.sort(rng.choice([0, 1, 2, 3, 5, 6], NPAIRS)).astype(np.int32)
    atom = rng.choice([0, 1, 3, 4, 5, 6], NPAIRS).astype(np.int32)
    width, nlm = (lmax + 1) * nchannels * (2 if passed else 1), (lmax + 1) ** 2
    shapes = [(NPAIRS, width), (NPAIRS, nlm), (NATOMS, nchannels), (nlm, NATOMS, nchannels)]
    values = [tf.constant(rng.normal(size=shape), dtype) for shape in shapes]
    return Pairs(tf.constant(center), tf.constant(atom), None), values if passed else values[:3] + [
        None
    ]


def reference(pairs, radial, rows, sent, tensors):
    """The formula of op/messages.cc, message by message."""
    lmax = int(rows.shape[1] ** 0.5) - 1
    l_of_lm = np.repeat(np.arange(lmax + 1), 2 * np.arange(lmax + 1) + 1)
    sets = tf.reshape(radial, [NPAIRS, -1, lmax + 1, sent.shape[1]])
    own = tf.gather(sets[:, 0], l_of_lm, axis=1)
    messages = own * rows[:, :, None] * tf.gather(sent, pairs.atom)[:, None]
    if tensors is not None:
        passed = tf.gather(sets[:, 1], l_of_lm, axis=1) * rows[:, :1, None]
        messages += passed * tf.transpose(tf.gather(tensors, pairs.atom, axis=1), [1, 0, 2])
    return tf.transpose(tf.math.unsorted_segment_sum(messages, pairs.center, NATOMS), [1, 0, 2])


# Channels fill no register, half of one, several and a rest.
@pytest.mark.parametrize(("lmax", "nchannels"), [(3, 5), (0, 4), (4, 32), (8, 23)])
@pytest.mark.parametrize("passed", [False, True])
def test_messages_and_their_gradient(passed, lmax, nchannels):
    pairs, inputs = random_case(passed, lmax=lmax, nchannels=nchannels)
    shape = ((lmax + 1) ** 2, NATOMS, nchannels)
    weight = tf.constant(np.random.default_rng(4).normal(size=shape))
    results = []
    for function in (lambda *x: gather_messages(pairs, *x, lmax), lambda *x: reference(pairs, *x)):
        watched = [x for x in inputs if x is not None]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            out = function(*inputs)
            loss = tf.reduce_sum(weight * out)
        gradients = tape.gradient(loss, watched)
        results.append([tf.convert_to_tensor(x) for x in (out, *gradients)])
    for found, expected in zip(*results, strict=True):
        # Sums of at most 40 x 81 products of numbers of order one, in double precision.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("passed", [False, True])
def test_messages_with_weights_from_a_table(passed):
    pairs, (radial, *others) = random_case(passed)
    rng = np.random.default_rng(7)
    place = tf.constant(rng.uniform(0, 19, NPAIRS))
    nodes = tf.constant(rng.normal(size=(20, radial.shape[1])))
    tensors = others[2] if passed else tf.zeros([0, 0, 0], tf.float64)
    found = library().dd_gather_between(
        center=pairs.center,
        atom=pairs.atom,
        place=place,
        rows=others[0],
        sent=others[1],
        tensors=tensors,
        nodes=nodes,
        lmax=LMAX,
        passed=passed,
    )
    expected = gather_messages(pairs, interpolate(place, nodes), *others, LMAX)
    np.testing.assert_array_equal(found, expected)


def test_messages_in_single_precision():
    pairs, inputs = random_case(True, tf.float32)
    exact = reference(*(pairs, *(tf.cast(x, tf.float64) for x in inputs)))
    np.testing.assert_allclose(gather_messages(pairs, *inputs, LMAX), exact, rtol=0, atol=1e-4)


def test_messages_without_pairs():
    pairs = Pairs(tf.zeros([0], tf.int32), tf.zeros([0], tf.int32), None)
    empty = [
        tf.zeros([0, (LMAX + 1) * NCHANNELS]),
        tf.zeros([0, (LMAX + 1) ** 2]),
        tf.ones([NATOMS, NCHANNELS]),
    ]
    assert not gather_messages(pairs, *empty, None, LMAX).numpy().any()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"center": [3, 2]}, "does not rise"),
        ({"atom": [0, NATOMS]}, "not there"),
        ({"atom": [-1, 0]}, "not there"),
    ],
)
def test_messages_refuse(change, message):
    values = {"center": [1, 2], "atom": [0, 1], **change}
    pairs = Pairs(*(tf.constant(v, tf.int32) for v in values.values()), None)
    inputs = [
        tf.ones([2, (LMAX + 1) * NCHANNELS]),
        tf.ones([2, (LMAX + 1) ** 2]),
        tf.ones([NATOMS, NCHANNELS]),
    ]
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        gather_messages(pairs, *inputs, None, LMAX)


# Columns fill no register, some, or several and a rest; rows that share a matrix come in short and
# in long runs.
@pytest.mark.parametrize(("run", "nin", "nout"), [(1, 6, 5), (4, 13, 37), (40, 32, 12)])
def test_grouped_products_and_their_gradient(run, nin, nout):
    rng = np.random.default_rng(5)
    group = np.repeat(rng.choice([0, 2, 3], 30), run)  # no row asks for matrix 1
    group = tf.constant(group.astype(np.int32))
    x, weight = (tf.constant(rng.normal(size=s)) for s in ((30 * run, nin), (4, nin, nout)))
    factor = tf.constant(rng.normal(size=(30 * run, nout)))
    results = []
    for product in (grouped_matmul, lambda x, w, g: tf.einsum("na,nab->nb", x, tf.gather(w, g))):
        with tf.GradientTape() as tape:
            tape.watch([x, weight])
            out = product(x, weight, group)
            loss = tf.reduce_sum(factor * out)
        gradients = tape.gradient(loss, [x, weight])
        results.append([out, gradients[0], tf.convert_to_tensor(gradients[1])])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * run)


def test_grouped_rows_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(6)
    x = tf.constant(rng.normal(size=(50, 32)), tf.float32)
    weight = tf.constant(rng.normal(size=(2, 32, 37)), tf.float32)
    group = tf.constant(np.repeat([0, 1], 25), tf.int32)
    whole = grouped_matmul(x, weight, group).numpy()
    for row in (0, 24, 25, 49):
        alone = grouped_matmul(x[row : row + 1], weight, group[row : row + 1]).numpy()
        np.testing.assert_array_equal(whole[row : row + 1], alone)


@pytest.mark.parametrize("group", [[0, 4], [-1, 0]])
def test_groups_out_of_range_are_refused(group):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected 0 to 3"):
        grouped_matmul(tf.ones([2, 6]), tf.ones([4, 6, 5]), tf.constant(group, tf.int32))
