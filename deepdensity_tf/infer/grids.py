"""Which grid a structure's density is put on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats import Grid, box_around, fft_shape, read_density
from deepdensity_tf.formats.qe_save import PlaneWaves, fft_grid, g_vectors
from deepdensity_tf.infer.structures import StructureFrame
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)

SPACING = 0.1  # Å
PAD = 4.0  # Å


@dataclass(frozen=True)
class GridOptions:
    """What is asked of the grid; all None: the data's own, else `SPACING` and `PAD`.

    Parameters
    ----------
    shape : tuple of int, optional
        (nx, ny, nz).
    spacing : float, optional
        Largest distance of points, Å.
    like : Grid, optional
        This grid itself.
    pad : float, optional
        Box around the atoms of a molecule, Å from the outermost.
    waves : PlaneWaves, optional
        pw.x's own grid, unless `shape`, `spacing` or `like` say otherwise.
    """

    shape: tuple[int, int, int] | None = None
    spacing: float | None = None
    like: Grid | None = None
    pad: float | None = None
    waves: PlaneWaves | None = None


def choose_grid(structure: StructureFrame, options: GridOptions) -> Grid:
    """The grid that the options ask for.

    Raises
    ------
    InputError
        Options that contradict the structure.
    """
    atoms = structure.atoms
    if options.pad and (atoms.pbc.any() or options.like):
        reason = "--like has a cell" if options.like else "the structure is periodic"
        raise InputError(f"--pad: {reason}, expected a molecule (see --nopbc)")
    if options.like:
        _check_like(options.like, atoms)
        return options.like
    cell, origin, own = _cell(atoms, options.pad)
    if options.shape:
        shape = options.shape
    elif options.spacing is None and options.waves is not None:
        shape = fft_grid(g_vectors(cell, options.waves))
    elif options.spacing is None and structure.grid_shape is not None and own:
        shape = structure.grid_shape
    else:
        shape = fft_shape(cell, options.spacing or SPACING)
    return Grid(shape, cell, origin)


def grid_of_file(path: str) -> Grid:
    """Grid, cell and origin of a cube or CHGCAR file."""
    return read_density(path)[0].grid


def warn_outside(atoms: Atoms, grid: Grid) -> None:
    """A molecule that sticks out of the window loses electrons: say it."""
    if atoms.pbc.any():
        return
    fractions = np.linalg.solve(grid.cell.T, (atoms.positions - grid.origin).T)
    outside = int(np.any((fractions < 0) | (fractions > 1), axis=0).sum())
    if outside:
        log.warning(
            "%d of %d atoms lie outside the box of the grid (--pad makes one around them)",
            outside,
            len(atoms),
        )


def _cell(atoms: Atoms, pad: float | None) -> tuple[np.ndarray, np.ndarray, bool]:
    """What spans the grid, its origin, and whether it is the structure's own cell."""
    if atoms.cell.rank == 3 and not pad:
        return np.array(atoms.cell), np.zeros(3), True
    return *box_around(atoms.positions, pad or PAD), False


def _check_like(grid: Grid, atoms: Atoms) -> None:
    if atoms.pbc.any() and not np.allclose(grid.cell, atoms.cell, rtol=0, atol=1e-3):
        raise InputError(
            "--like: its cell differs from that of the periodic structure by up to "
            f"{np.abs(grid.cell - atoms.cell).max():.3g} Å, expected the same"
        )
