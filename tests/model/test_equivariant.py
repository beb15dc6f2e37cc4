"""Features of atoms as functions of the positions."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.descriptor import Pairs
from deepdensity_tf.model import DensityModel
from deepdensity_tf.schema import complete_input
from deepdensity_tf.testing.small import SMALL_INPUT
from deepdensity_tf.utils.ops import env_mat


@pytest.mark.parametrize("crossed", [True, False])
def test_features_change_with_positions_as_their_gradient_says(crossed):
    model = small_model(crossed)
    rng = np.random.default_rng(0)
    coord, direction = rng.uniform(0, 3, (6, 3)), rng.normal(size=(6, 3))
    state = model.atom_state(*frame(coord))
    scalars, tensors = (tf.constant(rng.normal(size=x.shape)) for x in state[1:3])

    def value(positions):
        found = model.atom_state(*frame(positions))
        return tf.reduce_sum(found.scalars * scalars) + tf.reduce_sum(found.tensors * tensors)

    positions = tf.constant(coord)
    with tf.GradientTape() as tape:
        tape.watch(positions)
        total = value(positions)
    slope = np.sum(tape.gradient(total, positions) * direction)
    step = 1e-4
    ahead, behind = (value(coord + by * step * direction).numpy() for by in (1, -1))
    # Central differences: off by the square of the step and by 1e-16 over the step.
    assert abs(slope) > 0.1
    np.testing.assert_allclose((ahead - behind) / (2 * step), slope, rtol=1e-5)


def test_what_neighbours_know_counts_by_the_direction_to_them():
    """Two neighbours that change what they send: a sum of it, equally far away, stays the same."""
    model = small_model(True)
    crossed = model.descriptor._passes[1]._crossed
    nlm, nchannels = 16, SMALL_INPUT["model"]["descriptor"]["nchannel"]
    tensors = tf.constant(np.random.default_rng(1).normal(size=(nlm, 3, nchannels)))
    swapped = tf.gather(tensors, [0, 2, 1], axis=1)  # what the two neighbours of atom 0 send
    ends = np.array([[0.0, 0.0, 1.4], [1.4, 0.0, 0.0]])  # as far from atom 0 as each other
    pairs = Pairs(tf.constant([0, 0]), tf.constant([1, 2]), tf.constant(ends))
    environment = env_mat(pairs.disp, 0.5, 3.5, 3), tf.norm(pairs.disp, axis=1)
    one, other = (crossed(pairs, environment, x).numpy()[:, 0] for x in (tensors, swapped))
    assert np.abs(one - other).max() > 0.1 * np.abs(one).max()


def small_model(crossed: bool) -> DensityModel:
    descriptor = {**SMALL_INPUT["model"]["descriptor"], "crossed": crossed}
    config = {**SMALL_INPUT, "model": {**SMALL_INPUT["model"], "descriptor": descriptor}}
    return DensityModel(complete_input(config)["model"])


def frame(coord):
    atype = tf.constant([0, 1, 1, 0, 1, 1])
    return coord, tf.constant([0, 6]), atype, tf.zeros([1, 9], tf.float64)
