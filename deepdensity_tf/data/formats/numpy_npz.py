"""NumPy archives."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from deepdensity_tf.data.formats.base import Volumetric
from deepdensity_tf.utils.errors import InputError


def read(path: Path) -> list[Volumetric]:
    """Read density (nx, ny, nz) in electrons/Å^3, coord (natoms, 3) and box (3, 3) in Å.

    Further keys: symbols or numbers (natoms,), pbc (one or three booleans, true), spin_density.

    Raises
    ------
    InputError
        Missing keys, wrong shapes, not an archive.
    """
    import ase

    try:
        with np.load(path, allow_pickle=False) as archive:
            data = {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path}: not an .npz archive ({str(error).splitlines()[0]})") from None
    missing = [key for key in ("density", "coord", "box") if key not in data]
    if not {"symbols", "numbers"} & set(data):
        missing.append("symbols")
    if missing:
        raise InputError(
            f"{path}: found keys {', '.join(data)}, expected also {', '.join(missing)}"
        )
    density, spin = data["density"], data.get("spin_density")
    if density.ndim != 3 or (spin is not None and spin.shape != density.shape):
        raise InputError(f"{path}: density has shape {density.shape}, expected (nx, ny, nz)")
    species = data["symbols"].tolist() if "symbols" in data else data["numbers"]
    try:
        atoms = ase.Atoms(
            species,
            data["coord"].reshape(-1, 3),
            cell=data["box"].reshape(3, 3),
            pbc=data.get("pbc", True),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no valid atoms ({error})") from None
    spin = None if spin is None else spin.astype(np.float64)
    return [Volumetric(atoms, density.astype(np.float64), spin)]
