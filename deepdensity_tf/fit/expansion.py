"""Atom-centred functions with coefficients predicted once per atom."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from dargs import Argument

from deepdensity_tf.fit.base import FITTINGS, FittingContext
from deepdensity_tf.utils.nn import MLP, LinearPerL, per_lm
from deepdensity_tf.utils.radial import RadialGrid


@FITTINGS.register("expansion")
class Expansion(tf.Module):
    """rho_i(r) = sum_qlm c_{i,qlm} R_{t,l,q}(|d|) S_lm(d), d = r - R_i.

    The coefficients c are the equivariant features of the atom, mixed over channels by matrices of
    its type and gated by its invariants. The radial functions R are trained, from a start of
    orthonormal combinations of Gaussians. The whole contribution is one table per atom: points
    cost no network at all.
    """

    summary = "Radial functions times solid harmonics, coefficients from the atom's features."
    per_pair = False

    @staticmethod
    def arguments() -> list[Argument]:
        return [
            Argument(
                "neuron", list[int], optional=True, default=[128], doc="Layers of the gate net."
            ),
            Argument("nradial", int, optional=True, default=12, doc="Radial functions for each l."),
        ]

    def __init__(self, config: dict, context: FittingContext):
        super().__init__()
        init, self._lmax, self._nradial = context.init, context.lmax, config["nradial"]
        self._ndensity, self._ntypes = context.ndensity, context.ntypes
        self._nout = self._nradial * context.ndensity
        self._linear = LinearPerL(init, self._lmax, context.nchannels, self._nout * context.ntypes)
        self._gates = MLP(
            init, context.nscalars + context.ntypes, config["neuron"], self._nout * (self._lmax + 2)
        )
        start = _orthonormal_gaussians(context.grid, self._nradial)
        shape = (self._lmax + 1, context.ntypes, *start.shape)
        self._radial = init.variable(np.broadcast_to(start, shape), "radial")

    def coefficients(self, features, atype):
        """(natoms, ndensity, nspline, nlm)."""
        one_hot = tf.one_hot(atype, self._ntypes, dtype=features.scalars.dtype)
        contracted = self._contracted(features, one_hot)
        nlm = (self._lmax + 1) ** 2
        # One product for all types: the coefficients of other types are zero.
        shape = [-1, nlm, self._ndensity, 1, self._nradial]
        by_type = tf.reshape(contracted, shape) * one_hot[:, None, None, :, None]
        by_type = tf.reshape(by_type, [-1, nlm, self._ndensity, self._ntypes * self._nradial])
        radial = tf.reshape(self._radial, [self._lmax + 1, self._ntypes * self._nradial, -1])
        table = tf.einsum("nkcq,kqs->nkcs", by_type, per_lm(radial, self._lmax, axis=0))
        return tf.transpose(table, [0, 2, 3, 1])

    def _contracted(self, features, one_hot):
        """Coefficients c of the radial functions: (natoms, nlm, ndensity nradial)."""
        linear = self._linear(features.tensors)
        linear = tf.reshape(linear, [-1, (self._lmax + 1) ** 2, self._ntypes, self._nout])
        linear = tf.einsum("nkto,nt->nko", linear, one_hot)
        gates = self._gates(tf.concat([features.scalars, one_hot], 1))
        gates = tf.reshape(gates, [-1, self._lmax + 2, self._nout])
        contracted = linear * (1 + per_lm(gates[:, 1:], self._lmax, axis=1))
        # Invariants alone make the spherical part; features of l = 0 correct it.
        return tf.concat([contracted[:, :1] + gates[:, :1], contracted[:, 1:]], 1)

    def contributions(self, features, atype, pairs):
        """None: the expansion says all."""
        return None


def _orthonormal_gaussians(grid: RadialGrid, nradial: int) -> np.ndarray:
    """Spline coefficients (nradial, nspline) of functions orthonormal on [0, rcut] with r^2 dr."""
    # Wide functions first: the narrow ones then add what the wide ones lack.
    widths = np.geomspace(0.45, 3.5 / grid.nspline, nradial) * grid.rcut
    return grid.orthonormal(lambda r: np.exp(-0.5 * (r[:, None] / widths) ** 2))
