"""Density data types for dpdata: its systems then carry, sub-select and write densities."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dpdata.data_type import DataType


@functools.cache
def density_types() -> tuple[DataType, ...]:
    """The density arrays as dpdata data types, the same objects at every call.

    Full grids: `grid_shape` (nframes, 3) and `density` (nframes, npoints), optionally
    `spin_density`. Loose points: `grid` (nframes, npoints, 3) and `density`, optionally `weight`
    (nframes, npoints) and `electrons` (nframes,). With spin also `initial_magmom` (nframes,
    natoms). All are optional, so systems without densities stay valid. Densities in electrons/Å^3,
    points in Å.

    The box of a molecule (`nopbc`), which dpdata drops on reading, is kept where there is a
    `grid_shape`: it spans the grid. dpdata holds all frames of a system in one array, so it cannot
    read a system whose sets have different numbers of points.
    """
    import numpy as np
    from dpdata.data_type import Axis, DataError, DataType

    class Density(DataType):
        """As many values as the grid has points."""

        def check(self, system) -> None:
            super().check(system)
            if self.name not in system.data or "grid_shape" not in system.data:
                return
            expected = np.prod(system.data["grid_shape"], axis=1, dtype=np.int64)
            found = np.shape(system.data[self.name])[1]
            if np.any(expected != found):
                raise DataError(
                    f"{self.name} has {found} points, grid_shape {sorted(set(expected.tolist()))}"
                )

    class GridBox(DataType):
        """Reads box.npy once more, to give a molecule back the box that spans its grid."""

        def check(self, system) -> None:
            box = system.data.pop(self.name, None)
            if box is None or "grid_shape" not in system.data or not system.data.get("nopbc"):
                return
            if not np.any(system.data["cells"]):
                system.data["cells"] = box

    return (
        DataType("grid_shape", np.ndarray, (Axis.NFRAMES, 3), required=False),
        Density("density", np.ndarray, (Axis.NFRAMES, -1), required=False),
        Density("spin_density", np.ndarray, (Axis.NFRAMES, -1), required=False),
        DataType("grid", np.ndarray, (Axis.NFRAMES, -1, 3), required=False),
        DataType("weight", np.ndarray, (Axis.NFRAMES, -1), required=False),
        DataType("electrons", np.ndarray, (Axis.NFRAMES,), required=False),
        DataType("initial_magmom", np.ndarray, (Axis.NFRAMES, Axis.NATOMS), required=False),
        GridBox("grid_box", np.ndarray, (Axis.NFRAMES, 3, 3), required=False, deepmd_name="box"),
    )


def register() -> None:
    """Register the density arrays with dpdata's System and LabeledSystem.

    Needed only where the package is imported without being installed: else dpdata finds them by
    its entry point (`deepdensity_tf.interfaces.dpdata`).
    """
    import dpdata

    dpdata.System.register_data_type(*density_types())
    dpdata.LabeledSystem.register_data_type(*density_types())
