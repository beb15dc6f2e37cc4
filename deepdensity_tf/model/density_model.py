"""The Deep Density model."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deepdensity_tf.data.sampler import Sample
from deepdensity_tf.descriptor import DESCRIPTORS, AtomFeatures, Pairs, Species
from deepdensity_tf.fit import FITTINGS, FittingContext
from deepdensity_tf.model.augmentation import AugmentationHead, PredictedOccupancies
from deepdensity_tf.model.electrons import MissingCharge
from deepdensity_tf.model.initial_magmom import (
    InitialMoments,
    both_pairs,
    channels_of_both,
    even,
    occupancies_of_both,
)
from deepdensity_tf.utils.nn import Initializer, TypeEmbedding
from deepdensity_tf.utils.ops import expansion, neighbor_list
from deepdensity_tf.utils.paw_blocks import channels_from
from deepdensity_tf.utils.radial import RadialGrid
from deepdensity_tf.utils.signed_types import signs


class Batch(NamedTuple):
    """Frames of any size, one after the other, told apart by splits."""

    coord: tf.Tensor  # (natoms, 3) float64, Å
    coord_splits: tf.Tensor  # (nframes + 1,) int32
    atype: tf.Tensor  # (natoms,) int32; with initial moments as utils.signed_types has them
    box: tf.Tensor  # (nframes, 9) float64, Å; zeros: not periodic
    point: tf.Tensor  # (npoints, 3) float64, Å
    point_splits: tf.Tensor  # (nframes + 1,) int32

    @classmethod
    def of(cls, sample: Sample) -> Batch:
        """What the model is given of a sample."""
        return cls(**{name: getattr(sample, name) for name in cls._fields})


class AtomState(NamedTuple):
    """All that points need to know of the atoms: computed once per frame."""

    coef: tf.Tensor  # (natoms, ndensity, nspline, nlm)
    # With initial moments those of both signs, one after the other: 2 natoms.
    scalars: tf.Tensor  # (natoms, nscalars)
    tensors: tf.Tensor  # (nlm, natoms, nchannels)
    electrons: tf.Tensor  # (nframes,) float64, integral of the tables before any correction


class DensityModel(tf.Module):
    """rho(r) = sum over atoms within rcut_point of rho_i(r).

    Parameters
    ----------
    config : dict
        The `model` section of the input, completed.
    seed : int
        Seed of the initial weights.

    References
    ----------
    Zepeda-Nunez et al., J. Comput. Phys. 443, 110523 (2021).
    """

    def __init__(self, config: dict, seed: int = 1):
        super().__init__()
        # A read-only view: tf.Module would replace the entries of a plain dict by its wrappers.
        self.config = MappingProxyType(config)
        self.type_map = tuple(config["type_map"])
        self.ndensity = 2 if config["spin"] else 1
        self.grid = RadialGrid(config["rcut_point"], config["nspline"])
        self.dtype = tf.as_dtype(config["precision"])
        init = Initializer(seed, self.dtype)
        ntypes = len(self.type_map)
        self.rcut = config["descriptor"]["rcut"]
        self.types = TypeEmbedding(init, ntypes, config["tebd_dim"])
        self.descriptor = DESCRIPTORS[config["descriptor"]["type"]](
            config["descriptor"], config["tebd_dim"], init
        )
        self.moments = None
        if config["initial_magmom"]:
            self.moments = InitialMoments(init, ntypes, config["tebd_dim"])
        context = FittingContext(
            ntypes=ntypes,
            tebd_dim=config["tebd_dim"],
            nscalars=self.descriptor.nscalars,
            nchannels=self.descriptor.nchannels,
            lmax=self.descriptor.lmax,
            ndensity=self.ndensity,
            grid=self.grid,
            init=init,
        )
        self.fitting = FITTINGS[config["fitting_net"]["type"]](config["fitting_net"], context)
        self.missing_charge = None
        if config["electrons"]:
            self.missing_charge = MissingCharge(
                config["electrons"], self.descriptor.nscalars, config["tebd_dim"], self.grid, init
            )
        self.augmentation = None
        if config["augmentation"]:
            channels = channels_from(config["augmentation"], "model.augmentation")
            self.augmentation = AugmentationHead(channels, self.type_map, context)
        shape = (ntypes, self.ndensity, self.grid.nspline)
        self.baseline = tf.Variable(np.zeros(shape), dtype=tf.float64, trainable=False)
        self.scale = tf.Variable(np.ones(self.ndensity), dtype=tf.float64, trainable=False)
        # Atoms, and frames that hold them, of each type in the training data.
        self.seen = tf.Variable(np.zeros((ntypes, 2), np.int64), trainable=False)

    @property
    def nparameters(self) -> int:
        """Trainable numbers."""
        return int(sum(np.prod(v.shape) for v in self.trainable_variables))

    def atom_state(self, coord, coord_splits, atype, box) -> AtomState:
        """The atoms' own work: descriptor and coefficients (see Batch for the arguments)."""
        pairs = Pairs(
            *neighbor_list(coord, coord_splits, coord, coord_splits, box, self.rcut, skip_self=True)
        )
        species = self._species(atype)
        features, coef = self._coefficients(species, pairs)
        coef = self._with_baseline(coef, species)
        frame, nframes = _frames_of_atoms(coord_splits)
        electrons = tf.math.unsorted_segment_sum(self._charges(coef), frame, nframes)
        if self.missing_charge is not None:
            scalars = features.scalars if self.moments is None else even(features.scalars)
            added = self.missing_charge(electrons, scalars, species, frame, nframes)
            added = tf.cast(added, self.dtype)[:, None, :, None]
            coef += tf.pad(added, [[0, 0], [0, self.ndensity - 1], [0, 0], [0, coef.shape[3] - 1]])
        return AtomState(coef, features.scalars, features.tensors, electrons)

    def occupancies(self, state: AtomState, atype) -> PredictedOccupancies | None:
        """PAW occupancies of the atoms; None where the model has none."""
        if self.augmentation is None:
            return None
        species, features = self._species(atype), AtomFeatures(state.scalars, state.tensors)
        if self.moments is None:
            return self.augmentation(features, species)
        found = self.augmentation(features, self.moments.both(species))
        mean = tf.gather(self.augmentation.mean, species.index)
        return occupancies_of_both(found, mean, species.sign)

    def _charges(self, coef):
        """Electrons of each atom, (natoms,) float64, exact without a grid: only the spherical part
        of the first channel holds any."""
        return tf.linalg.matvec(
            tf.cast(coef[:, 0, :, 0], tf.float64), tf.constant(self.grid.integrals())
        )

    def _species(self, atype) -> Species:
        if self.moments is None:
            return Species(atype, self.types(atype), tf.zeros_like(atype))
        ntypes = len(self.type_map)
        element = atype % ntypes
        return Species(element, self.types(element), signs(atype, ntypes))

    def _coefficients(self, species: Species, pairs: Pairs):
        """Features of the atoms, and what the fitting makes of them."""
        if self.moments is None:
            features = self.descriptor(species, pairs)
            return features, self.fitting.coefficients(features, species)
        both = self.moments.both(species)
        features = self.descriptor(both, both_pairs(pairs, tf.shape(species.index)[0]))
        return features, channels_of_both(self.fitting.coefficients(features, both), species.sign)

    def _with_baseline(self, coef, species: Species):
        """Coefficients of the density from those of the fitting: in its units, on the baseline."""
        baseline = tf.gather(self.baseline, species.index)
        if self.moments is not None:  # of the spin: for a moment that is up
            sign = tf.cast(species.sign, baseline.dtype)[:, None, None]
            baseline = tf.concat([baseline[:, :1], sign * baseline[:, 1:]], 1)
        baseline = tf.cast(baseline, self.dtype)[..., None]
        if coef is None:
            return baseline
        # Added to all (l, m): taking the first ones out costs more, above all in the gradient.
        baseline = tf.pad(baseline, [[0, 0], [0, 0], [0, 0], [0, coef.shape[3] - 1]])
        return tf.cast(self.scale, self.dtype)[:, None, None] * coef + baseline

    def first_moments(self, state: AtomState, coord, coord_splits):
        """First moments of isolated frames about the mean positions of their atoms, e Å.

        Exact without a grid, (nframes, 3) float64; of a fitting that has coefficients for all.
        """
        frame, nframes = _frames_of_atoms(coord_splits)
        centre = tf.math.unsorted_segment_mean(coord, frame, nframes)
        vectors = tf.cast(state.coef[:, 0, :, 1:4], tf.float64)
        own = tf.einsum("iky,k->iy", vectors, tf.constant(self.grid.moments()))
        of_atoms = self._charges(state.coef)[:, None] * (coord - tf.gather(centre, frame)) + own
        return tf.math.unsorted_segment_sum(of_atoms, frame, nframes)

    def point_density(self, state: AtomState, batch: Batch):
        """Density channels (npoints, ndensity) float64 at the batch's points, electrons/Å^3."""
        pairs = Pairs(
            *neighbor_list(
                batch.point,
                batch.point_splits,
                batch.coord,
                batch.coord_splits,
                batch.box,
                self.grid.rcut,
            )
        )
        npoints = tf.shape(batch.point)[0]
        density = expansion(
            -pairs.disp, pairs.center, pairs.atom, state.coef, self.grid.parameters, npoints
        )
        density = tf.ensure_shape(density, [None, self.ndensity])
        features = AtomFeatures(state.scalars, state.tensors)
        parts = self.fitting.contributions(features, self._species(batch.atype), pairs)
        if parts is not None:
            summed = tf.math.unsorted_segment_sum(tf.cast(parts, tf.float64), pairs.center, npoints)
            density += self.scale * summed
        return density

    def __call__(self, batch: Batch):
        state = self.atom_state(batch.coord, batch.coord_splits, batch.atype, batch.box)
        return self.point_density(state, batch)


def _frames_of_atoms(coord_splits):
    """Which frame each atom is of, (natoms,) int32, and how many frames there are."""
    nframes = tf.shape(coord_splits)[0] - 1
    return tf.repeat(tf.range(nframes), coord_splits[1:] - coord_splits[:-1]), nframes
