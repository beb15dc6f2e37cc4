"""Density data types for dpdata: its systems then carry, sub-select and write densities."""

from __future__ import annotations

import functools


@functools.cache
def register() -> None:
    """Register the density arrays with dpdata's System and LabeledSystem.

    Full grids: `grid_shape` (nframes, 3) and `density` (nframes, npoints), optionally
    `spin_density`. Loose points: `grid` (nframes, npoints, 3) and `density`. All are optional, so
    systems without densities stay valid. Densities in electrons/Å^3, points in Å.
    """
    import dpdata
    import numpy as np
    from dpdata.data_type import Axis, DataType

    types = (
        DataType("grid_shape", np.ndarray, (Axis.NFRAMES, 3), required=False),
        DataType("density", np.ndarray, (Axis.NFRAMES, -1), required=False),
        DataType("spin_density", np.ndarray, (Axis.NFRAMES, -1), required=False),
        DataType("grid", np.ndarray, (Axis.NFRAMES, -1, 3), required=False),
    )
    dpdata.System.register_data_type(*types)
    dpdata.LabeledSystem.register_data_type(*types)
