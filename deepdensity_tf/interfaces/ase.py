"""ASE: a calculator-like object that gives densities of atoms."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats import Grid, write_volumetric
from deepdensity_tf.formats.examine import examine_usable
from deepdensity_tf.formats.findings import report
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.grids import GridOptions, choose_grid
from deepdensity_tf.infer.structures import (
    TAKEN_AS_PERIODIC,
    StructureFrame,
    is_partly_periodic,
)
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

log = logging.getLogger(__name__)


class DeepDensityCalculator:
    """Densities of `atoms`, by the names that ASE's density-bearing calculators use.

    It has no energies and forces, so it is not an `ase.calculators.calculator.Calculator`.

    Parameters
    ----------
    model : DeepDensity or str or Path
        Frozen model, or its file.
    spacing : float
        Largest distance of grid points, Å.
    pad : float
        Box around atoms without a cell: distance from the outermost, Å.
    atoms : ase.Atoms, optional
        The structure that calls without atoms mean.

    Examples
    --------
    >>> calculator = DeepDensityCalculator("frozen_model.pb")  # doctest: +SKIP
    >>> density = calculator.get_pseudo_density(atoms)  # doctest: +SKIP
    >>> calculator.write("rho.cube", atoms)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: DeepDensity | str | Path,
        spacing: float = 0.1,
        pad: float = 4.0,
        atoms: Atoms | None = None,
    ):
        self.model = model if isinstance(model, DeepDensity) else DeepDensity(model)
        self.spacing = spacing
        self.pad = pad
        self.atoms = atoms

    def get_grid(self, atoms: Atoms | None = None) -> Grid:
        """The grid of the densities: that of the cell, or of a box around a molecule."""
        return self._grid(self._atoms(atoms))

    def get_number_of_grid_points(self, atoms: Atoms | None = None) -> np.ndarray:
        """(nx, ny, nz)."""
        return np.array(self.get_grid(atoms).shape)

    def get_pseudo_density(
        self, atoms: Atoms | None = None, spin: int | None = None, pad: bool = True
    ) -> np.ndarray:
        """Density on the grid.

        Parameters
        ----------
        atoms : ase.Atoms, optional
            Periodic along all cell vectors or along none; if along some, a warning says that they
            are taken as periodic along all.
        spin : int, optional
            0: spin up, 1: spin down; None: their sum.
        pad : bool
            Accepted for likeness: a grid here never leaves out its first planes.

        Returns
        -------
        ndarray
            (nx, ny, nz), electrons/Å^3.

        Raises
        ------
        InputError
            No atoms, an element the model does not know, a model without spin.
        """
        if spin not in (None, 0, 1):
            raise InputError(f"spin is {spin}, expected 0 (up), 1 (down) or None")
        atoms = self._atoms(atoms)
        grid = self._grid(atoms)
        density = self._on_grid(atoms, grid)
        if spin is None:
            return density
        return (density + (1 - 2 * spin) * self._on_grid(atoms, grid, spin=True)) / 2

    def get_pseudo_spin_density(self, atoms: Atoms | None = None) -> np.ndarray:
        """Density of spin up minus that of spin down, (nx, ny, nz), electrons/Å^3."""
        atoms = self._atoms(atoms)
        return self._on_grid(atoms, self._grid(atoms), spin=True)

    def write(self, path: str | Path, atoms: Atoms | None = None) -> None:
        """Write the density to a cube, CHGCAR or NumPy file, chosen by its name."""
        atoms = self._atoms(atoms)
        grid = self._grid(atoms)
        on_grid = atoms.copy()
        on_grid.cell = grid.cell
        write_volumetric(path, on_grid, self._on_grid(atoms, grid), grid.origin)

    def _grid(self, atoms: Atoms) -> Grid:
        pad = None if atoms.cell.rank == 3 else self.pad
        options = GridOptions(spacing=self.spacing, pad=pad)
        return choose_grid(StructureFrame(0, atoms, None, "atoms"), options)

    def _on_grid(self, atoms: Atoms, grid: Grid, spin: bool = False) -> np.ndarray:
        atype = self.model.types_of(atoms)
        pbc = bool(atoms.pbc.any())
        coord = atoms.positions - grid.origin
        return self.model.eval_grid(coord, grid.cell, atype, grid.shape, pbc=pbc, spin=spin)

    def _atoms(self, atoms: Atoms | None) -> Atoms:
        """The atoms that are meant, checked."""
        atoms = self.atoms if atoms is None else atoms
        if atoms is None:
            raise InputError("no atoms given, neither to the calculator nor to the call")
        report(examine_usable(atoms), "atoms")
        if is_partly_periodic(atoms):
            log.warning(TAKEN_AS_PERIODIC, "atoms")
            atoms = atoms.copy()
            atoms.pbc = True
        return atoms
