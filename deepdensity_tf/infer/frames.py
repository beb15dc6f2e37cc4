"""Frames of data sets, and what a model says of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.formats import Grid
from deepdensity_tf.plot.sections import Structure

if TYPE_CHECKING:
    from deepdensity_tf.data.frame import Frame
    from deepdensity_tf.data.system import DensitySystem
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.metrics import Errors


@dataclass(frozen=True)
class Chosen:
    """Frames of one system to work on.

    Parameters
    ----------
    name : str
        Name of the system, unlike that of any other.
    system : DensitySystem
        Where the frames are.
    indices : sequence of int
        Which ones.
    """

    name: str
    system: DensitySystem
    indices: Sequence[int]


def choose_frames(
    folders: Sequence[str],
    type_map: Sequence[str],
    frames: str,
    limit: int | None = None,
    option: str = "--frames",
) -> list[Chosen]:
    """Find systems and select frames of each.

    Parameters
    ----------
    folders : sequence of str
        System folders, or folders with systems below.
    type_map : sequence of str
        Elements in the order of the model's types.
    frames : str
        Slice such as '32:' taken in each system.
    limit : int, optional
        No more frames than that in each system.
    option : str
        Where `frames` comes from, for messages.

    Raises
    ------
    InputError
        No system, unknown element, or no such frame.
    """
    from deepdensity_tf.data.system import find_systems

    systems = find_systems(list(folders), list(type_map))
    chosen = []
    for name, system in zip(_names(systems), systems, strict=True):
        indices = select_frames(frames, system.nframes, f"{option} ({system.path})")
        chosen.append(Chosen(name, system, indices[:limit]))
    return chosen


def _names(systems: Sequence[DensitySystem]) -> list[str]:
    """Last parts of the paths, as many as it takes to tell the systems apart."""
    parts = [Path(system.path).resolve().parts[1:] for system in systems]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["_".join(part[-count:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{part[-1]}_{index}" for index, part in enumerate(parts)]


def predict_frame(
    model: DeepDensity,
    frame: Frame,
    progress: Callable[[int, int], None] | None = None,
    spin: bool = False,
) -> np.ndarray:
    """(Spin) density of the model at the points of a frame, (npoints,), electrons/Å^3."""
    if frame.grid_shape is None:
        box = frame.periodic_box
        evaluate = model.eval_spin if spin else model.eval
        return evaluate(frame.coord, box, model.types_of_frame(frame), frame.points())
    shape, pbc, atype = tuple(frame.grid_shape), frame.pbc, model.types_of_frame(frame)
    return model.eval_grid(frame.coord, frame.box, atype, shape, pbc, progress, spin).ravel()


def exact_electrons(model: DeepDensity, frame: Frame) -> float | None:
    """Integral of the model's density over space; None where there is no exact one."""
    valence = model.training_script["model"].get("electrons")
    if valence:
        return float(np.sum(np.take(valence, frame.atype)))
    if not model.has_electrons:
        return None
    box = frame.periodic_box
    return float(model.eval_electrons(frame.coord, box, model.types_of_frame(frame))[0])


def add_frame_errors(
    errors: Errors, model: DeepDensity, frame: Frame, label: str
) -> tuple[dict, np.ndarray]:
    """Add what a model says of a frame to `errors`; the frame's errors and the density."""
    pred = predict_frame(model, frame)
    spin = None
    if model.has_spin and frame.spin_density is not None:
        spin = (predict_frame(model, frame, spin=True), np.asarray(frame.spin_density))
    electrons = exact_electrons(model, frame)
    ref = np.asarray(frame.density)
    return errors.add_frame(
        pred, ref, frame.volume_element, label, spin, electrons, frame.weight
    ), pred


def structure_of(frame: Frame, type_map: Sequence[str]) -> Structure:
    """The atoms of a frame with a full grid, on that grid."""
    symbols = [type_map[atype] for atype in frame.atype]
    grid = Grid(tuple(int(n) for n in frame.grid_shape), np.asarray(frame.box).reshape(3, 3))
    return Structure(symbols, np.asarray(frame.coord, dtype=np.float64), grid, bool(frame.pbc))
