"""Initial moments of the atoms: which of several spin densities is meant.

The atoms' features are worked out twice, with the moments as given and with all of them turned.
Half the sum of both belongs to the density, half the difference to the spin density: turning all
moments leaves the one and turns the other, whatever the weights are.
"""

from __future__ import annotations

import tensorflow as tf

from deepdensity_tf.descriptor import Pairs, Species
from deepdensity_tf.model.augmentation import PredictedOccupancies
from deepdensity_tf.utils.nn import Initializer


class InitialMoments(tf.Module):
    """Vectors of initial moments, and even and odd parts of what follows from them.

    Parameters
    ----------
    init : Initializer
        Of the weights.
    ntypes, tebd_dim : int
        Elements; length of their vectors.
    """

    def __init__(self, init: Initializer, ntypes: int, tebd_dim: int):
        super().__init__()
        self.vectors = init.normal((ntypes, tebd_dim), 1.0, "initial_magmom")

    def both(self, species: Species) -> Species:
        """The atoms with their moments, and once more with all moments turned."""
        turn = tf.cast(species.sign, self.vectors.dtype)[:, None]
        moment = turn * tf.gather(self.vectors, species.index)
        return Species(
            tf.tile(species.index, [2]),
            tf.concat([species.vector + moment, species.vector - moment], 0),
            tf.concat([species.sign, -species.sign], 0),
        )


def both_pairs(pairs: Pairs, natoms) -> Pairs:
    """The pairs of the atoms, and once more of those behind them."""
    return Pairs(
        tf.concat([pairs.center, pairs.center + natoms], 0),
        tf.concat([pairs.atom, pairs.atom + natoms], 0),
        tf.tile(pairs.disp, [2, 1]),
    )


def even(values):
    """Half the sum of both signs: it does not change when all moments are turned."""
    given, turned = tf.split(values, 2, 0)
    return 0.5 * (given + turned)


def channels_of_both(values, sign):
    """Channels (natoms, 2, ...), the second odd, from those of both signs (2 natoms, 2, ...).

    `sign` (natoms,) are those of the initial moments: without any the second is exactly 0, where a
    product of matrices may round its first and last rows differently.
    """
    given, turned = tf.split(values, 2, 0)
    odd = given - turned
    odd = tf.where(tf.reduce_any(sign != 0), odd, tf.zeros_like(odd))
    return 0.5 * tf.concat([(given + turned)[:, :1], odd[:, 1:]], 1)


def occupancies_of_both(found: PredictedOccupancies, mean, sign) -> PredictedOccupancies:
    """PAW occupancies of the atoms from those of both signs, whose means cancel in the odd part.

    Parameters
    ----------
    found : PredictedOccupancies
        Of both signs.
    mean : tf.Tensor
        (natoms, 2, width), that of the spin for a moment that is up.
    sign : tf.Tensor
        (natoms,) signs of the initial moments.
    """
    values = channels_of_both(found.values, sign)
    turned = tf.cast(sign, mean.dtype)[:, None, None] * mean[:, 1:]
    values = tf.concat([values[:, :1], values[:, 1:] + turned], 1)
    return PredictedOccupancies(values, tf.split(found.unit, 2, 0)[0])
