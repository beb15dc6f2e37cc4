"""What all descriptors share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from dargs import Argument

from deepdensity_tf.utils.bounds import POSITIVE
from deepdensity_tf.utils.graph_names import DISTANCE, EMBEDDING, VALUES
from deepdensity_tf.utils.nn import MLP, Initializer
from deepdensity_tf.utils.ops import env_mat, interpolate
from deepdensity_tf.utils.plugin import Registry

DESCRIPTORS = Registry("descriptor")


class Pairs(NamedTuple):
    """Pairs of a centre and an atom within a cut-off, ordered by centre."""

    center: tf.Tensor  # (npairs,) int32
    atom: tf.Tensor  # (npairs,) int32
    disp: tf.Tensor  # (npairs, 3) float64, from centre to atom, Å


class Species(NamedTuple):
    """What kind each atom is."""

    index: tf.Tensor  # (natoms,) int32, its type
    vector: tf.Tensor  # (natoms, tebd_dim), the embedding of its type
    sign: tf.Tensor  # (natoms,) int32, of its initial moment; 0 in models that take none


class AtomFeatures(NamedTuple):
    """What a descriptor says of each atom."""

    scalars: tf.Tensor  # (natoms, nscalars), invariant
    tensors: tf.Tensor  # ((lmax + 1)**2, natoms, nchannels), rotating like solid harmonics


def cutoff_arguments() -> list[Argument]:
    """The keys of the environment matrix."""
    return [
        Argument(
            "rcut", float, optional=True, default=4.0, doc="Cut-off between atoms, Å.", **POSITIVE
        ),
        Argument(
            "rcut_smth",
            float,
            optional=True,
            default=0.5,
            doc="Distance from which a neighbour is switched off smoothly, Å.",
            **POSITIVE,
        ),
    ]


# Distances at which embedding nets are asked where they are interpolated: nine in the width of a
# Gaussian, so that the values between them are right to single precision.
NODES = 96

_INTERPOLATED: ContextVar[bool] = ContextVar("interpolated embeddings", default=False)


@contextmanager
def interpolated_embeddings(wanted: bool) -> Iterator[None]:
    """Within it embedding nets run at `NODES` distances, whatever the number of pairs.

    What lies between is interpolated: no different to single precision and cheaper for many pairs,
    but without a gradient with respect to positions.
    """
    token = _INTERPOLATED.set(wanted)
    try:
        yield
    finally:
        _INTERPOLATED.reset(token)


class RadialEmbedding(tf.Module):
    """Embedding net G(r): one function for each l and channel, whatever the types.

    Its input is a set of Gaussians of the distance, so that sharp radial functions are learned
    quickly. The names of input and output mark it in a frozen graph: compression puts a table in
    its place.
    """

    ngaussian = 12

    def __init__(self, init: Initializer, rcut: float, neuron, nout: int):
        super().__init__()
        self._rcut = rcut
        self._centers = tf.constant(np.linspace(0, rcut, self.ngaussian), init.dtype)
        self._width = rcut / (self.ngaussian - 1)
        self._net = MLP(init, self.ngaussian, neuron, nout)

    def __call__(self, distance):
        if _INTERPOLATED.get():
            nodes = tf.linspace(tf.constant(0, distance.dtype), self._rcut, NODES)
            return interpolate(distance * ((NODES - 1) / self._rcut), self._values(nodes))
        with tf.name_scope(EMBEDDING):
            distance = tf.identity(distance, name=DISTANCE)
            return tf.identity(self._values(distance), name=VALUES)

    def _values(self, distance):
        gaussians = tf.exp(-0.5 * ((distance[:, None] - self._centers) / self._width) ** 2)
        return self._net(gaussians)


class Environment(tf.Module):
    """Environment-matrix rows and distances of pairs, in the precision of the nets."""

    def __init__(self, config: dict, lmax: int, dtype: tf.DType):
        super().__init__()
        self.lmax = lmax
        self._rcut_smth, self._rcut = config["rcut_smth"], config["rcut"]
        self._dtype = dtype

    def __call__(self, pairs: Pairs):
        """Rows (npairs, nlm) and distances (npairs,)."""
        rows = env_mat(pairs.disp, self._rcut_smth, self._rcut, self.lmax)
        distance = tf.linalg.norm(pairs.disp, axis=1)
        return tf.cast(rows, self._dtype), tf.cast(distance, self._dtype)
