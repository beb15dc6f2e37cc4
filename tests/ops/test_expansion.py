"""The fused sum over pairs against a NumPy formula and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.utils.ops import expansion, harmonics
from deepdensity_tf.utils.radial import RadialGrid

GRID = RadialGrid(rcut=3.0, nspline=14)


def random_call(lmax=3, nchannel=2, npairs=500, seed=0):
    """Arguments of the op; some pairs beyond the cut-off, one on a nucleus."""
    rng = np.random.default_rng(seed)
    disp = rng.normal(0, 1.3, (npairs, 3))
    disp[npairs // 2] = 0
    return {
        "disp": disp,
        "pair_point": np.sort(rng.integers(0, 90, npairs)).astype(np.int32),
        "pair_atom": rng.integers(0, 11, npairs).astype(np.int32),
        "coef": rng.normal(size=(11, nchannel, GRID.nspline, (lmax + 1) ** 2)),
        "radial": GRID.parameters,
        "npoints": 100,
    }


def reference(call, lmax):
    """The formula of op/expansion.cc, from SciPy's B-splines."""
    r2 = np.sum(call["disp"] ** 2, 1)
    splines = GRID.values(np.sqrt(r2))
    soft = call["disp"] / np.sqrt(r2 + GRID.soft**2)[:, None]
    angular = harmonics(soft, lmax).numpy()
    coef = call["coef"][call["pair_atom"]]
    pairs = np.einsum("pckl,pk,pl->pc", coef, splines, angular)
    density = np.zeros((call["npoints"], coef.shape[1]))
    np.add.at(density, call["pair_point"], pairs)
    return density


@pytest.mark.parametrize("lmax", [0, 1, 4, 6])
@pytest.mark.parametrize("nchannel", [1, 2])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-4)])
def test_values(lmax, nchannel, dtype, tolerance):
    call = random_call(lmax, nchannel)
    expected = reference(call, lmax)
    call["coef"] = call["coef"].astype(dtype)
    # Sums of up to a few hundred terms of order one.
    np.testing.assert_allclose(expansion(**call), expected, atol=tolerance)


def test_points_without_pairs_are_zero():
    density = expansion(**random_call()).numpy()
    np.testing.assert_array_equal(density[90:], 0)


def test_no_pairs_at_all():
    call = random_call(npairs=8)
    call.update(
        disp=np.zeros((0, 3)), pair_point=np.zeros(0, np.int32), pair_atom=np.zeros(0, np.int32)
    )
    np.testing.assert_array_equal(expansion(**call), np.zeros((100, 2)))


@pytest.mark.parametrize("lmax", [0, 2, 5])
def test_gradients_against_finite_differences(lmax):
    call = random_call(lmax)
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(100, 2))

    def value(disp, coef):
        return tf.reduce_sum(expansion(**{**call, "disp": disp, "coef": coef}) * weights)

    arguments = [tf.constant(call["disp"]), tf.constant(call["coef"])]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        total = value(*arguments)
    gradients = tape.gradient(total, arguments)
    step = 1e-5
    for which in range(2):
        direction = rng.normal(size=arguments[which].shape)
        plus, minus = list(arguments), list(arguments)
        plus[which], minus[which] = (arguments[which] + s * step * direction for s in (1, -1))
        # Error: h^2 / 6 times third derivatives of order 1e4 (l = 5), and 1e-16 / h of rounding.
        numeric = (value(*plus) - value(*minus)) / (2 * step)
        analytic = np.sum(gradients[which].numpy() * direction)
        np.testing.assert_allclose(numeric, analytic, rtol=1e-6)


def test_gradient_at_a_nucleus_is_that_of_the_smooth_function():
    call = random_call(1, 1, npairs=1)
    call["disp"] = np.zeros((1, 3))
    call["pair_point"] = np.zeros(1, np.int32)
    disp = tf.constant(call["disp"])
    with tf.GradientTape() as tape:
        tape.watch(disp)
        total = tf.reduce_sum(expansion(**{**call, "disp": disp}))
    gradient = tape.gradient(total, disp).numpy()[0]
    step = 1e-5
    for axis in range(3):
        shifted = [
            tf.reduce_sum(expansion(**{**call, "disp": s * step * np.eye(3)[axis : axis + 1]}))
            for s in (1, -1)
        ]
        np.testing.assert_allclose(
            (shifted[0] - shifted[1]) / (2 * step), gradient[axis], rtol=1e-6
        )


def test_smooth_at_the_cutoff():
    call = random_call(2, 1, npairs=5)
    step = 1e-3
    r = GRID.rcut + step * np.arange(-2, 3)
    call["disp"] = np.stack([r, 0 * r, 0 * r], 1)
    call["pair_point"] = np.arange(5, dtype=np.int32)
    call["pair_atom"] = np.zeros(5, np.int32)
    values = expansion(**call).numpy()[:5, 0]
    np.testing.assert_array_equal(values[2:], 0)
    # Zero with two derivatives: cubic in the distance to the cut-off, in units of the knots.
    knots = GRID.nspline - GRID.stretched(r[:2])
    assert np.all(np.abs(values[:2]) <= 1.01 * knots**3 / 6 * np.abs(call["coef"][0]).sum())


def test_bad_arguments():
    cases = {
        r"pair_atom\[3\] is 11": (
            "pair_atom",
            np.where(np.arange(500) == 3, 11, 0).astype(np.int32),
        ),
        r"pair_point\[1\] is 0, expected rising": (
            "pair_point",
            np.array([5] + [0] * 499, np.int32),
        ),
        "coef must have shape": ("coef", np.zeros((11, 1, 14, 5))),
        "radial has shape": ("radial", np.zeros(3)),
        "radial must hold": ("radial", np.zeros(2)),
        "pair_point has shape": ("pair_point", np.zeros(4, np.int32)),
    }
    for message, (name, value) in cases.items():
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            expansion(**{**random_call(), name: value})
