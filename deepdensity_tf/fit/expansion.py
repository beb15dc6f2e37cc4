"""Atom-centred functions with coefficients predicted once per atom."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from dargs import Argument

from deepdensity_tf.fit.base import FITTINGS, FittingContext
from deepdensity_tf.utils.bounds import LAYERS, POSITIVE
from deepdensity_tf.utils.nn import BESIDE_SHARED, MLP, GroupedLinearPerL, per_lm
from deepdensity_tf.utils.radial import RadialGrid


@FITTINGS.register("expansion")
class Expansion(tf.Module):
    """rho_i(r) = sum_qlm c_{i,qlm} R_{l,q}(|d|) S_lm(d), d = r - R_i.

    The coefficients c are the equivariant features of the atom, mixed over channels by matrices of
    which a part is shared by all types and a part is that of its own, and gated by its invariants.
    The radial functions R are trained, from a start of orthonormal combinations of Gaussians; all
    types have the same, unless `radial_per_type`. The whole contribution is one table per atom:
    points cost no network at all.
    """

    summary = "Radial functions times solid harmonics, coefficients from the atom's features."
    per_pair = False

    @staticmethod
    def arguments() -> list[Argument]:
        return [
            Argument(
                "neuron",
                list[int],
                optional=True,
                default=[128],
                doc="Layers of the gate net.",
                **LAYERS,
            ),
            Argument(
                "nradial",
                int,
                optional=True,
                default=12,
                doc="Radial functions for each l.",
                **POSITIVE,
            ),
            Argument(
                "radial_per_type",
                bool,
                optional=True,
                default=False,
                doc="Each type has radial functions of its own, which learn from its atoms alone, "
                "as in models of before.",
            ),
        ]

    def __init__(self, config: dict, context: FittingContext):
        super().__init__()
        init, self._lmax, self._nradial = context.init, context.lmax, config["nradial"]
        self._ndensity, self._nspline = context.ndensity, context.grid.nspline
        self._nout = self._nradial * context.ndensity
        shape = (context.ntypes, self._lmax + 1, context.nchannels, self._nout)
        # From zeros: an untrained model is its baseline, and training never has to unlearn what
        # random weights add.
        own = init.variable(np.zeros(shape), BESIDE_SHARED)
        shared = init.variable(np.zeros(shape[1:]), "linear")
        self._linear = GroupedLinearPerL(self._lmax, own, shared)
        self._gates = MLP(
            init,
            context.nscalars + context.tebd_dim,
            config["neuron"],
            self._nout * (self._lmax + 2),
            last=0.0,
        )
        start = _orthonormal_gaussians(context.grid, self._nradial)
        per_type, shape = config["radial_per_type"], (self._lmax + 1, *start.shape)
        shape = (context.ntypes, *shape) if per_type else shape
        functions = init.variable(np.broadcast_to(start, shape), "radial")
        self._radial = GroupedLinearPerL(
            self._lmax, **{"weight" if per_type else "shared": functions}
        )

    def coefficients(self, features, species):
        """(natoms, ndensity, nspline, nlm)."""
        contracted = self._contracted(features, species)
        nlm = (self._lmax + 1) ** 2
        # Density channels of an atom as atoms of their own: they share its radial functions.
        rows = tf.reshape(contracted, [nlm, -1, self._nradial])
        table = self._radial(rows, tf.repeat(species.index, self._ndensity))
        table = tf.reshape(table, [nlm, -1, self._ndensity, self._nspline])
        return tf.transpose(table, [1, 2, 3, 0])

    def _contracted(self, features, species):
        """Coefficients c of the radial functions: (nlm, natoms, ndensity nradial)."""
        linear = self._linear(features.tensors, species.index)
        gates = self._gates(tf.concat([features.scalars, species.vector], 1))
        gates = tf.transpose(tf.reshape(gates, [-1, self._lmax + 2, self._nout]), [1, 0, 2])
        spherical, gates = tf.split(gates, [1, self._lmax + 1])
        # Invariants alone make the spherical part; features of l = 0 correct it.
        spherical = tf.pad(spherical, [[0, (self._lmax + 1) ** 2 - 1], [0, 0], [0, 0]])
        return linear * (1 + per_lm(gates, self._lmax)) + spherical

    def contributions(self, features, species, pairs):
        """None: the expansion says all."""
        return None


def _orthonormal_gaussians(grid: RadialGrid, nradial: int) -> np.ndarray:
    """Spline coefficients (nradial, nspline) of functions orthonormal on [0, rcut] with r^2 dr."""
    # Wide functions first: the narrow ones then add what the wide ones lack.
    widths = np.geomspace(0.45, 3.5 / grid.nspline, nradial) * grid.rcut
    return grid.orthonormal(lambda r: np.exp(-0.5 * (r[:, None] / widths) ** 2))
