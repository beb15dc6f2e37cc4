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
    Standardize,
    StandardizePerL,
    cutoff_arguments,
    gather_messages,
)
from deepdensity_tf.utils.nn import (
    MLP,
    Dense,
    Initializer,
    LinearPerL,
    SphereProduct,
    norms_per_l,
    per_lm,
)


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
                "lmax", int, optional=True, default=4, doc="Highest angular momentum, 1 to 8."
            ),
            Argument(
                "neuron", list[int], optional=True, default=[64, 64], doc="Layers of the nets."
            ),
            Argument("nchannel", int, optional=True, default=16, doc="Channels for each (l, m)."),
            Argument("nscalar", int, optional=True, default=64, doc="Invariants of each atom."),
            Argument("npass", int, optional=True, default=1, doc="Passes between atoms."),
        ]

    def __init__(self, config: dict, ntypes: int, init: Initializer):
        super().__init__()
        self.lmax = config["lmax"]
        self.nchannels = config["nchannel"]
        self.nscalars = config["nscalar"]
        self._ntypes = ntypes
        self._environment = Environment(config, self.lmax, ntypes, init.dtype)
        self._passes = [_Pass(config, ntypes, init, first=i == 0) for i in range(config["npass"])]

    def __call__(self, atype, pairs: Pairs) -> AtomFeatures:
        environment = self._environment(atype, pairs)
        one_hot = tf.one_hot(atype, self._ntypes, dtype=environment[0].dtype)
        features = None
        for step in self._passes:
            features = step(one_hot, pairs, environment, features)
        return features


class _Pass(tf.Module):
    """One pass: gather from the neighbours, multiply, update the invariants, gate."""

    def __init__(self, config: dict, ntypes: int, init: Initializer, first: bool):
        super().__init__()
        self._lmax, self._nchannels = lmax, nchannels = config["lmax"], config["nchannel"]
        nscalars, neuron = config["nscalar"], config["neuron"]
        width = nchannels * (lmax + 1)
        self._embedding = RadialEmbedding(
            init, config["rcut"], ntypes, neuron, width * (1 if first else 2)
        )
        self._scale_gather = StandardizePerL(init, lmax)
        self._left = LinearPerL(init, lmax, nchannels, nchannels)
        self._right = LinearPerL(init, lmax, nchannels, nchannels)
        self._product = SphereProduct(lmax, init.dtype)
        self._scale_product = StandardizePerL(init, lmax)
        self._mix = LinearPerL(init, lmax, 2 * nchannels, nchannels)
        nin = 2 * width + ntypes + (0 if first else nscalars)
        self._scale_scalars = Standardize(init, nin)
        self._scalars = MLP(init, nin, neuron, nscalars)
        self._gates = Dense(init, nscalars, width)
        self._sender = None if first else Dense(init, nscalars, nchannels)

    def __call__(self, one_hot, pairs: Pairs, environment, before: AtomFeatures | None):
        gathered = self._gather(pairs, environment, before, tf.shape(one_hot)[0])
        product = self._product(self._left(gathered), self._right(gathered))
        both = tf.concat([gathered, self._scale_product(product)], -1)
        known = [_invariants(both, self._lmax), one_hot]
        if before is not None:
            known.append(before.scalars)
        scalars = self._scalars(self._scale_scalars(tf.concat(known, -1)))
        tensors = self._mix(both) * self._gate(scalars)
        if before is not None:
            scalars, tensors = scalars + before.scalars, tensors + before.tensors
        return AtomFeatures(scalars, tensors)

    def _gather(self, pairs, environment, before, natoms):
        rows, distance, type_pair = environment
        radial = self._embedding(distance, type_pair)
        if before is None:
            gathered = gather_messages(radial, rows, pairs, natoms, self._lmax)
        else:
            own, passed = tf.split(radial, 2, -1)
            sent = tf.gather(self._sender(before.scalars), pairs.atom)
            carried = rows[:, :, None] * sent[:, None, :]
            gathered = gather_messages(own, carried, pairs, natoms, self._lmax)
            # rows[:, 0] = s(r) takes the neighbour's tensors smoothly to zero at the cut-off.
            tensors = tf.gather(before.tensors, pairs.atom) * rows[:, :1, None]
            gathered += gather_messages(passed, tensors, pairs, natoms, self._lmax)
        return self._scale_gather(gathered)

    def _gate(self, scalars):
        gates = tf.reshape(self._gates(tf.nn.silu(scalars)), [-1, self._lmax + 1, self._nchannels])
        return 1 + per_lm(gates, self._lmax, axis=1)


def _invariants(features, lmax: int):
    """The l = 0 features and the norms of the others: (n, (lmax + 1) m)."""
    norms = tf.math.log1p(norms_per_l(features, lmax)[:, 1:])
    invariants = tf.concat([features[:, :1], norms], 1)
    return tf.reshape(invariants, [-1, (lmax + 1) * features.shape[-1]])
