"""Error of the density at sampled points, each frame weighing the same."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
from dargs import Argument

from deepdensity_tf.utils.bounds import NOT_NEGATIVE


class FrameErrors(NamedTuple):
    """Errors of each frame, (nframes,) float64."""

    absolute: tf.Tensor  # sum |error| / sum |reference|
    squared: tf.Tensor  # mean squared error / (mean reference)^2
    charge: tf.Tensor  # relative error of the integrated charge, exact where that is known
    spin: tf.Tensor  # sum |error of spin density| / sum |reference density|
    # Mean over the atoms of |error of the PAW occupancies| / their spread in the data; 0 without
    augmentation: tf.Tensor
    # |error of the first moment| / electrons, 1/Å; 0 where it is not known
    dipole: tf.Tensor


def arguments() -> list[Argument]:
    """The keys of the `loss` section."""
    return [
        Argument(
            "pref_abs",
            float,
            optional=True,
            default=1.0,
            doc="Prefactor of the absolute error, relative to the mean density of the frame.",
            **NOT_NEGATIVE,
        ),
        Argument(
            "pref_sq",
            float,
            optional=True,
            default=0.0,
            doc="Prefactor of the squared error, relative to the squared mean density.",
            **NOT_NEGATIVE,
        ),
        Argument(
            "pref_charge",
            float,
            optional=True,
            default=0.0,
            doc="Prefactor of the relative error of the integrated charge, which is exact with "
            "fitting type expansion on full grids, else that of the points.",
            **NOT_NEGATIVE,
        ),
        Argument(
            "pref_dipole",
            float,
            optional=True,
            default=0.0,
            doc="Prefactor of the error of the dipole moment in e Å, relative to the number of "
            "electrons; of isolated frames on full grids, with fitting type expansion.",
            **NOT_NEGATIVE,
        ),
        Argument(
            "pref_spin",
            float,
            optional=True,
            default=1.0,
            doc="Prefactor of the absolute error of the spin density; only with spin.",
            **NOT_NEGATIVE,
        ),
        Argument(
            "pref_aug",
            float,
            optional=True,
            default=0.1,
            doc="Prefactor of the error of the PAW occupancies, relative to their spread over the "
            "data: the mean over atoms of the norm; only with augmentation.",
            **NOT_NEGATIVE,
        ),
    ]


class DensityLoss:
    """Mix of absolute, squared and charge error, averaged over frames.

    Parameters
    ----------
    config : dict
        The `loss` section of the input, completed.
    """

    def __init__(self, config: dict):
        self._config = config

    def errors(
        self, predicted, sample, electrons=None, occupancies=None, moments=None
    ) -> FrameErrors:
        """Errors of each frame of a batch.

        Parameters
        ----------
        predicted : tf.Tensor
            (npoints, ndensity) float64, electrons/Å^3.
        sample : Sample
            The batch with its reference and weights.
        electrons : tf.Tensor, optional
            (nframes,) exact integrals of the model.
        occupancies : PredictedOccupancies, optional
            Those of the model.
        moments : tf.Tensor, optional
            (nframes, 3) first moments of the model.
        """
        splits = tf.cast(sample.point_splits, tf.int64)
        nframes = tf.shape(splits)[0] - 1
        frame = tf.repeat(tf.range(nframes), splits[1:] - splits[:-1])

        def mean(values):
            return tf.math.segment_sum(sample.weight * values, frame)

        difference = predicted - sample.density
        reference = mean(tf.abs(sample.density[:, 0])) + 1e-30
        spin = mean(tf.abs(difference[:, 1])) if predicted.shape[1] == 2 else 0 * reference
        charge = tf.abs(mean(difference[:, 0])) / reference
        if electrons is not None:
            known = sample.electrons > 0
            wanted = tf.where(known, sample.electrons, tf.ones_like(reference))
            charge = tf.where(known, tf.abs(electrons - wanted) / wanted, charge)
        return FrameErrors(
            absolute=mean(tf.abs(difference[:, 0])) / reference,
            squared=mean(difference[:, 0] ** 2) / reference**2,
            charge=charge,
            spin=spin / reference,
            augmentation=_occupancy_errors(occupancies, sample, 0 * reference),
            dipole=_dipole_errors(moments, sample, 0 * reference),
        )

    def __call__(self, errors: FrameErrors):
        """The loss of a batch, a scalar."""
        factors = (
            (self._config["pref_abs"], errors.absolute),
            (self._config["pref_sq"], errors.squared),
            (self._config["pref_charge"], errors.charge),
            (self._config["pref_spin"], errors.spin),
            (self._config["pref_aug"], errors.augmentation),
            (self._config["pref_dipole"], errors.dipole),
        )
        return tf.reduce_mean(sum(factor * error for factor, error in factors if factor))


def _dipole_errors(moments, sample, zeros):
    """Of each frame, where both the moment and the number of electrons are known."""
    if moments is None:
        return zeros
    known = tf.math.is_finite(sample.first_moment[:, 0]) & (sample.electrons > 0)
    difference = tf.where(known[:, None], moments - sample.first_moment, 0.0)
    # The root has no derivative at 0.
    norm = tf.sqrt(tf.reduce_sum(difference**2, 1) + 1e-12)
    return tf.where(known, norm / tf.where(known, sample.electrons, 1.0), 0.0)


def _occupancy_errors(occupancies, sample, zeros):
    """Of each frame: mean over its atoms that have labels, and over their sets, of the norm."""
    if occupancies is None:
        return zeros
    known = tf.math.is_finite(sample.augmentation)
    difference = tf.where(known, occupancies.values - sample.augmentation, 0.0)
    # The root has no derivative at 0, where atoms without labels are.
    norm = tf.sqrt(tf.reduce_sum(difference**2, 2) / occupancies.unit**2 + 1e-12)
    labelled = tf.cast(tf.reduce_any(known, 2), tf.float64)
    splits = sample.coord_splits
    frame = tf.repeat(tf.range(tf.shape(splits)[0] - 1), splits[1:] - splits[:-1])

    def total(values):
        summed = tf.math.unsorted_segment_sum(values, frame, tf.shape(zeros)[0])
        return tf.reduce_sum(summed, 1)

    return total(labelled * norm) / tf.maximum(total(labelled), 1.0)
