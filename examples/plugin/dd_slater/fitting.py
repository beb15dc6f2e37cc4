"""Slater functions around each atom, with coefficients predicted once per atom."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from dargs import Argument

from deepdensity_tf.fit import FITTINGS, FittingContext
from deepdensity_tf.utils.nn import MLP, LinearPerL


@FITTINGS.register("slater")
class Slater(tf.Module):
    """rho_i(r) = sum_qlm c_{i,qlm} R_q(|d|) S_lm(d), d = r - R_i.

    The functions R are orthonormal combinations of exp(-zeta |d|), with exponents that are given,
    not trained. The coefficients c are the equivariant features of the atom, mixed over channels;
    invariants add to those of l = 0, which hold all electrons.
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
            ),
            Argument("neuron", list[int], optional=True, default=[64], doc="Layers of the net."),
        ]

    def __init__(self, config: dict, context: FittingContext):
        super().__init__()
        init, self._lmax, self._ntypes = context.init, context.lmax, context.ntypes
        self._shape = [context.ndensity, len(config["zeta"])]
        nout = context.ndensity * len(config["zeta"])
        self._linear = LinearPerL(init, context.lmax, context.nchannels, nout)
        self._spherical = MLP(init, context.nscalars + context.ntypes, config["neuron"], nout)
        zeta = np.array(config["zeta"])
        # A table on the splines of the model: the native op does the rest.
        table = context.grid.orthonormal(lambda r: np.exp(-zeta * r[:, None]))
        self._table = tf.constant(table, init.dtype)

    def coefficients(self, features, atype):
        """(natoms, ndensity, nspline, nlm)."""
        one_hot = tf.one_hot(atype, self._ntypes, dtype=features.scalars.dtype)
        mixed = self._linear(features.tensors)
        spherical = self._spherical(tf.concat([features.scalars, one_hot], 1))
        mixed = tf.concat([mixed[:, :1] + spherical[:, None], mixed[:, 1:]], 1)
        mixed = tf.reshape(mixed, [-1, (self._lmax + 1) ** 2, *self._shape])
        return tf.einsum("nkcq,qs->ncsk", mixed, self._table)

    def contributions(self, features, atype, pairs):
        """None: the coefficients say all."""
        return None
