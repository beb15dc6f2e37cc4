"""The authors' own form: one prefactor and one exponential for each pair."""

from __future__ import annotations

import tensorflow as tf
from dargs import Argument

from deepdensity_tf.fit.base import FITTINGS, FittingContext, point_geometry, point_invariants
from deepdensity_tf.utils.bounds import LAYERS
from deepdensity_tf.utils.nn import MLP, Dense


@FITTINGS.register("exponential")
class Exponential(tf.Module):
    """rho_i(r) = C exp(-|e + w (|d| - b)|), C and e two nets with shared hidden layers.

    The nets see invariants where the authors' one-dimensional code sees the signed coordinate, so
    that reflections hold; w and b are trained, from 1 and 0.

    References
    ----------
    Zepeda-Nunez et al., J. Comput. Phys. 443, 110523 (2021).
    """

    summary = "C exp(-abs(e + w (r - b))), the form of the paper's one-dimensional systems."
    per_pair = True

    @staticmethod
    def arguments() -> list[Argument]:
        return [
            Argument(
                "neuron",
                list[int],
                optional=True,
                default=[64, 64, 64],
                doc="Layers of the net.",
                **LAYERS,
            ),
        ]

    def __init__(self, config: dict, context: FittingContext):
        super().__init__()
        init, first = context.init, config["neuron"][0]
        self._grid, self._lmax, self._dtype = context.grid, context.lmax, init.dtype
        self._ndensity = context.ndensity
        self._of_atom = Dense(init, context.nscalars + context.tebd_dim, first)
        self._of_pair = Dense(init, (context.lmax + 1) * context.nchannels + 1, first)
        self._net = MLP(init, first, config["neuron"][1:], 2 * context.ndensity)
        self._slope = init.variable(1.0, "slope")
        self._origin = init.variable(0.0, "origin")

    def coefficients(self, features, species):
        """None: there are no per-atom coefficients."""
        return None

    def contributions(self, features, species, pairs):
        """(npairs, ndensity)."""
        geometry = point_geometry(pairs, self._grid, self._lmax, self._dtype)
        seen = point_invariants(features, pairs, geometry, self._lmax)
        of_atom = self._of_atom(tf.concat([features.scalars, species.vector], 1))
        distance = geometry.distance[:, None]
        hidden = tf.gather(of_atom, pairs.atom) + self._of_pair(tf.concat([seen, distance], 1))
        prefactor, exponent = tf.split(self._net(tf.nn.silu(hidden)), 2, 1)
        decay = tf.exp(-tf.abs(exponent + self._slope * (distance - self._origin)))
        return prefactor * decay * geometry.switch[:, None]
