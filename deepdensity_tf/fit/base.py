"""What all fittings share.

A fitting turns the features of an atom into its contribution to the density, in either of two ways,
or both:

coefficients(features, species)
    Per-atom coefficients (natoms, nchannel, nspline, nlm) of the radial grid's splines times solid
    harmonics; the native op sums them over points.
contributions(features, species, pairs)
    Values (npairs, nchannel) for pairs of a point and an atom, for nets without such a form.

Either may return None; the class attribute `per_pair` says whether a net runs for every pair.
`pairs.center` is the point here and `pairs.disp` points to the atom.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from deepdensity_tf.descriptor import AtomFeatures, Pairs
from deepdensity_tf.utils.nn import Initializer
from deepdensity_tf.utils.ops import harmonics
from deepdensity_tf.utils.plugin import Registry
from deepdensity_tf.utils.radial import RadialGrid

FITTINGS = Registry("fitting net")


@dataclass(frozen=True)
class FittingContext:
    """What a fitting must know of the rest of the model."""

    ntypes: int
    tebd_dim: int  # numbers that stand for a type (descriptor.Species.vector)
    nscalars: int
    nchannels: int
    lmax: int
    ndensity: int  # density channels: 1, or 2 with spin
    grid: RadialGrid
    init: Initializer


@dataclass(frozen=True)
class PointGeometry:
    """The geometry of pairs of a point and an atom, in the precision of the nets."""

    distance: tf.Tensor  # (npairs,), Å, softened at the nucleus
    switch: tf.Tensor  # (npairs,), 1 near the atom, smoothly 0 at the cut-off
    harmonics: tf.Tensor  # (npairs, nlm) of the softened direction from atom to point


def point_geometry(pairs: Pairs, grid: RadialGrid, lmax: int, dtype: tf.DType) -> PointGeometry:
    """Softened distance, cut-off switch and solid harmonics of point-atom pairs.

    The softening makes all of them smooth functions of the point where it meets a nucleus.
    """
    square = tf.reduce_sum(pairs.disp**2, 1)
    distance = tf.sqrt(square + grid.soft**2)
    # (1 - r^2/rcut^2)^3 has two continuous derivatives at the cut-off.
    switch = tf.maximum(1 - square / grid.rcut**2, 0.0) ** 3
    values = harmonics(-pairs.disp / distance[:, None], lmax)
    return PointGeometry(
        tf.cast(distance - grid.soft, dtype), tf.cast(switch, dtype), tf.cast(values, dtype)
    )


def point_invariants(features: AtomFeatures, pairs: Pairs, geometry: PointGeometry, lmax: int):
    """T_l . S_l(u) for each l and channel: what the cluster looks like from the point.

    Returns
    -------
    tf.Tensor
        (npairs, (lmax + 1) nchannels).
    """
    around = tf.gather(features.tensors, pairs.atom, axis=1)
    around *= tf.transpose(geometry.harmonics)[:, :, None]
    parts = [
        tf.reduce_sum(around[angular**2 : (angular + 1) ** 2], 0) for angular in range(lmax + 1)
    ]
    return tf.concat(parts, -1)
