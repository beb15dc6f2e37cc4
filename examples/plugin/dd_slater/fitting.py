"""Slater functions around each atom, with coefficients predicted once per atom."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from dargs import Argument

from deepdensity_tf.fit import FITTINGS, FittingContext
from deepdensity_tf.utils.bounds import LAYERS, bound
from deepdensity_tf.utils.nn import MLP, LinearPerL, per_lm


@FITTINGS.register("slater")
class Slater(tf.Module):
    """rho_i(r) = sum_qlm c_{i,qlm} R_lq(|d|) S_lm(d/|d|), d = r - R_i.

    The functions R_l are orthonormal combinations of |d|^l exp(-zeta |d|), with exponents that are
    given, not trained. The coefficients c are the equivariant features of the atom, mixed over
    channels and gated by its invariants, which also add to those of l = 0.
    """

    summary = "Slater functions with given exponents, coefficients from the atom's features."
    per_pair = False  # no net runs for a pair of point and atom

    @staticmethod
    def arguments() -> list[Argument]:
        return [
            Argument(
                "zeta",
                list[float],
                optional=True,
                default=[0.7, 1.4, 2.8, 5.6],
                doc="Exponents of the Slater functions, 1/Å.",
                **bound(lambda zeta: zeta and min(zeta) > 0, "positive exponents"),
            ),
            Argument(
                "neuron",
                list[int],
                optional=True,
                default=[64],
                doc="Layers of the net.",
                **LAYERS,
            ),
        ]

    def __init__(self, config: dict, context: FittingContext):
        super().__init__()
        init, self._lmax = context.init, context.lmax
        self._shape = [context.ndensity, len(config["zeta"])]
        nout = context.ndensity * len(config["zeta"])
        self._linear = LinearPerL(init, context.lmax, context.nchannels, nout)
        nin = context.nscalars + context.tebd_dim
        self._gates = MLP(init, nin, config["neuron"], nout * (context.lmax + 2))
        zeta = np.array(config["zeta"])
        # A table on the splines of the model: the native op does the rest.
        tables = [
            context.grid.orthonormal(lambda r, power=power: _slater(r[:, None], power, zeta))
            for power in range(context.lmax + 1)
        ]
        self._table = per_lm(tf.constant(np.array(tables), init.dtype), context.lmax)

    def coefficients(self, features, species):
        """(natoms, ndensity, nspline, nlm)."""
        gates = self._gates(tf.concat([features.scalars, species.vector], 1))
        gates = tf.reshape(gates, [-1, self._lmax + 2, self._shape[0] * self._shape[1]])
        gates = tf.transpose(gates, [1, 0, 2])
        coef = self._linear(features.tensors) * per_lm(gates[1:], self._lmax)
        coef = tf.concat([coef[:1] + gates[:1], coef[1:]], 0)
        coef = tf.reshape(coef, [(self._lmax + 1) ** 2, -1, *self._shape])
        return tf.einsum("kncq,kqs->ncsk", coef, self._table)

    def contributions(self, features, species, pairs):
        """None: the coefficients say all."""
        return None


def _slater(r, power: int, zeta):
    return r**power * np.exp(-zeta * r)
