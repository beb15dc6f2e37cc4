"""What a model takes from the data before training: baseline, scales, sizes of features.

A pass over a sample of the frames, one frame at a time, so that memory does not grow with the data:
sums are kept (moments, normal equations), never points or features of all frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from deepdensity_tf.baseline import BASELINES
from deepdensity_tf.data.sampler import Sample
from deepdensity_tf.model.density_model import Batch, DensityModel
from deepdensity_tf.utils.ops import neighbor_list
from deepdensity_tf.utils.scale import MomentTape, Scale
from deepdensity_tf.utils.signed_types import signs

log = logging.getLogger(__name__)

_ATOMS = 2000  # of the frames whose features are measured
_ATOMS_AT_ONCE = 200
_FEW_ATOMS = 10
# The spin scale is at least this share of the density's: frames may happen to be closed-shell.
_LEAST_SPIN = 0.1

_ATOM_SIGNATURE = (
    tf.TensorSpec([None, 3], tf.float64),
    tf.TensorSpec([None], tf.int32),
    tf.TensorSpec([None], tf.int32),
    tf.TensorSpec([None, 9], tf.float64),
)


def initialise_statistics(
    models: Sequence[DensityModel], count: int, draw: Callable[[int], Sample]
) -> None:
    """Set baseline, density scale and feature scales of fresh models.

    Parameters
    ----------
    models : sequence of DensityModel
        Those that learn side by side and differ in their weights alone; changed in place.
    count : int
        Frames that stand for the training data.
    draw : callable
        Gives frame 0 ... count - 1 with points, the same whenever it is asked.
    """
    first, *others = models
    fit_baseline(first, count, draw)
    fit_occupancies(first, count, draw)
    for model in others:
        _take_from_data(model, first)
    for model in models:
        _fit_features(model, count, draw)


def _take_from_data(model: DensityModel, other: DensityModel) -> None:
    """What the data alone say, of a model that has it: no weights take part."""
    pairs = [(model.baseline, other.baseline), (model.scale, other.scale)]
    if model.augmentation is not None:
        for name in ("mean", "scale", "unit"):
            pairs.append((getattr(model.augmentation, name), getattr(other.augmentation, name)))
    for variable, known in pairs:
        variable.assign(known)


def fit_occupancies(model: DensityModel, count: int, draw: Callable[[int], Sample]) -> None:
    """Set means and spreads of the PAW occupancies of elements that have none yet.

    Where the model has occupancies; those of elements that it was trained on stay.
    """
    if model.augmentation is not None:
        samples = [draw(index) for index in range(count)]
        atype = np.concatenate([sample.atype for sample in samples])
        labels = np.concatenate([sample.augmentation for sample in samples])
        if model.moments is not None:  # of the spin: as if each moment were up
            sign = signs(atype, len(model.type_map))[:, None, None]
            labels = np.concatenate([labels[:, :1], sign * labels[:, 1:]], 1)
        model.augmentation.fit(atype % len(model.type_map), labels)


def fit_baseline(model: DensityModel, count: int, draw: Callable[[int], Sample]) -> None:
    """Fit the baseline to frames, and the density scale to what it leaves (see above)."""
    model.baseline.assign(_least_squares(model, map(draw, range(count))))
    atoms = np.zeros(len(model.type_map), dtype=int)
    left = np.zeros(model.ndensity)
    flat = model.baseline.numpy().transpose(0, 2, 1).reshape(-1, model.ndensity)
    for sample in map(draw, range(count)):
        atoms += np.bincount(sample.atype % len(atoms), minlength=len(atoms))
        designs = _spherical_designs(model, sample)
        parts = np.split(flat, len(designs), axis=1)
        found = [design @ part for design, part in zip(designs, parts, strict=True)]
        error = np.abs(sample.density - np.concatenate(found, 1))
        # What the baseline leaves where there is density, each frame relative to its own.
        weight = (sample.weight * np.abs(sample.density[:, 0]))[:, None]
        left += (weight * error).sum(0) / max(weight.sum(), 1e-30)
    scale = left / count + 1e-12
    model.scale.assign(np.maximum(scale, np.r_[0, [_LEAST_SPIN * scale[0]] * (len(scale) - 1)]))
    few = [f"{e} {n}" for e, n in zip(model.type_map, atoms, strict=True) if 0 < n < _FEW_ATOMS]
    log.info("statistics: %d frames, %d atoms", count, atoms.sum())
    if few:
        log.warning(
            "statistics: few atoms of some elements (%s): expect larger errors", ", ".join(few)
        )


def shift_baseline(model: DensityModel, count: int, draw: Callable[[int], Sample]) -> None:
    """Fit to the baseline what the model as a whole leaves of frames (see above).

    A model from elsewhere then has no systematic error of an element, and elements that are new
    to it get their atomic densities; nets and scales stay.
    """

    def left(index: int) -> Sample:
        sample = draw(index)
        return sample._replace(density=sample.density - model(Batch.of(sample)).numpy())

    model.baseline.assign(model.baseline + _least_squares(model, map(left, range(count))))
    log.info("baseline: fitted to what the model leaves of %d frames", count)


def _least_squares(model: DensityModel, samples: Iterable[Sample]) -> np.ndarray:
    """Baseline (ntypes, ndensity, nspline) of the model's kind, fitted to samples."""
    size = len(model.type_map) * model.grid.nspline
    count = 1 if model.moments is None else model.ndensity
    equations = [_NormalEquations(size, model.ndensity // count) for _ in range(count)]
    for sample in samples:
        designs = _spherical_designs(model, sample)
        densities = np.split(sample.density, count, axis=1)
        for one, design, density in zip(equations, designs, densities, strict=True):
            one.add(design, sample.weight, density)
    config = model.config["baseline"]
    baseline = BASELINES[config["type"]](config)
    return np.concatenate([baseline.fit(model.grid, e.matrix, e.right) for e in equations], 1)


class _NormalEquations:
    """D^T W D and D^T W y of weighted least squares, summed frame by frame."""

    def __init__(self, size: int, ndensity: int):
        from scipy.sparse import csr_array

        self.matrix = csr_array((size, size))
        self.right = np.zeros((size, ndensity))

    def add(self, design, weight: np.ndarray, density: np.ndarray) -> None:
        """Add a frame: its design matrix (npoints, size), sparse, weights and densities."""
        weighted = design.multiply(weight[:, None]).tocsr().T
        self.matrix = self.matrix + weighted @ design
        self.right += weighted @ density


def _spherical_designs(model: DensityModel, sample: Sample) -> list:
    """Sum over the atoms of each type of every spline: sparse (npoints, ntypes nspline).

    One for all channels; with initial moments one for each, that of the spin with the signs.
    """
    from scipy.sparse import csr_array

    center, atom, disp = neighbor_list(
        sample.point,
        sample.point_splits,
        sample.coord,
        sample.coord_splits,
        sample.box,
        model.grid.rcut,
    )
    values = model.grid.design(np.linalg.norm(disp.numpy(), axis=1)).tocoo()
    ntypes = len(model.type_map)
    center, atype = center.numpy(), sample.atype[atom.numpy()].astype(np.int64)
    column = (atype % ntypes)[values.row] * model.grid.nspline + values.col
    data = [values.data]
    if model.moments is not None:
        data.append(values.data * signs(atype, ntypes)[values.row])
    shape = (len(sample.point), ntypes * model.grid.nspline)
    return [csr_array((x, (center[values.row], column)), shape=shape) for x in data]


def _fit_features(model: DensityModel, count: int, draw: Callable[[int], Sample]) -> None:
    """Fit every scale in turn, since what reaches it depends on those before."""
    batches = _atoms_of_frames(count, draw)
    scales: list[Scale] = []

    @tf.function(input_signature=_ATOM_SIGNATURE, autograph=False)
    def moments(*atoms):
        with MomentTape() as tape:
            model.atom_state(*atoms)
        scales[:] = tape.moments
        return list(tape.moments.values())

    moments.get_concrete_function()
    natoms = [len(atoms[0]) for atoms in batches]
    for index, scale in enumerate(scales):
        of_batches = [moments(*atoms)[index].numpy() for atoms in batches]
        scale.fit(np.average(of_batches, axis=0, weights=natoms))


def _atoms_of_frames(count: int, draw: Callable[[int], Sample]) -> list[tuple[np.ndarray, ...]]:
    """Positions, splits, types and boxes of frames, some together up to a number of atoms."""
    batches: list[tuple[np.ndarray, ...]] = []
    group: list[Sample] = []
    natoms = 0
    for index in range(count):
        if natoms < _ATOMS:
            group.append(draw(index))
            natoms += len(group[-1].coord)
        if group and (index == count - 1 or sum(len(s.coord) for s in group) >= _ATOMS_AT_ONCE):
            splits = np.cumsum([0, *(len(sample.coord) for sample in group)]).astype(np.int32)
            joined = [
                np.concatenate([getattr(s, k) for s in group]) for k in ("coord", "atype", "box")
            ]
            batches.append((joined[0], splits, *joined[1:]))
            group = []
    return batches
