"""The density to analyse: out of a density file, a system, or a frozen model."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.data.checks import report_frame
from deepdensity_tf.data.layout import system_paths
from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.data.system import find_systems
from deepdensity_tf.formats import read_density
from deepdensity_tf.formats.base import make_atoms
from deepdensity_tf.formats.examine import examine_usable
from deepdensity_tf.formats.findings import report
from deepdensity_tf.formats.integral import examined
from deepdensity_tf.infer.frames import structure_of
from deepdensity_tf.infer.grids import GridOptions, choose_grid
from deepdensity_tf.infer.prediction import PredictOptions, predict
from deepdensity_tf.infer.structures import read_structure
from deepdensity_tf.plot.sections import Structure
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.progress import track_until

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """A structure with a density.

    Parameters
    ----------
    structure : Structure
        Atoms and grid.
    density : np.ndarray
        (nx, ny, nz) electrons/Å^3.
    """

    structure: Structure
    density: np.ndarray


@dataclass(frozen=True)
class ReadOptions:
    """How a density file is read.

    Parameters
    ----------
    fmt, unit : str, optional
        See `formats.read_density`.
    force : bool
        Take densities that are odd all the same (see `formats.findings`).
    """

    fmt: str | None = None
    unit: str | None = None
    force: bool = False


def stored_density(
    path: str, frame: int = 0, nopbc: bool = False, options: ReadOptions | None = None
) -> Subject:
    """A density that is in a file that `formats` reads, or in a system.

    Raises
    ------
    InputError
        What the readers complain of; no such frame; a frame of loose points.
    """
    options = options or ReadOptions()
    if system_paths(path):
        return _of_system(path, frame, nopbc, options.force)
    volumes = read_density(path, options.fmt, options.unit)
    (number,) = select_frames(str(frame), len(volumes), f"-f ({path})")
    volume = volumes[number]
    if volume.periodic is None and not nopbc:
        log.info("%s: does not say whether it is periodic, taken so (--nopbc: a molecule)", path)
    pbc = bool(volume.atoms.pbc.any()) and not nopbc
    volume = examined(volume, path, pbc, options.force)
    coord = volume.atoms.positions + volume.origin
    structure = Structure(volume.atoms.get_chemical_symbols(), coord, volume.grid, pbc)
    return Subject(structure, volume.density)


def predicted_density(
    model: DeepDensity,
    path: str,
    frame: int,
    options: GridOptions,
    nopbc: bool = False,
    force: bool = False,
) -> Subject:
    """A density that a model predicts for a structure (see `infer.prediction.predict`)."""
    given = read_structure(path, frame, nopbc, force)
    grid = choose_grid(given, options)
    with track_until(grid.npoints, "predicting", "points") as progress:
        found = predict(model, given, grid, PredictOptions(), progress)
    atoms = found.atoms
    structure = Structure(
        atoms.get_chemical_symbols(), atoms.positions, grid, bool(atoms.pbc.any())
    )
    return Subject(structure, found.values["density"])


def difference(
    subject: Subject, paths: list[str], options: ReadOptions | None = None
) -> np.ndarray:
    """The density minus those of other files on the same grid.

    Raises
    ------
    InputError
        Another number of points, another cell or origin.
    """
    grid, left = subject.structure.grid, subject.density.copy()
    for path in paths:
        other = stored_density(path, nopbc=not subject.structure.pbc, options=options)
        cell, origin = other.structure.grid.cell, other.structure.grid.origin
        if other.density.shape != grid.shape:
            raise InputError(
                f"{path}: has {_times(other.density.shape)} points, expected {_times(grid.shape)}"
            )
        apart = max(np.abs(cell - grid.cell).max(), np.abs(origin - grid.origin).max())
        if apart > 1e-3:
            raise InputError(f"{path}: its cell or origin differs by {apart:.3g} Å, expected same")
        left -= other.density
    return left


def _of_system(path: str, index: int, nopbc: bool, force: bool) -> Subject:
    systems = find_systems([path])
    if len(systems) != 1:
        raise InputError(f"{path}: holds {len(systems)} systems, expected one")
    (number,) = select_frames(str(index), systems[0].nframes, f"-f ({path})")
    frame = systems[0].frame(number)
    if frame.grid_shape is None:
        raise InputError(f"{path}: frame {number} has loose points, expected a full grid")
    frame = replace(frame, pbc=frame.pbc and not nopbc)
    report_frame(frame, systems[0].type_map, force)
    structure = structure_of(frame, systems[0].type_map)
    atoms = make_atoms(
        Path(path), structure.symbols, structure.coord, structure.grid.cell, structure.pbc
    )
    report(examine_usable(atoms), frame.label)  # types need not be elements
    density = np.asarray(frame.density, dtype=np.float64).reshape(structure.grid.shape)
    return Subject(structure, density)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
