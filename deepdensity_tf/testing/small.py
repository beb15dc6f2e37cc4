"""A small system with a known density, and a small model of it."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np

# A model small enough for a test, with every part of the real one.
SMALL_INPUT = {
    "model": {
        "type_map": ["C", "H"],
        "rcut_point": 3.0,
        "nspline": 24,
        "precision": "float64",
        "descriptor": {
            "type": "equivariant",
            "rcut": 3.5,
            "rcut_smth": 0.5,
            "lmax": 3,
            "neuron": [16],
            "nchannel": 8,
            "nscalar": 16,
            "npass": 2,
        },
        "fitting_net": {"type": "expansion", "neuron": [16], "nradial": 6},
    },
    "training": {
        "training_data": {"systems": "data", "batch_size": 2, "numb_points": 200},
        "numb_models": 1,
        "numb_steps": 20,
        "disp_freq": 5,
        "save_freq": 5,
    },
}


def gaussian_density(points, coord, charges, box=None, width=0.5):
    """Sum of normalised Gaussians at atoms, with periodic images if there is a box."""
    shifts = np.zeros((1, 3))
    if box is not None:
        cells = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
        shifts = cells @ box
    density = np.zeros(len(points))
    for center, charge in zip(coord, charges, strict=True):
        for shift in shifts:
            square = np.sum((points - center - shift) ** 2, 1)
            density += charge * np.exp(-square / (2 * width**2))
    return density / (2 * np.pi * width**2) ** 1.5


def write_small_system(folder: Path, nframes: int = 6, seed: int = 0, pbc: bool = False) -> Path:
    """A displaced CH2-like cluster in a 6 Å box on a 16^3 grid, Gaussian densities."""
    rng = np.random.default_rng(seed)
    box, shape = np.diag([6.0, 6.0, 6.0]), (16, 16, 16)
    rest = np.array([[3.0, 3.0, 3.0], [4.0, 3.2, 3.0], [2.6, 3.9, 3.3]])
    index = np.stack(np.unravel_index(np.arange(16**3), shape), -1)
    points = index / 16 @ box
    coord = rest + rng.normal(0, 0.1, (nframes, 3, 3))
    density = [
        gaussian_density(points, x, [4, 1, 1], box if pbc else None, width=0.55) for x in coord
    ]
    part = folder / "set.000"
    part.mkdir(parents=True)
    np.save(part / "coord.npy", coord.reshape(nframes, -1))
    np.save(part / "box.npy", np.tile(box.ravel(), (nframes, 1)))
    np.save(part / "grid_shape.npy", np.tile(shape, (nframes, 1)).astype(np.int32))
    np.save(part / "density.npy", np.array(density, dtype=np.float32))
    (folder / "type.raw").write_text("0\n1\n1\n")
    (folder / "type_map.raw").write_text("C\nH\n")
    if not pbc:
        (folder / "nopbc").touch()
    return folder


def small_input(**model_changes) -> dict:
    """A fresh copy of the small input, with other values in its section `model`."""
    data = copy.deepcopy(SMALL_INPUT)
    data["model"].update(copy.deepcopy(model_changes))
    return data


def random_weights(model, seed: int = 3) -> None:
    """Random numbers where a model starts from zeros, so that all of it takes part."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        if len(variable.shape) >= 2 and not np.any(variable):
            variable.assign(rng.normal(size=variable.shape) / np.sqrt(variable.shape[-2]))


def assign_baseline(model) -> None:
    """Random positive atomic densities of two types."""
    decay = np.exp(-np.arange(model.grid.nspline) / 5.0)
    size = np.random.default_rng(5).uniform(0.5, 1.0, (2, model.ndensity, 1))
    model.baseline.assign(size * decay)


def random_model(seed: int = 3, **model_changes) -> tuple:
    """A model with random weights and the input of it.

    Parameters
    ----------
    seed : int
        Of the weights.
    **model_changes
        See `small_input`.
    """
    from deepdensity_tf.model import DensityModel
    from deepdensity_tf.schema import complete_input

    config = complete_input(small_input(**model_changes))
    model = DensityModel(config["model"], seed=seed)
    random_weights(model, seed)
    assign_baseline(model)
    # What random nets add is small beside it, as in a trained model.
    model.scale.assign(np.full(model.ndensity, 0.02))
    return model, config


def freeze_random(path: Path, seed: int = 3, **model_changes) -> Path:
    """Write the frozen graph of a `random_model`."""
    from deepdensity_tf.model.frozen import freeze

    model, config = random_model(seed, **model_changes)
    freeze(model, config, path)
    return path
