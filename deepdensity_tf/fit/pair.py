"""A net evaluated for each pair of a point and an atom."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from dargs import Argument

from deepdensity_tf.fit.base import FITTINGS, FittingContext, point_geometry, point_invariants
from deepdensity_tf.utils.bounds import LAYERS, POSITIVE
from deepdensity_tf.utils.nn import MLP, Dense


@FITTINGS.register("pair")
class Pair(tf.Module):
    """rho_i(r) = sum_k c_k B_k(|d|), c = net(invariants of the atom, of the cluster seen from r).

    B_k are Gaussians in the distance under a decaying envelope. The first layer acts on the atom's
    invariants once per atom.
    """

    summary = "Radial Gaussians with coefficients from a net for each pair of point and atom."
    per_pair = True

    @staticmethod
    def arguments() -> list[Argument]:
        return [
            Argument(
                "neuron",
                list[int],
                optional=True,
                default=[96, 96],
                doc="Layers of the net.",
                **LAYERS,
            ),
            Argument(
                "nradial", int, optional=True, default=16, doc="Radial Gaussians.", **POSITIVE
            ),
        ]

    def __init__(self, config: dict, context: FittingContext):
        super().__init__()
        init, first = context.init, config["neuron"][0]
        self._grid, self._lmax, self._dtype = context.grid, context.lmax, init.dtype
        self._nradial, self._ndensity = config["nradial"], context.ndensity
        self._of_atom = Dense(init, context.nscalars + context.tebd_dim, first)
        self._of_pair = Dense(init, (context.lmax + 1) * context.nchannels + self._nradial, first)
        nout = self._nradial * context.ndensity
        self._net = MLP(init, first, config["neuron"][1:], nout)
        self._centers = tf.constant(
            np.linspace(0, 0.75, self._nradial) * context.grid.rcut, self._dtype
        )

    def coefficients(self, features, species):
        """None: there are no per-atom coefficients."""
        return None

    def contributions(self, features, species, pairs):
        """(npairs, ndensity)."""
        geometry = point_geometry(pairs, self._grid, self._lmax, self._dtype)
        width = self._centers[1] - self._centers[0]
        radial = tf.exp(-0.5 * ((geometry.distance[:, None] - self._centers) / width) ** 2)
        seen = point_invariants(features, pairs, geometry, self._lmax)
        of_atom = self._of_atom(tf.concat([features.scalars, species.vector], 1))
        hidden = tf.gather(of_atom, pairs.atom) + self._of_pair(tf.concat([seen, radial], 1))
        coef = self._net(tf.nn.silu(hidden))
        coef = tf.reshape(coef, [-1, self._ndensity, self._nradial])
        envelope = geometry.switch * tf.exp(-0.6 * geometry.distance)
        return tf.reduce_sum(coef * radial[:, None], 2) * envelope[:, None]
