"""What types share and what they have of their own in the expansion, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.descriptor import AtomFeatures, Species
from deepdensity_tf.fit import FittingContext
from deepdensity_tf.fit.expansion import Expansion
from deepdensity_tf.utils.nn import Initializer
from deepdensity_tf.utils.radial import RadialGrid

LMAX, NCHANNELS, NSCALARS, NTYPES, NRADIAL, NATOMS = 2, 4, 5, 3, 6, 7


def expansion(per_type: bool, ndensity: int) -> Expansion:
    context = FittingContext(
        ntypes=NTYPES,
        tebd_dim=3,
        nscalars=NSCALARS,
        nchannels=NCHANNELS,
        lmax=LMAX,
        ndensity=ndensity,
        grid=RadialGrid(3.0, 20),
        init=Initializer(1, tf.float64),
    )
    config = {"neuron": [8], "nradial": NRADIAL, "radial_per_type": per_type}
    return Expansion(config, context)


@pytest.mark.parametrize("ndensity", [1, 2])
@pytest.mark.parametrize("per_type", [False, True])
def test_coefficients(per_type, ndensity):
    """Each atom's table from the matrices of its type and those that all share, without gates."""
    rng = np.random.default_rng(0)
    fitting = expansion(per_type, ndensity)
    own, shared = fitting._linear.weight, fitting._linear.shared
    radial = fitting._radial.weight if per_type else fitting._radial.shared
    for variable in (own, shared, radial):
        variable.assign(rng.normal(size=variable.shape))
    atype = rng.integers(0, NTYPES, NATOMS).astype(np.int32)
    tensors = rng.normal(size=((LMAX + 1) ** 2, NATOMS, NCHANNELS))
    features = AtomFeatures(tf.zeros([NATOMS, NSCALARS], tf.float64), tf.constant(tensors))
    vector = tf.zeros([NATOMS, 3], tf.float64)
    found = fitting.coefficients(features, Species(tf.constant(atype), vector, atype * 0))
    assert found.shape == (NATOMS, ndensity, 20, (LMAX + 1) ** 2)
    matrices = own.numpy() + shared.numpy()
    for atom, kind in enumerate(atype):
        for lm in range((LMAX + 1) ** 2):
            order = int(np.sqrt(lm))
            of_atom = (tensors[lm, atom] @ matrices[kind, order]).reshape(ndensity, NRADIAL)
            functions = radial.numpy()[kind, order] if per_type else radial.numpy()[order]
            np.testing.assert_allclose(found[atom, :, :, lm], of_atom @ functions, atol=1e-11)


def test_all_begin_with_the_same_functions():
    one = expansion(per_type=False, ndensity=1)._radial.shared.numpy()
    each = expansion(per_type=True, ndensity=1)._radial.weight.numpy()
    np.testing.assert_array_equal(each, np.broadcast_to(one, each.shape))
    assert one.shape == (LMAX + 1, NRADIAL, 20)
