"""Errors of predicted PAW occupancies over data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.data.augmentation import frame_occupancies, read_channels
from deepdensity_tf.infer.frames import Chosen
from deepdensity_tf.utils.mpi import World
from deepdensity_tf.utils.paw_blocks import Occupancies, blocks_of

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity

_Pair = tuple[np.ndarray, Occupancies, Occupancies]


def occupancy_errors(
    model: DeepDensity, chosen: Sequence[Chosen], world: World | None = None
) -> dict[str, dict]:
    """Errors of the occupancies of each element, beyond its mean over the frames.

    Parameters
    ----------
    model : DeepDensity
        Frozen model that has them.
    chosen : sequence of Chosen
        Systems and frames; those without occupancies count for nothing.
    world : World, optional
        The processes that share the frames.

    Returns
    -------
    dict
        Empty in all but the first process. Element, and "all", to ``atoms`` and ``error``: 100
        times the root of sum|model - reference|^2 / sum|reference - mean|^2 over atoms, percent.
        The mean is that of the numbers of L = 0, 0 for the others. With spin also
        ``spin_error``, relative to the same sums of the total.

    Raises
    ------
    InputError
        Occupancies of another code or other channels than the model's.
    """
    world = world or World()
    labelled = world.from_first(lambda: [_has_occupancies(model, entry) for entry in chosen])
    places = [
        (entry, index)
        for entry, has in zip(chosen, labelled, strict=True)
        if has
        for index in entry.indices
    ]

    def compare(place: tuple[Chosen, int]) -> _Pair | None:
        return _pair(model, *place)

    found = world.spread(compare, places, len(places), "testing occupancies")
    pairs = [pair for pair in found if pair is not None]
    result, wrong, spread = {}, np.zeros(2), 0.0
    for number, element in enumerate(model.type_map):
        mine = [(f.of_atoms(t == number), r.of_atoms(t == number)) for t, f, r in pairs]
        natoms = sum(len(found.total) for found, _ in mine)
        if not natoms or element not in model.augmentation.of:
            continue
        squares, own = _sums(mine, model.augmentation.of[element])
        result[element] = _entry(natoms, squares, own, model.has_spin)
        wrong, spread = wrong + squares, spread + own
    if len(result) > 1:
        natoms = sum(entry["atoms"] for entry in result.values())
        result["all"] = _entry(natoms, wrong, spread, model.has_spin)
    return result


def _has_occupancies(model: DeepDensity, entry: Chosen) -> bool:
    """Whether a system has occupancies; they must be of the model's channels."""
    channels = read_channels(entry.system.files)
    if channels is not None:
        model.augmentation.joined(channels, str(entry.system.path))
    return channels is not None


def _pair(model: DeepDensity, entry: Chosen, index: int) -> _Pair | None:
    """Types, occupancies of the model and of the reference; None where there is none."""
    frame = entry.system.frame(index)
    reference = frame_occupancies(frame, model.augmentation, model.type_map)
    if reference is None:
        return None
    found = model.eval_augmentation(frame.coord, frame.periodic_box, model.types_of_frame(frame))
    return frame.atype, found, reference


def _sums(pairs: list[tuple[Occupancies, Occupancies]], channels) -> tuple[np.ndarray, float]:
    """Squared errors of total and spin (2,); squares of the reference beyond its mean."""
    count = blocks_of(tuple(channels))[-1].part.stop
    squares = np.zeros(2)
    for found, reference in pairs:
        for place, (a, b) in enumerate(zip(found.sets, reference.sets, strict=False)):
            squares[place] += float(((a - b)[:, :count] ** 2).sum())
    values = np.concatenate([reference.total[:, :count] for _, reference in pairs])
    mean = np.zeros(count)
    for block in blocks_of(tuple(channels)):
        if block.degree == 0:
            mean[block.part] = values[:, block.part].mean(0)
    return squares, float(((values - mean) ** 2).sum())


def _entry(natoms: int, squares: np.ndarray, spread: float, spin: bool) -> dict:
    errors = 100 * np.sqrt(squares / max(spread, 1e-300))
    entry = {"atoms": natoms, "error": float(errors[0])}
    return {**entry, "spin_error": float(errors[1])} if spin else entry
