"""A density on a grid with its atoms: what readers of density files give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.grid import Grid

if TYPE_CHECKING:
    import ase

    from deepdensity_tf.utils.paw_blocks import Occupancies


@dataclass(frozen=True)
class GridField:
    """A structure with its density on a regular grid."""

    atoms: ase.Atoms  # the cell spans the grid; atoms.pbc as the file says
    density: np.ndarray  # (nx, ny, nz) float64, electrons/Å^3
    spin_density: np.ndarray | None = None  # up minus down, same shape
    # Where the file has the first point, (3,) Å; the atoms are moved by -origin.
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))
    says_pbc: bool = True  # whether the file says if it is periodic
    augmentation: Occupancies | None = None  # PAW occupancies of the atoms
    unit_varies: bool = False  # whether files of the format come in several units
    pseudo: bool = False  # whether it integrates to less or more than the electrons

    @property
    def periodic(self) -> bool | None:
        """Whether it is periodic along some cell vector; None: the file does not say."""
        return bool(self.atoms.pbc.any()) if self.says_pbc else None

    @property
    def grid(self) -> Grid:
        """The grid, where the file has it."""
        return Grid(self.density.shape, self.atoms.cell.array.copy(), self.origin)

    @property
    def electrons(self) -> float:
        """Integral of the density over the cell."""
        return float(self.density.mean() * self.atoms.cell.volume)
