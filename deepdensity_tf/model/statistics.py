"""What a model learns from the data before training: baseline, scales, feature sizes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from deepdensity_tf.baseline import BASELINES
from deepdensity_tf.data.sampler import Sample
from deepdensity_tf.descriptor.base import Standardize, StandardizePerL
from deepdensity_tf.model.density_model import Batch, DensityModel
from deepdensity_tf.utils.ops import neighbor_list


def initialise_statistics(model: DensityModel, sample: Sample) -> None:
    """Set baseline, density scale and feature scales of a fresh model.

    Parameters
    ----------
    model : DensityModel
        Changed in place.
    sample : Sample
        Frames and points that stand for the training data.
    """
    config = model.config["baseline"]
    baseline = BASELINES[config["type"]](config)
    root = np.sqrt(sample.weight)[:, None]
    design = _spherical_design(model, sample)
    coef = baseline.fit(model.grid, root * design, root * sample.density)
    model.baseline.assign(coef)
    _set_scale(model, sample, design @ coef.transpose(0, 2, 1).reshape(design.shape[1], -1))
    _adapt(model, sample)


def _spherical_design(model: DensityModel, sample: Sample) -> np.ndarray:
    """Sum over the atoms of each type of every spline at the points: (npoints, ntypes nspline)."""
    center, atom, disp = neighbor_list(
        sample.point,
        sample.point_splits,
        sample.coord,
        sample.coord_splits,
        sample.box,
        model.grid.rcut,
    )
    ntypes, nspline = len(model.type_map), model.grid.nspline
    values = model.grid.values(np.linalg.norm(disp.numpy(), axis=1))
    atype = sample.atype[atom.numpy()]
    design = np.zeros((len(sample.point), ntypes, nspline))
    np.add.at(design, (center.numpy(), atype), values)
    return design.reshape(len(sample.point), -1)


def _set_scale(model: DensityModel, sample: Sample, baseline: np.ndarray) -> None:
    """Density scale: what the baseline leaves, where there is density."""
    left = np.abs(sample.density - baseline)
    weight = (sample.weight * np.abs(sample.density[:, 0]))[:, None]
    model.scale.assign((weight * left).sum(0) / weight.sum() + 1e-12)


def _adapt(model: DensityModel, sample: Sample) -> None:
    """Feature scales, from one eager pass over the sample's atoms."""
    layers = [m for m in model.submodules if isinstance(m, (Standardize, StandardizePerL))]
    for layer in layers:
        layer.adapt = True
    batch = Batch(*(tf.constant(x) for x in sample[: len(Batch._fields)]))
    model.atom_state(batch.coord, batch.coord_splits, batch.atype, batch.box)
    for layer in layers:
        layer.adapt = False
