"""Several models as one: the mean of their densities, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from deepdensity_tf.model.density_model import AtomState, Batch, DensityModel
from deepdensity_tf.utils import ops
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.quadrature import ball

RADIUS = 1.5  # Å, of the regions of atoms over which members are compared

# What members must share, as keys of the model section.
_SHARED = (
    "type_map",
    "rcut_point",
    "nspline",
    "spin",
    "electrons",
    "precision",
    "augmentation",
    "initial_magmom",
)


def check_members(models: Sequence[DensityModel], names: Sequence[str]) -> None:
    """Refuse models whose coefficients cannot be averaged.

    Raises
    ------
    InputError
        A net for each pair, or members that differ in what they must share.
    """
    first = models[0]
    for model, name in zip(models, names, strict=True):
        if model.fitting.per_pair:
            raise InputError(
                f"{name}: fitting type {model.config['fitting_net']['type']} has no "
                "coefficients to average, expected type expansion"
            )
        for key in (*_SHARED, "lmax"):
            found, expected = (_setting(m.config, key) for m in (model, first))
            if found != expected:
                raise InputError(
                    f"{name}: {key} is {found}, expected {expected} as in {names[0]}: members of "
                    "an ensemble differ in their seed, data and nets alone"
                )


def _setting(config, key: str):
    return config["descriptor"].get(key) if key == "lmax" else config[key]


def mean_state(states: Sequence[AtomState]) -> AtomState:
    """What points need of the atoms: the mean of the members' coefficients and electrons."""
    coef = tf.add_n([state.coef for state in states]) / len(states)
    electrons = tf.add_n([state.electrons for state in states]) / len(states)
    return states[0]._replace(coef=coef, electrons=electrons)


def deviation(states: Sequence[AtomState], batch: Batch, parameters: np.ndarray) -> tuple:
    """Spread of the members over the regions of the atoms.

    100 times the integral of sigma over the integral of |rho|, percent: sigma is the standard
    deviation of the members' densities at a point, rho their mean, as in `infer.deviation`.

    Parameters
    ----------
    states : sequence of AtomState
        Of the members, for the same frames of equal numbers of atoms.
    batch : Batch
        The frames.
    parameters : np.ndarray
        `RadialGrid.parameters` of the members.

    Returns
    -------
    tuple of tf.Tensor
        All regions of a frame together (nframes,), each atom's (nframes, natoms); float64.
    """
    offsets, weights = ball(RADIUS)
    around = batch._replace(
        point=tf.reshape(batch.coord[:, None] + offsets, [-1, 3]),
        point_splits=batch.coord_splits * len(weights),
    )
    # The members as channels of one density.
    coef = tf.concat([state.coef[:, :1] for state in states], 1)
    density = tf.reshape(ops.density(around, coef, parameters), [-1, len(weights), len(states)])
    mean = tf.reduce_mean(density, 2, keepdims=True)
    sigma = tf.sqrt(tf.reduce_mean((density - mean) ** 2, 2))
    nframes = tf.shape(batch.coord_splits)[0] - 1
    spread, electrons = (
        tf.reshape(tf.linalg.matvec(values, weights), [nframes, -1])
        for values in (sigma, tf.abs(mean[..., 0]))
    )
    of_frames = tf.reduce_sum(spread, 1) / tf.reduce_sum(electrons, 1)
    return 100 * of_frames, 100 * spread / electrons
