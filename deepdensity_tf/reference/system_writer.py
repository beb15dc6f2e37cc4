"""Labelled frames to a `deepmd/npy` system with densities."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_folder


def write_system(
    path: str | os.PathLike,
    symbols: Sequence[str],
    coord: np.ndarray,
    box: np.ndarray,
    labels: Mapping[str, np.ndarray],
    periodic: bool = True,
) -> None:
    """Write frames of one system, all in `set.000`; the folder appears whole or not at all.

    Parameters
    ----------
    path : str or Path
        Folder to make.
    symbols : sequence of str
        Name of each atom's type, (natoms,). `type_map.raw` lists them sorted.
    coord : np.ndarray
        (nframes, natoms, 3), Å.
    box : np.ndarray
        Cell rows, (nframes, 3, 3), Å.
    labels : mapping of str to np.ndarray
        `density` (nframes, npoints), electrons/Å³, together with `grid_shape` (nframes, 3) for
        full grids in C order or `grid` (nframes, npoints, 3), Å, for loose points. Optional:
        `spin_density` like `density`, `energy` (nframes,), `force` (nframes, natoms, 3).
    periodic : bool
        False: an isolated molecule; `box` merely spans the grid.

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite or `path` exists.
    """
    coord = np.asarray(coord, float)
    arrays = {"coord": coord, "box": np.asarray(box, float)}
    arrays |= {name: np.asarray(array) for name, array in labels.items()}
    _check(path, arrays, len(symbols))
    type_map = sorted(set(symbols))
    with atomic_folder(path) as folder:
        (folder / "set.000").mkdir()
        for name, array in arrays.items():
            # Loose points keep their axis of coordinates, all other arrays are flat in deepmd/npy.
            flat = array if name == "grid" or array.ndim < 3 else array.reshape(len(coord), -1)
            np.save(folder / "set.000" / f"{name}.npy", flat)
        np.savetxt(folder / "type.raw", [type_map.index(s) for s in symbols], fmt="%d")
        (folder / "type_map.raw").write_text("".join(f"{s}\n" for s in type_map))
        if not periodic:
            (folder / "nopbc").touch()


def _check(path: str | os.PathLike, arrays: Mapping[str, np.ndarray], natoms: int) -> None:
    if "density" not in arrays or ("grid" in arrays) == ("grid_shape" in arrays):
        raise InputError(
            f"{path}: found {sorted(arrays)}, expected density and one of grid and grid_shape"
        )
    nframes, npoints = len(arrays["coord"]), arrays["density"].shape[-1]
    expected = {
        "coord": (nframes, natoms, 3),
        "box": (nframes, 3, 3),
        "density": (nframes, npoints),
        "spin_density": (nframes, npoints),
        "grid": (nframes, npoints, 3),
        "grid_shape": (nframes, 3),
        "energy": (nframes,),
        "force": (nframes, natoms, 3),
    }
    for name, array in arrays.items():
        if name not in expected:
            raise InputError(f"{path}: label {name!r} is not one of {sorted(expected)}")
        if array.shape != expected[name]:
            raise InputError(f"{path}: {name} is {array.shape}, expected {expected[name]}")
        if not np.all(np.isfinite(array)):
            raise InputError(f"{path}: {name} has numbers that are not finite")
    if "grid_shape" in arrays and np.any(np.prod(arrays["grid_shape"], 1) != npoints):
        raise InputError(f"{path}: grid_shape does not multiply to the {npoints} density values")
