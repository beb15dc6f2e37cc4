"""The data of a training: frames checked and listed, batches, the validation sample."""

from __future__ import annotations

import logging

from deepdensity_tf.data.sampler import BatchSampler, SamplerConfig
from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.data.system import Frame, data_checksum, find_systems
from deepdensity_tf.train.validation import Validation
from deepdensity_tf.train.workers import Workers
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)


def load_frames(section: dict, model: dict, key: str) -> list[Frame]:
    """Check and list the frames of a data section.

    Parameters
    ----------
    section, model : dict
        `training_data` or `validation_data`, and the `model` section.
    key : str
        Name of the section, for messages.
    """
    frames: list[Frame] = []
    if not section["systems"]:
        raise InputError(f"{key}.systems: found an empty list, expected folders of systems")
    for system, text in _systems_and_slices(section, model["type_map"], key):
        system.check()
        chosen = select_frames(text, system.nframes, f"{key}.frames ({system.path})")
        taken = [system.frame(index) for index in chosen]
        if model["spin"] and any(frame.spin_density is None for frame in taken):
            raise InputError(f"{system.path}: model.spin is true, found no spin_density.npy")
        electrons = taken[0].electrons
        log.info(
            "%s: %s, %d of %d frames, %d atoms, %d points%s",
            key,
            system.path,
            len(taken),
            system.nframes,
            system.natoms,
            len(taken[0].density),
            "" if electrons is None else f", {electrons:.3f} electrons",
        )
        frames += taken
    return frames


class TrainingData:
    """The frames to train and validate on, checked.

    Parameters
    ----------
    config : dict
        The completed input.
    workers : Workers
        Who shares each batch.

    Raises
    ------
    InputError
        What is wrong with the data; a batch that cannot be shared evenly.
    """

    def __init__(self, config: dict, workers: Workers):
        model, run = config["model"], config["training"]
        section = run["training_data"]
        if section["batch_size"] % workers.count:
            raise InputError(
                f"training.training_data.batch_size is {section['batch_size']}, expected a "
                f"multiple of the {workers.count} workers that share each batch"
            )
        self.frames = load_frames(section, model, "training_data")
        self.sampling = _sampler_config(section, model)
        self.batches = BatchSampler(
            self.frames, self.sampling, section["batch_size"], run["seed"], workers.part
        )
        self.validation = _validation(run, model)
        self.checksum = data_checksum(self.frames, model["type_map"])


def _validation(run: dict, model: dict) -> Validation | None:
    section = run.get("validation_data")
    if section is None:
        return None
    frames = load_frames(section, model, "validation_data")
    return Validation(frames, _sampler_config(section, model), section["batch_size"], run["seed"])


def _sampler_config(section: dict, model: dict) -> SamplerConfig:
    return SamplerConfig(section["numb_points"], section["uniform_fraction"], model["spin"])


def _systems_and_slices(section: dict, type_map: list[str], key: str) -> list[tuple]:
    """Each system with the slice of its frames."""
    paths, slices = section["systems"], section["frames"]
    paths = [paths] if isinstance(paths, str) else paths
    slices = [slices] * len(paths) if isinstance(slices, str) else slices
    if len(slices) != len(paths):
        raise InputError(f"{key}.frames: found {len(slices)} slices for {len(paths)} systems")
    pairs = zip(paths, slices, strict=True)
    return [(system, text) for path, text in pairs for system in find_systems(path, type_map)]
