"""One snapshot with its reference density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepdensity_tf.data.arrays import WatchedFile
from deepdensity_tf.formats.grid import Grid
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.signed_types import signed_types


@dataclass(frozen=True)
class Frame:
    """One snapshot with its reference density."""

    label: str  # for messages: "path/set.000 frame 3"
    coord: np.ndarray  # (natoms, 3) float64, Å
    box: np.ndarray  # (3, 3) float64 rows, Å; where pbc is False it only spans the grid
    pbc: bool
    atype: np.ndarray  # (natoms,) int32, in the order of the model's type_map
    density: np.ndarray  # (npoints,) view of the memory-mapped file, electrons/Å^3
    spin_density: np.ndarray | None
    grid_shape: tuple[int, ...] | None  # None: loose points
    loose_points: np.ndarray | None  # (npoints, 3) memory-mapped view, Å
    files: tuple[WatchedFile, ...] = ()  # what the views above map
    weight: np.ndarray | None = None  # (npoints,) of loose points; None: all the same
    full_electrons: float | None = None  # of the grid that loose points were drawn from
    augmentation: np.ndarray | None = None  # (natoms, n) PAW occupancies, NaN behind them
    spin_augmentation: np.ndarray | None = None  # up minus down, same shape
    initial_magmom: np.ndarray | None = None  # (natoms,) initial moments; their signs count
    sums: dict | None = None  # over the grid, worked out before (FrameList); None: none are kept

    def check_unchanged(self) -> None:
        """Raise InputError if a file behind this frame has changed since it was opened."""
        for file in self.files:
            file.check()

    def signed_types(self, ntypes: int) -> np.ndarray:
        """Types that also say the signs of the initial moments (utils.signed_types).

        Raises
        ------
        InputError
            The frame has none.
        """
        if self.initial_magmom is None:
            raise InputError(
                f"{self.label}: the model takes initial moments, found no initial_magmom.npy"
            )
        return signed_types(self.atype, self.initial_magmom, ntypes)

    def points(self, index: np.ndarray | None = None) -> np.ndarray:
        """Positions (n, 3) float64 in Å of all points, or of those with the given flat indices."""
        if self.loose_points is not None:
            chosen = self.loose_points if index is None else self.loose_points[index]
            return np.asarray(chosen, dtype=np.float64)
        index = np.arange(len(self.density)) if index is None else index
        fractional = np.stack(np.unravel_index(index, self.grid_shape), -1) / self.grid_shape
        return fractional @ self.box

    @property
    def volume(self) -> float | None:
        """Å^3 over which weighted sums of points are a mean; None where that is not known.

        Points without weights and grid may be anywhere: their mean says nothing of the box.
        """
        if self.grid_shape is None and self.weight is None:
            return None
        return float(abs(np.linalg.det(self.box))) or None

    @property
    def volume_element(self) -> float | None:
        """Å^3 a point; None for loose points."""
        if self.grid_shape is None:
            return None
        return float(abs(np.linalg.det(self.box)) / len(self.density))

    def mean(self, values: np.ndarray) -> float:
        """Mean of values (npoints,) over the frame; over weighted points an unbiased estimate."""
        if self.weight is None:
            return float(np.mean(values, dtype=np.float64))
        return float(np.dot(self.weight.astype(np.float64), values))

    @property
    def electrons(self) -> float | None:
        """Integral of the density over the grid.

        Of loose points: that of the grid they were drawn from, where it is known; else the
        estimate of weighted points; None without weights.
        """
        if self.full_electrons is not None:
            return self.full_electrons
        return self._once("electrons", self._integral)

    @property
    def first_moment(self) -> np.ndarray | None:
        """First moment of the density about the mean position of the atoms, (3,) e Å.

        None where it has no meaning or is not known well: of periodic frames and loose points.
        """
        return self._once("first_moment", self._first_moment)

    def _once(self, name: str, value: Callable):
        if self.sums is None:
            return value()
        if name not in self.sums:
            self.sums[name] = value()
        return self.sums[name]

    def _integral(self) -> float | None:
        volume = self.volume
        return None if volume is None else self.mean(self.density) * volume

    def _first_moment(self) -> np.ndarray | None:
        if self.pbc or self.grid_shape is None:
            return None
        grid = Grid(self.grid_shape, self.box)
        return grid.first_moment(self.density.reshape(grid.shape), self.coord.mean(0))

    @property
    def model_box(self) -> np.ndarray:
        """Box as the graph takes it: (9,), zeros where the frame is not periodic."""
        return self.box.ravel() if self.pbc else np.zeros(9)

    @property
    def periodic_box(self) -> np.ndarray | None:
        """Box (9,) of a periodic frame; None: it is isolated, as frozen models are told."""
        return self.box.ravel() if self.pbc else None
