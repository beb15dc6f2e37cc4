"""dpdata plug-in, found through the entry point `dpdata.plugins` once the package is installed.

dpdata imports this module while it imports itself: the density arrays become data types of its
systems, and the format "density" reads and writes files of densities.
"""

from __future__ import annotations

import numpy as np
from dpdata.data_type import register_data_type
from dpdata.format import Format

from deepdensity_tf.data.dpdata_types import density_types

for _data_type in density_types():
    register_data_type(_data_type, labeled=False)


@Format.register("density")
class DensityFormat(Format):
    """Cube, CHGCAR, pw.x save folder, .gpw or .npz files of densities.

    Examples
    --------
    >>> dpdata.System("CHGCAR", fmt="density")["density"].shape  # doctest: +SKIP
    (1, 110592)
    """

    def from_system(self, file_name: str, **_kwargs) -> dict:
        """Structure and density of a file, one frame each (see `read_density`)."""
        from deepdensity_tf.formats import read_density

        frames = read_density(file_name)
        symbols = frames[0].atoms.get_chemical_symbols()
        names = sorted(set(symbols), key=symbols.index)
        data = {
            "atom_names": names,
            "atom_numbs": [symbols.count(name) for name in names],
            "atom_types": np.array([names.index(symbol) for symbol in symbols]),
            "cells": np.array([frame.atoms.cell.array for frame in frames]),
            "coords": np.array([frame.atoms.positions for frame in frames]),
            "orig": np.zeros(3),
            "grid_shape": np.array([frame.density.shape for frame in frames], dtype=np.int32),
            "density": np.array([frame.density.ravel() for frame in frames]),
        }
        if frames[0].spin_density is not None:
            data["spin_density"] = np.array([frame.spin_density.ravel() for frame in frames])
        if not frames[0].atoms.pbc.any():
            data["nopbc"] = True
        return data

    def to_system(self, data: dict, file_name: str, frame_idx: int = 0, **_kwargs) -> None:
        """Write the density of a frame to a cube, CHGCAR or NumPy file (see `write_volumetric`)."""
        from ase import Atoms

        from deepdensity_tf.formats import write_volumetric
        from deepdensity_tf.utils.errors import InputError

        if "density" not in data or "grid_shape" not in data:
            raise InputError(f"{file_name}: the system has no density on a grid to write")
        atoms = Atoms(
            [data["atom_names"][atype] for atype in data["atom_types"]],
            data["coords"][frame_idx],
            cell=data["cells"][frame_idx],
            pbc=not data.get("nopbc", False),
        )
        shape = tuple(data["grid_shape"][frame_idx])
        write_volumetric(file_name, atoms, data["density"][frame_idx].reshape(shape))
