"""What all descriptors share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from dargs import Argument

from deepdensity_tf.utils.nn import MLP, Initializer, norms_per_l, per_lm
from deepdensity_tf.utils.ops import env_mat
from deepdensity_tf.utils.plugin import Registry

DESCRIPTORS = Registry("descriptor")


class Pairs(NamedTuple):
    """Pairs of a centre and an atom within a cut-off, ordered by centre."""

    center: tf.Tensor  # (npairs,) int32
    atom: tf.Tensor  # (npairs,) int32
    disp: tf.Tensor  # (npairs, 3) float64, from centre to atom, Å


class AtomFeatures(NamedTuple):
    """What a descriptor says of each atom."""

    scalars: tf.Tensor  # (natoms, nscalars), invariant
    tensors: tf.Tensor  # (natoms, (lmax + 1)**2, nchannels), rotating like solid harmonics


def cutoff_arguments() -> list[Argument]:
    """The keys of the environment matrix."""
    return [
        Argument("rcut", float, optional=True, default=4.0, doc="Cut-off between atoms, Å."),
        Argument(
            "rcut_smth",
            float,
            optional=True,
            default=0.5,
            doc="Distance from which a neighbour is switched off smoothly, Å.",
        ),
    ]


class RadialEmbedding(tf.Module):
    """Embedding net G(r, t_i, t_j): one function for each l, channel and pair of types.

    Its input is a set of Gaussians of the distance and the pair of types as one-hot, so that sharp
    radial functions are learned quickly. The names of input and output mark it in a frozen graph:
    compression puts a table in its place.
    """

    ngaussian = 12

    def __init__(self, init: Initializer, rcut: float, ntypes: int, neuron, nout: int):
        super().__init__()
        self._ntypes = ntypes
        self._centers = tf.constant(np.linspace(0, rcut, self.ngaussian), init.dtype)
        self._width = rcut / (self.ngaussian - 1)
        self._net = MLP(init, self.ngaussian + ntypes**2, neuron, nout)

    def __call__(self, distance, type_pair):
        with tf.name_scope("embedding"):
            values = self._values(
                tf.identity(distance, name="distance"), tf.identity(type_pair, name="type_pair")
            )
            return tf.identity(values, name="values")

    def _values(self, distance, type_pair):
        gaussians = tf.exp(-0.5 * ((distance[:, None] - self._centers) / self._width) ** 2)
        one_hot = tf.one_hot(type_pair, self._ntypes**2, dtype=distance.dtype)
        return self._net(tf.concat([gaussians, one_hot], 1))


class Environment(tf.Module):
    """Environment-matrix rows and distances of pairs, in the precision of the nets."""

    def __init__(self, config: dict, lmax: int, ntypes: int, dtype: tf.DType):
        super().__init__()
        self.lmax = lmax
        self._rcut_smth, self._rcut = config["rcut_smth"], config["rcut"]
        self._ntypes, self._dtype = ntypes, dtype

    def __call__(self, atype, pairs: Pairs):
        """Rows (npairs, nlm), distances (npairs,) and type pairs (npairs,)."""
        rows = env_mat(pairs.disp, self._rcut_smth, self._rcut, self.lmax)
        distance = tf.linalg.norm(pairs.disp, axis=1)
        type_pair = tf.gather(atype, pairs.center) * self._ntypes + tf.gather(atype, pairs.atom)
        return tf.cast(rows, self._dtype), tf.cast(distance, self._dtype), type_pair


def gather_messages(weights, rows, pairs: Pairs, natoms, lmax: int):
    """sum_j weights_l(ij) rows_lm(ij) for each atom.

    Parameters
    ----------
    weights : tf.Tensor
        (npairs, (lmax + 1) nchannels).
    rows : tf.Tensor
        (npairs, nlm) or (npairs, nlm, nchannels).

    Returns
    -------
    tf.Tensor
        (natoms, nlm, nchannels).
    """
    per_l = tf.reshape(weights, [-1, lmax + 1, weights.shape[-1] // (lmax + 1)])
    messages = per_lm(per_l, lmax, axis=1)
    messages *= rows if len(rows.shape) == 3 else rows[:, :, None]
    return tf.math.unsorted_segment_sum(messages, pairs.center, natoms)


class Standardize(tf.Module):
    """Divides invariants (n, m) by their root mean square over a sample of the data.

    The scale is statistics, not training: it is set once, by the first call in `adapt` mode.
    """

    def __init__(self, init: Initializer, nscalars: int):
        super().__init__()
        self.scale = init.variable(np.ones(nscalars), "scale", trainable=False)
        self.adapt = False

    def __call__(self, scalars):
        if self.adapt:
            self.scale.assign(tf.math.rsqrt(tf.reduce_mean(scalars**2, 0) + 1e-12))
        return scalars * self.scale


class StandardizePerL(tf.Module):
    """Divides equivariant features (n, nlm, m) by their root mean square, one number for each l."""

    def __init__(self, init: Initializer, lmax: int):
        super().__init__()
        self._lmax = lmax
        self.scale = init.variable(np.ones(lmax + 1), "scale", trainable=False)
        self.adapt = False

    def __call__(self, features):
        if self.adapt:
            mean_square = tf.reduce_mean(norms_per_l(features, self._lmax), [0, 2])
            degeneracy = tf.cast(2 * tf.range(self._lmax + 1) + 1, features.dtype)
            self.scale.assign(tf.math.rsqrt(mean_square / degeneracy + 1e-12))
        return features * per_lm(self.scale, self._lmax, axis=0)[:, None]
