"""Structures without a density: read one by one, from whatever ASE reads or from systems."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepdensity_tf.data.layout import may_hold_systems
from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.formats.base import make_atoms
from deepdensity_tf.formats.examine import examine_atoms, examine_usable, is_too_small
from deepdensity_tf.formats.findings import report
from deepdensity_tf.formats.structure_text import examine_file
from deepdensity_tf.infer.structure_files import file_frames
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.magmom_text import read_magmom

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

TAKEN_AS_PERIODIC = "%s: is periodic along some cell vectors, taken so along all"


@dataclass(frozen=True)
class StructureFrame:
    """One frame of a structure file or of a system.

    Parameters
    ----------
    index : int
        Its place in the file or system, from 0.
    atoms : ase.Atoms
        Periodic along all cell vectors or along none.
    grid_shape : tuple of int or None
        Grid of the data the atoms come from.
    label : str
        Name for messages.
    """

    index: int
    atoms: Atoms
    grid_shape: tuple[int, int, int] | None
    label: str


def read_structures(
    path: str,
    frames: str = ":",
    nopbc: bool = False,
    force: bool = False,
    examine: bool = True,
    magmom: str | None = None,
) -> Iterator[StructureFrame]:
    """Read frames one after the other; memory holds one where ASE's reader of the format streams.

    Parameters
    ----------
    path : str
        File that ASE reads (a trajectory too), CHGCAR-like file, or one density system (folder or
        file.hdf5#/group).
    frames : str
        Slice such as ':', '100::10' or '-1'; they come in the order of the file.
    nopbc : bool
        Drop the periodicity the file states.
    force : bool
        Warn of what is odd (see `formats.findings`) instead of refusing it.
    examine : bool
        False if that has been done before.
    magmom : str, optional
        Initial moments of the atoms, as in VASP's INCAR, in place of those of the file.

    Yields
    ------
    StructureFrame

    Raises
    ------
    InputError
        Missing or unreadable file, no such frame, no atoms, cell vectors missing in a periodic
        structure; a structure that is odd; moments for another number of atoms.
    """
    if examine and Path(path).is_file():
        report(examine_file(path), path, force)
    if may_hold_systems(path):
        found = _system_frames(path, frames)
    else:
        found = ((index, atoms, None) for index, atoms in file_frames(path, frames))
    partly_periodic = False
    for index, atoms, shape in found:
        label = f"{path} frame {index}"
        if magmom is not None:
            atoms.set_initial_magnetic_moments(read_magmom(magmom, len(atoms)))
        if nopbc:
            atoms.pbc = False
            if is_too_small(atoms):  # no window on a molecule either: a box around it is
                atoms.cell = None
        if examine:  # before the frame is taken as periodic along missing vectors
            report(examine_usable(atoms), label)
        if is_partly_periodic(atoms):
            if not partly_periodic:
                log.warning(TAKEN_AS_PERIODIC, label)
            partly_periodic = True
            atoms.pbc = True
        if examine:
            report(examine_atoms(atoms), label, force)
        yield StructureFrame(index, atoms, shape, label)


def read_structure(
    path: str, index: int = 0, nopbc: bool = False, force: bool = False, magmom: str | None = None
) -> StructureFrame:
    """The one frame `index`; see `read_structures`."""
    return next(read_structures(path, str(index), nopbc, force, magmom=magmom))


def is_partly_periodic(atoms: Atoms) -> bool:
    """Whether atoms are periodic along some cell vectors and not along others."""
    return bool(atoms.pbc.any() and not atoms.pbc.all())


def _system_frames(path: str, frames: str):
    from deepdensity_tf.data.system import find_systems

    systems = find_systems([path])
    if len(systems) != 1:
        raise InputError(f"{path}: holds {len(systems)} systems, expected one")
    system = systems[0]
    for number in sorted(select_frames(frames, system.nframes, path)):
        frame = system.frame(number)
        symbols = [system.type_map[atype] for atype in frame.atype]
        atoms = make_atoms(Path(path), symbols, frame.coord, frame.box, frame.pbc)
        if frame.initial_magmom is not None:
            atoms.set_initial_magnetic_moments(frame.initial_magmom)
        yield number, atoms, frame.grid_shape
