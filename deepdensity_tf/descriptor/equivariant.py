"""Equivariant cluster features up to lmax, with products and passes between atoms."""

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
from deepdensity_tf.utils.bounds import LAYERS, POSITIVE, bound
from deepdensity_tf.utils.nn import (
    MLP,
    Dense,
    Initializer,
    LinearPerL,
    SphereProduct,
    norms_per_l,
    per_lm,
)
from deepdensity_tf.utils.ops import gather_messages
from deepdensity_tf.utils.scale import ScaleScalars, ScaleTensors

# Of features, in units of their size in the data, and of what a pass makes of invariants. Nets go
# on straight beyond what they learned: what is large there they make larger, pass by pass.
BOUND = 2.0
BOUND_OF_BEFORE = 4.0  # where invariants and gates have none

# Of what neighbours know, times the direction to them; the cost grows fast with it.
_CROSSED_LMAX = 3


@DESCRIPTORS.register("equivariant")
class Equivariant(tf.Module):
    """The environment matrix carried to lmax, with many-body products and message passes.

    Each pass gathers the neighbours' rows, weighted by embedding nets and, from the second pass on,
    by what the neighbours know themselves; then features are multiplied with each other on the
    sphere (three-body terms and beyond) and gated by invariants.
    """

    summary = "Environment matrix to lmax with products on the sphere and passes between atoms."

    @staticmethod
    def arguments() -> list[Argument]:
        return [
            *cutoff_arguments(),
            Argument(
                "lmax",
                int,
                optional=True,
                default=4,
                doc="Highest angular momentum, 1 to 8.",
                **bound(lambda value: 1 <= value <= 8, "1 to 8"),
            ),
            Argument(
                "neuron",
                list[int],
                optional=True,
                default=[64, 64],
                doc="Layers of the nets.",
                **LAYERS,
            ),
            Argument(
                "nchannel",
                int,
                optional=True,
                default=32,
                doc="Channels for each (l, m).",
                **POSITIVE,
            ),
            Argument(
                "nscalar",
                int,
                optional=True,
                default=64,
                doc="Invariants of each atom.",
                **POSITIVE,
            ),
            Argument(
                "npass", int, optional=True, default=3, doc="Passes between atoms.", **POSITIVE
            ),
            Argument(
                "bounded",
                bool,
                optional=True,
                default=True,
                doc="Invariants and gates stay within bounds in whatever surroundings; false: "
                "as in models of before.",
            ),
            Argument(
                "crossed",
                bool,
                optional=True,
                default=True,
                doc="From the second pass on, products of what an atom knows itself and of what "
                "neighbours know with the directions to them; false: as in models of before.",
            ),
        ]

    def __init__(self, config: dict, tebd_dim: int, init: Initializer):
        super().__init__()
        self.lmax = config["lmax"]
        self.nchannels = config["nchannel"]
        self.nscalars = config["nscalar"]
        self._environment = Environment(config, self.lmax, init.dtype)
        self._passes = [_Pass(config, tebd_dim, init, first=i == 0) for i in range(config["npass"])]

    def __call__(self, species: Species, pairs: Pairs) -> AtomFeatures:
        environment = self._environment(pairs)
        features = None
        for step in self._passes:
            features = step(species, pairs, environment, features)
        return features


class _Pass(tf.Module):
    """One pass: gather from the neighbours, multiply, update the invariants, gate."""

    def __init__(self, config: dict, tebd_dim: int, init: Initializer, first: bool):
        super().__init__()
        self._lmax, self._nchannels = lmax, nchannels = config["lmax"], config["nchannel"]
        nscalars, neuron = config["nscalar"], config["neuron"]
        width = nchannels * (lmax + 1)
        self._bounded = config["bounded"]
        limit = BOUND if self._bounded else BOUND_OF_BEFORE
        self._embedding = RadialEmbedding(init, config["rcut"], neuron, width * (1 if first else 2))
        self._sender = Dense(init, tebd_dim + (0 if first else nscalars), nchannels)
        self._scale_gather = ScaleTensors(init, lmax, limit)
        self._left = LinearPerL(init, lmax, nchannels, nchannels)
        self._right = LinearPerL(init, lmax, nchannels, nchannels)
        self._crossed = None
        if config["crossed"] and not first:
            self._scale_own = ScaleTensors(init, lmax, limit)
            self._own = LinearPerL(init, lmax, nchannels, nchannels)
            self._crossed = _Crossed(config, init)
        self._product = SphereProduct(lmax, init.dtype)
        self._scale_product = ScaleTensors(init, lmax, limit)
        self._mix = LinearPerL(init, lmax, 2 * nchannels, nchannels)
        ninvariants = 2 * width + (0 if first else nscalars)
        self._scale_scalars = ScaleScalars(init, ninvariants)
        self._scalars = MLP(init, ninvariants + tebd_dim, neuron, nscalars)
        self._gates = Dense(init, nscalars, width)

    def __call__(self, species: Species, pairs: Pairs, environment, before: AtomFeatures | None):
        gathered = self._gather(species, pairs, environment, before)
        product = self._product(self._left(gathered), self._right(gathered))
        both = tf.concat([gathered, self._scale_product(product)], -1)
        known = [_invariants(both, self._lmax)] + ([] if before is None else [before.scalars])
        known = self._scale_scalars(tf.concat(known, -1))
        scalars = self._scalars(tf.concat([known, species.vector], -1))
        if self._bounded:
            scalars = _bounded(scalars, BOUND)
        tensors = self._mix(both) * self._gate(scalars)
        if before is not None:
            scalars, tensors = scalars + before.scalars, tensors + before.tensors
        return AtomFeatures(scalars, tensors)

    def _gather(self, species, pairs, environment, before):
        rows, distance = environment
        radial = self._embedding(distance)
        known = [species.vector] + ([] if before is None else [before.scalars])
        sent = self._sender(tf.concat(known, -1))
        tensors = None if before is None else before.tensors
        gathered = gather_messages(pairs, radial, rows, sent, tensors, self._lmax)
        gathered = self._scale_gather(gathered)
        if self._crossed is None:
            return gathered
        own = self._own(self._scale_own(tensors))
        return gathered + own + self._crossed(pairs, environment, tensors)

    def _gate(self, scalars):
        gates = tf.reshape(self._gates(tf.nn.silu(scalars)), [-1, self._lmax + 1, self._nchannels])
        if self._bounded:
            gates = _bounded(gates, 1.0)
        return 1 + per_lm(tf.transpose(gates, [1, 0, 2]), self._lmax)


class _Crossed(tf.Module):
    """What neighbours know, as functions on the sphere, times functions of the direction to them.

    Along a bond and across it are different for what passes: a sum over neighbours of their
    features alone has lost which of them lies where.
    """

    def __init__(self, config: dict, init: Initializer):
        super().__init__()
        lmax, nchannels = config["lmax"], config["nchannel"]
        self._lmax = min(_CROSSED_LMAX, lmax)
        self._beyond = (lmax + 1) ** 2 - (self._lmax + 1) ** 2
        ncrossed = max(1, nchannels // 2)
        self._embedding = RadialEmbedding(
            init, config["rcut"], config["neuron"], (self._lmax + 1) * ncrossed
        )
        self._sent = LinearPerL(init, self._lmax, nchannels, ncrossed)
        self._product = SphereProduct(self._lmax, init.dtype)
        self._scale = ScaleTensors(init, self._lmax, BOUND)
        self._mix = LinearPerL(init, self._lmax, ncrossed, nchannels)

    def __call__(self, pairs: Pairs, environment, tensors):
        """To be added to the features (nlm, natoms, nchannels) of the atoms."""
        rows, distance = environment
        nlm = (self._lmax + 1) ** 2
        sent = self._sent(tensors[:nlm])
        crossed = self._product.over_pairs(pairs, self._embedding(distance), rows[:, :nlm], sent)
        return tf.pad(self._mix(self._scale(crossed)), [[0, self._beyond], [0, 0], [0, 0]])


def _bounded(x, limit: float):
    """Between -limit and limit, near 0 as it is."""
    return x * tf.math.rsqrt(1 + tf.square(x / limit))


def _invariants(features, lmax: int):
    """The l = 0 features and the norms of the others: (n, (lmax + 1) m)."""
    norms = tf.math.log1p(norms_per_l(features, lmax)[1:])
    invariants = tf.transpose(tf.concat([features[:1], norms], 0), [1, 0, 2])
    return tf.reshape(invariants, [-1, (lmax + 1) * features.shape[-1]])
