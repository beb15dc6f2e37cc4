"""The data of a training: frames listed and checked, batches, the validation sample."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import numpy as np

from deepdensity_tf.data.augmentation import OccupancyLabels, common_channels
from deepdensity_tf.data.examination import Fault, known_faults
from deepdensity_tf.data.frames import (
    ElementCount,
    FrameList,
    data_checksum,
    element_counts,
)
from deepdensity_tf.data.probability import auto_probabilities, epoch_order, given_probabilities
from deepdensity_tf.data.sampler import BatchSampler, SamplerConfig
from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.data.system import DensitySystem, find_systems
from deepdensity_tf.train.validation import Validation
from deepdensity_tf.train.workers import Workers
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import channels_from

log = logging.getLogger(__name__)

# Data of no more frames and points than this are checked before the first step: it takes a second.
_FEW_FRAMES, _FEW_POINTS = 500, 50_000_000


class TrainingData:
    """The frames to train and validate on.

    Headers are read here; values of a small data set too, else those of a frame when it is first
    drawn, unless `dd-tf data` has seen them.

    Parameters
    ----------
    config : dict
        The completed input; `model.augmentation` true is replaced by what the data hold.
    workers : Workers
        Who shares each batch.
    known : collection of str
        Elements that the model was trained on before.

    Attributes
    ----------
    frames : FrameList
        All frames to train on.
    sampling : SamplerConfig
        How their points are drawn.
    batches : BatchSampler
        Batches by step.
    validation : Validation or None
        Frames and points to validate on.
    elements : dict
        Element of the type map to `ElementCount` in the frames to train on.
    checksum : str
        What identifies the frames (`data.frames.data_checksum`).

    Raises
    ------
    InputError
        What is wrong with the data; a batch that cannot be shared evenly.
    """

    def __init__(self, config: dict, workers: Workers, known: Collection[str] = ()):
        model, run = config["model"], config["training"]
        section = run["training_data"]
        dipoles = config["loss"]["pref_dipole"] > 0
        self.frames, owner = _load_frames(section, model, "training_data")
        if dipoles:
            _expect_first_moments(self.frames)
        if model["augmentation"]:
            model["augmentation"] = _channels(self.frames, model["augmentation"])
        self.sampling = _sampler_config(section, model, dipoles)
        self.batches = BatchSampler(
            self.frames,
            self.sampling,
            _batch_size(section, self.frames, workers.count),
            run["seed"],
            workers.part,
            _order(section, self.frames, owner, run["seed"]),
        )
        self.elements = element_counts(self.frames)
        _warn_of_elements(self.elements, known)
        learned = {name for name, count in self.elements.items() if count.atoms} | set(known)
        self.validation = _validation(run, model, learned, dipoles)
        self.checksum = data_checksum(self.frames, model["type_map"])


def _validation(
    run: dict, model: dict, learned: Collection[str], dipoles: bool
) -> Validation | None:
    section = run.get("validation_data")
    if section is None:
        return None
    frames, _ = _load_frames(section, model, "validation_data")
    counts = frames.type_counts
    for place, name in enumerate(model["type_map"]):
        if name not in learned and counts[:, place].any():
            first = frames.label(int(np.argmax(counts[:, place] > 0)))
            raise InputError(
                f"validation_data: {first} holds {name}, which no frame of training_data does: its "
                "error would be of no use"
            )
    if model["augmentation"]:
        _channels(frames, model["augmentation"])
    sampling = _sampler_config(section, model, dipoles)
    return Validation(frames, sampling, section["batch_size"], run["seed"])


def _load_frames(section: dict, model: dict, key: str) -> tuple[FrameList, list[int]]:
    """The frames of a data section, and which entry of `systems` each system came from."""
    if not section["systems"]:
        raise InputError(f"{key}.systems: found an empty list, expected folders of systems")
    systems: list[DensitySystem] = []
    chosen: list[Sequence[int]] = []
    owner: list[int] = []
    examined = True
    for entry, (path, text) in enumerate(_paths_and_slices(section, key)):
        found = find_systems(path, model["type_map"])
        for system in found:
            chosen.append(
                select_frames(text, system.nframes, f"{key}.frames ({system.files.path})")
            )
            if model["spin"]:
                _expect(system, "spin_density", "model.spin is true, found no spin_density.npy")
            if model["initial_magmom"]:
                lacking = "model.initial_magmom is true, found no initial_magmom.npy"
                _expect(system, "initial_magmom", lacking)
        faults = known_faults(path, [system.files for system in found])
        if faults and not section["force"]:
            _refuse_faulty(chosen[len(systems) :], faults)
        examined = examined and faults == []
        systems += found
        owner += [entry] * len(found)
    frames = FrameList(systems, chosen, checked=examined, force=section["force"])
    _tell(frames, key, examined)
    if not examined and len(frames) <= _FEW_FRAMES and frames.npoints.sum() <= _FEW_POINTS:
        frames.check()
    return frames, owner


def _channels(frames: FrameList, wanted: bool | str) -> str:
    """What the PAW occupancies of the data are, as JSON; they must be as `wanted` says."""
    found = common_channels(system.files for system in frames.systems)
    if wanted is True:
        if found is None:
            raise InputError("model.augmentation is true, found no augmentation.npy in the data")
        return found.to_json()
    known = channels_from(wanted, "model.augmentation")
    return (known if found is None else known.joined(found, "model.augmentation")).to_json()


def _expect(system: DensitySystem, name: str, lacking: str) -> None:
    if any(name not in part.arrays for part in system.files.sets):
        raise InputError(f"{system.path}: {lacking}")


def _expect_first_moments(frames: FrameList) -> None:
    """Some frame must have a dipole moment (`data.frame.Frame.first_moment`)."""
    isolated = (s.files for s in frames.systems if not s.files.pbc)
    if all("grid" in part.arrays for files in isolated for part in files.sets):
        raise InputError(
            "loss.pref_dipole is above 0, found no isolated frame (nopbc) on a full grid in "
            "training_data: a dipole moment is not known"
        )


def _refuse_faulty(chosen: list[Sequence[int]], faults: list[Fault]) -> None:
    """Raise InputError if `dd-tf data` has found one of the chosen frames faulty."""
    for fault in faults:
        if fault.frame in chosen[fault.system]:
            raise InputError(f"{fault.message} (found by dd-tf data)")


def _tell(frames: FrameList, key: str, examined: bool) -> None:
    """One line of what there is; with -v a line for each system."""
    told = frames.systems if log.isEnabledFor(logging.DEBUG) else []
    for system, chosen in zip(told, frames.chosen, strict=False):
        log.debug(
            "%s: %s, %d of %d frames, %s%d atoms, %s points",
            key,
            system.path,
            len(chosen),
            system.nframes,
            "mixed, up to " if system.mixed else "",
            system.natoms,
            _span(system.npoints()),
        )
    systems = frames.systems
    loose = [part for s in systems for part in s.files.sets if "grid" in part.arrays]
    weighted = all("weight" in part.arrays for part in loose)
    kind = "weighted points: errors are unbiased estimates of those over the full grids"
    if not weighted:
        kind = "points without weights: errors are means over these points"
    log.info(
        "%s: %d frames of %d systems, %s atoms, %s points a frame%s%s",
        key,
        len(frames),
        len(systems),
        _span([system.natoms for system in systems]),
        _span(frames.npoints),
        f" ({kind})" if loose else "",
        ", values examined by dd-tf data" if examined else "",
    )


def _span(values) -> str:
    least, most = int(np.min(values)), int(np.max(values))
    return str(most) if least == most else f"{least} to {most}"


def _warn_of_elements(elements: dict[str, ElementCount], known: Collection[str]) -> None:
    missing = [name for name, count in elements.items() if not count.atoms and name not in known]
    if missing:
        log.warning(
            "model.type_map: no frame of training_data holds %s; the model knows nothing of %s",
            ", ".join(missing),
            "it" if len(missing) == 1 else "them",
        )


def _batch_size(section: dict, frames: FrameList, workers: int) -> int:
    """Frames a step; "auto:N" takes as many as give N points in the mean, no frame twice."""
    asked = section["batch_size"]
    if isinstance(asked, str):
        points = np.minimum(frames.npoints, section["numb_points"]).mean()
        size = -(-int(asked.removeprefix("auto:")) // max(1, int(points)))
        most = max(1, len(frames) // workers)  # all frames at once
        size = min(-(-size // workers), most) * workers
        log.info("training_data.batch_size %s: %d frames a step", asked, size)
        return size
    if asked % workers:
        raise InputError(
            f"training.training_data.batch_size is {asked}, expected a "
            f"multiple of the {workers} workers that share each batch"
        )
    return asked


def _order(section: dict, frames: FrameList, owner: list[int], seed: int):
    """What BatchSampler needs to draw systems as often as asked."""
    sizes = frames.sizes
    if section["sys_probs"] is not None:
        key = "training_data.sys_probs"
        probability = given_probabilities(section["sys_probs"], owner, sizes, key)
    else:
        probability = auto_probabilities(section["auto_prob"], sizes, "training_data.auto_prob")
    return None if probability is None else epoch_order(probability, sizes, seed)


def _sampler_config(section: dict, model: dict, dipoles: bool) -> SamplerConfig:
    labels = None
    if model["augmentation"]:
        channels = channels_from(model["augmentation"], "model.augmentation")
        labels = OccupancyLabels(channels, tuple(model["type_map"]), model["spin"])
    return SamplerConfig(
        section["numb_points"],
        section["uniform_fraction"],
        model["spin"],
        labels,
        len(model["type_map"]) if model["initial_magmom"] else None,
        dipoles,
    )


def _paths_and_slices(section: dict, key: str) -> list[tuple[str, str]]:
    """Each entry of `systems` with the slice of its frames."""
    paths, slices = section["systems"], section["frames"]
    paths = [paths] if isinstance(paths, str) else paths
    slices = [slices] * len(paths) if isinstance(slices, str) else slices
    if len(slices) != len(paths):
        raise InputError(f"{key}.frames: found {len(slices)} slices for {len(paths)} systems")
    return list(zip(paths, slices, strict=True))
