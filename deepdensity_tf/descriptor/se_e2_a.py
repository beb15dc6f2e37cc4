"""The descriptor of Deep Potential, smooth edition."""

from __future__ import annotations

import tensorflow as tf
from dargs import Argument

from deepdensity_tf.descriptor.base import (
    DESCRIPTORS,
    AtomFeatures,
    Environment,
    Pairs,
    RadialEmbedding,
    Species,
    cutoff_arguments,
)
from deepdensity_tf.utils.bounds import LAYERS, POSITIVE
from deepdensity_tf.utils.nn import Dense, Initializer
from deepdensity_tf.utils.ops import gather_messages
from deepdensity_tf.utils.scale import ScaleScalars, ScaleTensors

_BOUND = 4.0  # of T, in units of its size in the data


@DESCRIPTORS.register("se_e2_a")
class SeE2A(tf.Module):
    """T = G^T R / N and D = T T[:M2]^T of every atom.

    References
    ----------
    Zhang et al., NeurIPS 31 (2018), arXiv:1805.09003.
    """

    summary = "Deep Potential's smooth edition: T = G^T R (l <= 1) and D = T T[:M2]^T."

    @staticmethod
    def arguments() -> list[Argument]:
        return [
            *cutoff_arguments(),
            Argument(
                "neuron",
                list[int],
                optional=True,
                default=[32, 64],
                doc="Sizes of the embedding net; the last is the number of channels M1.",
                **LAYERS,
            ),
            Argument(
                "axis_neuron",
                int,
                optional=True,
                default=8,
                doc="Columns M2 of the descriptor.",
                **POSITIVE,
            ),
        ]

    def __init__(self, config: dict, tebd_dim: int, init: Initializer):
        super().__init__()
        self.lmax = 1
        self.nchannels = config["neuron"][-1]
        self.nscalars = self.nchannels * config["axis_neuron"]
        self._axis_neuron = config["axis_neuron"]
        self._environment = Environment(config, self.lmax, init.dtype)
        # One function a channel for l = 0 and 1 alike, as in Deep Potential; the types of
        # a pair enter as factors.
        self._embedding = RadialEmbedding(
            init, config["rcut"], config["neuron"][:-1], self.nchannels
        )
        self._sender = Dense(init, tebd_dim, self.nchannels)
        self._receiver = Dense(init, tebd_dim, self.nchannels)
        self._scale = ScaleTensors(init, self.lmax, _BOUND)
        self._scale_invariants = ScaleScalars(init, self.nscalars)

    def __call__(self, species: Species, pairs: Pairs) -> AtomFeatures:
        rows, distance = self._environment(pairs)
        radial = tf.tile(self._embedding(distance), [1, self.lmax + 1])
        sent = self._sender(species.vector)
        gathered = gather_messages(pairs, radial, rows, sent, None, self.lmax)
        tensors = self._scale(gathered * self._receiver(species.vector))
        product = tf.einsum("kna,knb->nab", tensors, tensors[:, :, : self._axis_neuron])
        scalars = self._scale_invariants(tf.reshape(product, [-1, self.nscalars]))
        return AtomFeatures(scalars, tensors)
