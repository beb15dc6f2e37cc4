"""Structures without a density: read one by one, from whatever ASE reads or from systems."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.data.layout import may_hold_systems
from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

_FLAT = 1e-9  # Å^3
TAKEN_AS_PERIODIC = "%s: is periodic along some cell vectors, taken so along all"
_BAD_INDEX = (IndexError, StopIteration, AssertionError)


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


def read_structures(path: str, frames: str = ":", nopbc: bool = False) -> Iterator[StructureFrame]:
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

    Yields
    ------
    StructureFrame

    Raises
    ------
    InputError
        Missing or unreadable file, no such frame, no atoms, cell vectors missing in a periodic
        structure.
    """
    if may_hold_systems(path):
        found = _system_frames(path, frames)
    else:
        found = ((index, atoms, None) for index, atoms in _file_frames(path, frames))
    partly_periodic = False
    for index, atoms, shape in found:
        label = f"{path} frame {index}"
        if nopbc:
            atoms.pbc = False
        check_structure(atoms, label)
        if is_partly_periodic(atoms):
            if not partly_periodic:
                log.warning(TAKEN_AS_PERIODIC, label)
            partly_periodic = True
            atoms.pbc = True
        yield StructureFrame(index, atoms, shape, label)


def read_structure(path: str, index: int = 0, nopbc: bool = False) -> StructureFrame:
    """The one frame `index`; see `read_structures`."""
    return next(read_structures(path, str(index), nopbc))


def is_partly_periodic(atoms: Atoms) -> bool:
    """Whether atoms are periodic along some cell vectors and not along others."""
    return bool(atoms.pbc.any() and not atoms.pbc.all())


def check_structure(atoms: Atoms, label: str) -> None:
    """Raise InputError for a structure that has no density: no atoms, NaN, a cell too few."""
    if not len(atoms):
        raise InputError(f"{label}: has no atoms")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise InputError(f"{label}: holds NaN or infinity in its positions or cell")
    if atoms.pbc.any() and atoms.cell.rank < 3:
        raise InputError(
            f"{label}: periodic with {atoms.cell.rank} cell vectors, expected 3 (give it a cell "
            "with vacuum, or no periodicity: --nopbc)"
        )
    if atoms.pbc.any() and atoms.cell.volume < _FLAT:
        raise InputError(f"{label}: the cell has no volume, expected three independent vectors")


def _file_frames(path: str, frames: str) -> Iterator[tuple[int, Atoms]]:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file, expected a structure or a density system")
    if Path(path).name.upper().startswith(("CHG", "AECCAR")):
        # ASE's reader of structures stumbles over the density that follows.
        yield from _chgcar_frames(path, frames)
        return
    chosen = _chosen(path, frames)
    number = -1
    for number, atoms in zip(chosen, _iread(path, chosen), strict=False):
        yield number, atoms
    if number < 0:
        raise InputError(f"{path}: has no frame {frames}, or is not a structure file")


def _chosen(path: str, frames: str) -> range:
    """Rising frame numbers; the file is read through only if they count from its end."""
    endless = 1 << 60
    if "-" not in frames:
        return select_frames(frames, endless, path)
    nframes = sum(1 for _ in _iread(path, range(endless)))
    chosen = select_frames(frames, nframes, path)
    return chosen if chosen.step > 0 else chosen[::-1]


def _iread(path: str, chosen: range) -> Iterator[Atoms]:
    import ase.io

    index = slice(chosen.start, chosen.stop, chosen.step)
    try:
        # parallel: ASE would send the frames of the first MPI rank to all.
        yield from ase.io.iread(path, index=index, parallel=False, do_not_split_by_at_sign=True)
    except _BAD_INDEX:
        raise InputError(
            f"{path}: has no frame {chosen.start}, or is not a structure file"
        ) from None
    except Exception as error:  # ASE's readers raise whatever their parsing stumbles over.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(f"{path}: ASE cannot read it as a structure ({reason})") from None


def _chgcar_frames(path: str, frames: str) -> Iterator[tuple[int, Atoms]]:
    from deepdensity_tf.formats import read_density

    densities = read_density(path)
    for number in sorted(select_frames(frames, len(densities), path)):
        yield number, densities[number].atoms


def _system_frames(path: str, frames: str):
    from ase import Atoms

    from deepdensity_tf.data.system import find_systems

    systems = find_systems([path])
    if len(systems) != 1:
        raise InputError(f"{path}: holds {len(systems)} systems, expected one")
    system = systems[0]
    for number in sorted(select_frames(frames, system.nframes, path)):
        frame = system.frame(number)
        symbols = [system.type_map[atype] for atype in frame.atype]
        atoms = Atoms(symbols, frame.coord, cell=frame.box, pbc=frame.pbc)
        yield number, atoms, frame.grid_shape
