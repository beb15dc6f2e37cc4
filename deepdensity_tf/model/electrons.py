"""The number of electrons of a frame, exactly that of its atoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from deepdensity_tf.descriptor import Species
from deepdensity_tf.utils.nn import Dense, Initializer
from deepdensity_tf.utils.radial import RadialGrid

# The missing charge is carried by (1 - r^2 / rcut^2)^p: two continuous derivatives at the cut-off.
_POWERS = (3, 6, 12, 24)
_LOGIT = 4.0  # shares of two atoms differ at most by exp(2 x 4)


class MissingCharge(tf.Module):
    """Adds what a frame's density lacks of the electrons of its atoms, where the model puts it.

    The missing charge of a frame is shared among its atoms in proportion to positive weights
    learned from their scalars; each atom carries its share as a spherical function of unit
    integral, a mixture of narrow and wide ones learned for its type. Nothing is rescaled: a
    density that has its electrons stays as it is, and one of no or negative charge is mended all
    the same.

    Parameters
    ----------
    valence : Sequence of float
        Electrons of each type.
    nscalars, tebd_dim : int
        Sizes of what is known of an atom and of its type.
    grid : RadialGrid
        The splines of the density.
    init : Initializer
        Source of weights.
    """

    def __init__(
        self,
        valence: Sequence[float],
        nscalars: int,
        tebd_dim: int,
        grid: RadialGrid,
        init: Initializer,
    ):
        super().__init__()
        functions = grid.fit(lambda r: (1 - (r[:, None] / grid.rcut) ** 2) ** np.array(_POWERS)).T
        functions /= (functions @ grid.integrals())[:, None]
        self._valence = tf.constant(valence, tf.float64)
        self._functions = tf.constant(functions)  # (npowers, nspline), of unit integral
        self._share = Dense(init, nscalars + tebd_dim, 1, scale=0.1)
        self._mixture = init.variable(np.zeros((len(valence), len(_POWERS))), "mixture")

    def __call__(self, electrons, scalars, species: Species, frame, nframes):
        """Spline coefficients to add to each atom's spherical density: (natoms, nspline) float64.

        Parameters
        ----------
        electrons : tf.Tensor
            (nframes,) float64, what the frames hold without it.
        scalars : tf.Tensor
            (natoms, nscalars).
        species : Species
            Of the atoms.
        frame : tf.Tensor
            (natoms,) int32, which frame each belongs to.
        nframes : tf.Tensor
            int32 scalar.
        """
        wanted = tf.math.unsorted_segment_sum(
            tf.gather(self._valence, species.index), frame, nframes
        )
        logit = self._share(tf.concat([scalars, species.vector], 1))[:, 0]
        weight = tf.exp(_LOGIT * tf.tanh(tf.cast(logit, tf.float64)))
        total = tf.math.unsorted_segment_sum(weight, frame, nframes)
        charge = weight * tf.gather((wanted - electrons) / total, frame)
        mixture = tf.nn.softmax(tf.cast(self._mixture, tf.float64))
        shape = tf.gather(tf.matmul(mixture, self._functions), species.index)
        return charge[:, None] * shape
