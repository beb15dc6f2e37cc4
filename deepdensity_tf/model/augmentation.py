"""PAW occupancies of the atoms from their features: the second half of a PAW code's density."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deepdensity_tf.descriptor import AtomFeatures, Species
from deepdensity_tf.fit import FittingContext
from deepdensity_tf.utils.nn import MLP, GroupedLinearPerL, per_lm
from deepdensity_tf.utils.paw_blocks import Channels, blocks_of, count_of
from deepdensity_tf.utils.spherical import native_order

log = logging.getLogger(__name__)

_NEURON = (64,)  # layers of the gate net
# A set of the spin is in units of at least this share of the set of all: frames may happen to be
# closed-shell.
_LEAST_SPIN = 0.1


class PredictedOccupancies(NamedTuple):
    """What the head says of the atoms."""

    values: tf.Tensor  # (natoms, nset, width) float64, NaN behind the numbers of an element
    unit: tf.Tensor  # (natoms, nset) float64: spread of the norm of the numbers of an element


class AugmentationHead(tf.Module):
    """B_{i,bLM} = mean_{t,b} + scale_{t,b} (1 + g_{Lb}(x_i)) sum_k W^{(t,L)}_{bk} Y_{i,LMk}.

    One vector of order L for each block b of an atom of type t: its features of that order, mixed
    over channels by a matrix of its type and gated by its invariants, which alone add to L = 0. The
    mean over the training data is that of L = 0; of the other orders it vanishes, since no
    direction is special.

    Parameters
    ----------
    channels : Channels
        What the numbers are; an element without has none.
    type_map : sequence of str
        Elements, in the order of the types.
    context : FittingContext
        What the model has for it; `ndensity` sets: the total and, with spin, up minus down.
    """

    def __init__(self, channels: Channels, type_map: Sequence[str], context: FittingContext):
        super().__init__()
        self.channels, self.nset, self.width = channels, context.ndensity, channels.width
        self._type_map = tuple(type_map)
        self._lmax, init = context.lmax, context.init
        lists = [tuple(channels.of.get(element, ())) for element in type_map]
        # Of all channels, in the type map or not: shapes are those of models of other elements.
        self._nblock = max(
            _degrees(ls).count(d) for ls in channels.of.values() for d in range(self._lmax + 1)
        )
        self._places = np.stack([self._places_of(of_type) for of_type in lists])
        self._tell_of_high_orders(lists, type_map)
        nout = self._nblock * self.nset
        shape = (len(type_map), self._lmax + 1, context.nchannels, nout)
        matrices = init.normal(shape, 1 / np.sqrt(context.nchannels), "occupancies")
        self._linear = GroupedLinearPerL(self._lmax, matrices)
        self._gates = MLP(
            init, context.nscalars + context.tebd_dim, _NEURON, nout * (self._lmax + 2)
        )
        filled = np.arange(self.width) < np.array([count_of(ls) for ls in lists])[:, None]
        mean = np.repeat(np.where(filled, 0.0, np.nan)[:, None], self.nset, 1)
        self.mean = tf.Variable(mean, dtype=tf.float64, trainable=False)
        self.scale = tf.Variable(np.ones_like(mean), dtype=tf.float64, trainable=False)
        self.unit = tf.Variable(np.ones(mean.shape[:2]), dtype=tf.float64, trainable=False)

    def _places_of(self, channels: tuple[int, ...]) -> np.ndarray:
        """Where each number of an atom stands among the outputs (nlm, nblock); last: nowhere."""
        nowhere = (self._lmax + 1) ** 2 * self._nblock
        places = np.full(self.width, nowhere)
        seen = [0] * (self._lmax + 1)
        for block in blocks_of(channels):
            if block.degree > self._lmax:
                continue
            lm = block.degree**2 + native_order(block.degree)
            places[block.part] = lm * self._nblock + seen[block.degree]
            seen[block.degree] += 1
        return places

    def _tell_of_high_orders(self, lists, type_map) -> None:
        for channels, element in zip(lists, type_map, strict=True):
            high = [degree for degree in _degrees(channels) if degree > self._lmax]
            if high:
                log.warning(
                    "model.augmentation: %d blocks of %s have orders up to %d, above "
                    "descriptor.lmax = %d: they are left at their mean, 0",
                    len(high),
                    element,
                    max(high),
                    self._lmax,
                )

    def __call__(self, features: AtomFeatures, species: Species) -> PredictedOccupancies:
        linear = self._linear(features.tensors, species.index)
        gates = self._gates(tf.concat([features.scalars, species.vector], 1))
        gates = tf.transpose(tf.reshape(gates, [-1, self._lmax + 2, linear.shape[2]]), [1, 0, 2])
        values = linear * (1 + per_lm(gates[1:], self._lmax))
        values = tf.concat([values[:1] + gates[:1], values[1:]], 0)
        nlm = (self._lmax + 1) ** 2
        values = tf.reshape(values, [nlm, -1, self.nset, self._nblock])
        values = tf.reshape(tf.transpose(values, [1, 2, 0, 3]), [-1, self.nset, nlm * self._nblock])
        values = tf.pad(values, [[0, 0], [0, 0], [0, 1]])
        places = tf.gather(tf.constant(self._places, tf.int32), species.index)
        values = tf.gather(tf.cast(values, tf.float64), places, axis=2, batch_dims=1)
        scale, mean = (tf.gather(x, species.index) for x in (self.scale, self.mean))
        return PredictedOccupancies(mean + scale * values, tf.gather(self.unit, species.index))

    def fit(self, atype: np.ndarray, labels: np.ndarray) -> None:
        """Set means, scales and units from labels, of elements that have none yet.

        Parameters
        ----------
        atype : np.ndarray
            (natoms,) types.
        labels : np.ndarray
            (natoms, nset, width), NaN behind the numbers of an element and for atoms without.
        """
        mean, scale, unit = (x.numpy() for x in (self.mean, self.scale, self.unit))
        for index, element in enumerate(self._type_map):
            rows = labels[(atype == index) & np.isfinite(labels[..., 0]).any(1)]
            known = (unit[index] != 1).any() or (scale[index] != 1).any()
            if known or not len(rows):
                continue
            for block in blocks_of(tuple(self.channels.of[element])):
                part = block.part
                if block.degree == 0:
                    mean[index, :, part] = rows[..., part].mean(0)
                deviation = rows[..., part] - mean[index, :, part]
                scale[index, :, part] = np.sqrt((deviation**2).mean((0, 2)))[:, None]
            count = self.channels.count(element)
            unit[index] = np.sqrt((scale[index, :, :count] ** 2).sum(-1))
            unit[index] = np.maximum(unit[index], _LEAST_SPIN * unit[index, 0]) + 1e-12
        for variable, values in ((self.mean, mean), (self.scale, scale), (self.unit, unit)):
            variable.assign(values)


def _degrees(channels: tuple[int, ...]) -> list[int]:
    return [block.degree for block in blocks_of(channels)]
