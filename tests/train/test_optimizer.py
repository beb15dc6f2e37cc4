"""Steps of the optimizer against formulas written out."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.model import DensityModel
from deepdensity_tf.train.optimizer import AveragedMuon, BestWeights, using
from deepdensity_tf.train.schedule import LearningRate, WeightDecay
from deepdensity_tf.utils.nn import is_beside_shared
from tests.conftest import completed_model
from tests.ops.test_orthogonal import newton_schulz

START = [np.array([1.0, -2.0]), np.array([[0.5, 2.0, 1.0], [0.0, -1.0, 3.0]])]


RATE, NO_DECAY = tf.constant(0.1, tf.float64), tf.constant(0.0, tf.float64)


def make(max_norm=0.0):
    variables = [tf.Variable(value) for value in START]
    return variables, AveragedMuon(variables, 0.9, max_norm)


def split(gradient):
    """Those of the two variables."""
    return gradient[:2], gradient[2:].reshape(2, 3)


def reference(gradients, rate, decay=0.0):
    """Weights after steps with the given gradients, each those of all variables in one array."""
    (vector, matrix), first, second, momentum = START, 0.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, 1):
        of_vector, of_matrix = split(gradient)
        first = 0.9 * first + 0.1 * of_vector
        second = 0.995 * second + 0.005 * of_vector**2
        scale = np.sqrt(1 - 0.995**step) / (1 - 0.9**step)
        vector = vector - rate * scale * first / (np.sqrt(second) + 1e-8)
        momentum = 0.95 * momentum + 0.05 * of_matrix
        ahead = 0.95 * momentum + 0.05 * of_matrix
        matrix = (1 - decay) * matrix
        matrix = matrix - 0.4 * np.sqrt(3) * rate * newton_schulz(ahead)
    return np.concatenate([vector, np.ravel(matrix)])


def apply(optimizer, gradient, usable=True, decay=NO_DECAY):
    parts = [tf.constant(part) for part in split(gradient)]
    return bool(optimizer.apply(parts, RATE, decay, usable))


def flat(variables):
    return np.concatenate([np.ravel(v) for v in variables])


GRADIENTS = np.array(
    [
        [3.0, 0.0, -4.0, 1.0, 2.0, 0.0, 0.0, 1.0],
        [0.3, 0.2, 0.1, 0.0, 0.1, 0.2, -0.1, 0.5],
        [-30.0, 5.0, 1.0, 7.0, 0.0, 2.0, 9.0, -4.0],
    ]
)


@pytest.mark.parametrize("max_norm", [0.0, 2.0])
def test_norm_of_all_variables_is_clipped(max_norm):
    variables, optimizer = make(max_norm)
    for gradient in GRADIENTS:
        assert apply(optimizer, gradient)
    norms = np.linalg.norm(GRADIENTS, axis=1, keepdims=True)
    factors = np.minimum(1, max_norm / norms) if max_norm else 1
    np.testing.assert_allclose(flat(variables), reference(GRADIENTS * factors, 0.1), rtol=1e-9)


def test_matrices_decay_and_vectors_do_not():
    variables, optimizer = make()
    for gradient in GRADIENTS:
        apply(optimizer, gradient, decay=tf.constant(0.03, tf.float64))
    np.testing.assert_allclose(flat(variables), reference(GRADIENTS, 0.1, 0.03), rtol=1e-9)


@pytest.mark.parametrize("gradient", [[np.nan] + [0] * 7, [0] * 7 + [np.inf], [1] * 8])
def test_unusable_steps_leave_no_trace(gradient):
    """The steps after one are those without it, and it is counted."""
    variables, optimizer = make()
    apply(optimizer, GRADIENTS[0])
    usable = bool(np.isfinite(gradient).all())
    assert not apply(optimizer, np.array(gradient, float), usable=not usable)
    apply(optimizer, GRADIENTS[1])
    np.testing.assert_allclose(flat(variables), reference(GRADIENTS[:2], 0.1), rtol=1e-9)
    assert optimizer.step == 3 and optimizer.skipped == 1


def test_nothing_is_learned_of_types_that_a_batch_lacks():
    """Not even from what is left of their momentum, which is made a full step for the others."""
    variable = tf.Variable(np.ones((2, 3, 3)))
    optimizer = AveragedMuon([variable], 0.9, 0.0)
    paces = RATE, tf.constant(0.05, tf.float64)
    optimizer.apply([tf.constant(np.ones((2, 3, 3)))], *paces, True)
    before = variable.numpy()
    second_only = np.stack([np.zeros((3, 3)), np.eye(3)])
    optimizer.apply([tf.constant(second_only)], *paces, True)
    np.testing.assert_array_equal(variable[0], before[0])
    assert np.abs(variable[1] - before[1]).min() > 0


def test_matrices_of_one_shape_move_as_if_alone():
    rng = np.random.default_rng(2)
    starts, gradients = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(2, 3, 4, 2))
    together = [tf.Variable(start) for start in starts]
    paces = RATE, tf.constant(0.01, tf.float64)
    AveragedMuon(together, 0.9, 0.0).apply([tf.constant(g) for g in gradients], *paces, True)
    for variable, start, gradient in zip(together, starts, gradients, strict=True):
        alone = tf.Variable(start)
        AveragedMuon([alone], 0.9, 0.0).apply([tf.constant(gradient)], *paces, True)
        np.testing.assert_allclose(variable, alone, rtol=1e-12)


def test_using_gives_the_weights_back_after_an_error():
    variables, optimizer = make()
    apply(optimizer, GRADIENTS[0])
    weights, average = flat(variables), flat(optimizer.average)
    with pytest.raises(ZeroDivisionError), using(variables, optimizer.average):
        np.testing.assert_array_equal(flat(variables), average)
        raise ZeroDivisionError
    np.testing.assert_array_equal(flat(variables), weights)
    np.testing.assert_array_equal(flat(optimizer.average), average)


def test_best_weights_are_those_of_the_least_error():
    variables, _ = make()
    best = BestWeights(variables)
    assert not best.known
    for step, error in enumerate([3.0, 1.0, np.nan, 2.0, 1.0], 1):
        variables[0].assign([error, error])
        best.consider(error, variables, step)
    assert best.known and best.step == 2 and best.error == 1.0
    np.testing.assert_array_equal(best.weights[0], [1.0, 1.0])


def rates(numb_steps, **config):
    rate = LearningRate({"start_lr": 1e-2, "stop_lr": 1e-4, "warmup_steps": 200, **config})
    steps = np.arange(numb_steps + 1)
    return rate(steps, steps / numb_steps).numpy()


def test_learning_rate_of_a_long_run():
    found = rates(10000)
    decay = 1e-2 * 1e-2 ** np.linspace(0, 1, 10001)
    warm_up = np.minimum(1, (np.arange(10001) + 1) / 200)
    np.testing.assert_allclose(found, decay * warm_up)
    np.testing.assert_allclose(rates(10000, warmup_steps=0), decay)


def test_warm_up_is_a_small_share_of_a_short_run():
    """By steps or, where those are without end, by time."""
    for numb_steps in (20, 400):
        decay = 1e-2 * 1e-2 ** np.linspace(0, 1, numb_steps + 1)
        late = np.arange(numb_steps + 1) >= 0.05 * numb_steps
        np.testing.assert_allclose(rates(numb_steps)[late], decay[late])
    rate = LearningRate({"start_lr": 1e-2, "stop_lr": 1e-4, "warmup_steps": 10**6})
    np.testing.assert_allclose(rate(3, 0.05), 1e-2 * 1e-2**0.05)
    assert 0 < rate(0, 0.0) < rate(3, 0.01) < rate(6, 0.02)


def shares(given, numb_steps, start_lr=1e-2, stop_lr=1e-4, first=0):
    rate = LearningRate({"start_lr": start_lr, "stop_lr": stop_lr, "warmup_steps": 0})
    steps = np.arange(first, numb_steps)
    done = steps, steps / numb_steps
    return WeightDecay(given, rate.mean)(rate(*done), *done).numpy()


def test_weight_decay_that_is_given_goes_with_the_rate():
    np.testing.assert_allclose(shares(0.3, 100), 0.3 * rates(100, warmup_steps=0)[:-1])
    assert not shares(0.0, 3).any()


@pytest.mark.parametrize("numb_steps, start_lr", [(1000, 1e-2), (20000, 5e-3), (1000, 1e-4)])
def test_weight_decay_of_any_run_leaves_the_same(numb_steps, start_lr):
    """1 / e, but for the first step and the sum in place of an integral: a rate's change in one
    step, ln(start / stop) / numb_steps of it, each."""
    found = shares("auto", numb_steps, start_lr)
    tolerance = 2 * (1 + np.log(start_lr / 1e-4)) / numb_steps
    np.testing.assert_allclose(-np.log1p(-found).sum(), 1, atol=tolerance)
    ratio = found[2:] / found[1:-1]
    np.testing.assert_allclose(ratio, (1e-4 / start_lr) ** (1 / numb_steps), rtol=1e-2)


def test_weight_decay_follows_time_where_that_ends_the_run():
    """Steps of a twentieth of a second, of a run of a second."""
    found = shares("auto", 20, start_lr=1.0, stop_lr=1.0, first=1)
    np.testing.assert_allclose(found, -np.expm1(-1 / 20), rtol=1e-12)


def test_no_step_takes_more_than_all():
    assert shares("auto", 2, start_lr=1e3).max() <= 1


def test_what_types_have_beside_what_they_share_is_learned_slower():
    """The same gradient on both, which here have one shape and move together."""
    start = np.zeros((2, 3, 3))
    own, shared = tf.Variable(start, name="beside_shared"), tf.Variable(start, name="linear")
    gradient = tf.constant(np.random.default_rng(4).normal(size=start.shape))
    AveragedMuon([own, shared], 0.9, 0.0).apply([gradient] * 2, RATE, NO_DECAY, True)
    np.testing.assert_allclose(own, 0.3 * shared.numpy(), rtol=1e-12)
    assert np.abs(shared).min() > 0


def test_the_matrices_of_coefficients_are_such_a_pair():
    model = DensityModel(completed_model(), seed=1)
    (own,) = [variable for variable in model.trainable_variables if is_beside_shared(variable)]
    assert any(variable.shape == own.shape[1:] for variable in model.trainable_variables)
