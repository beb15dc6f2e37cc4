"""Which reader takes which file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from deepdensity_tf.data.formats import cube, gpaw, numpy_npz, qe, vasp
from deepdensity_tf.data.formats.base import UNITS, Volumetric
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)

FORMATS: dict[str, Callable[..., list[Volumetric]]] = {
    "cube": cube.read,
    "vasp": vasp.read,
    "qe": qe.read,
    "gpaw": gpaw.read,
    "npz": numpy_npz.read,
}
_WITH_UNIT = ("cube", "npz")  # the others say the unit themselves


def read_density(
    path: str | Path, fmt: str | None = None, unit: str | None = None
) -> list[Volumetric]:
    """Read the densities of a file or folder.

    Parameters
    ----------
    path : str or Path
        Gaussian cube, VASP CHGCAR/CHG/AECCAR (both also .gz, .bz2, .xz), pw.x save folder or its
        charge-density file, GPAW .gpw, NumPy .npz.
    fmt : str, optional
        One of `FORMATS`; None: by the name.
    unit : str, optional
        What cube and npz files hold, e/bohr3 or e/ang3; None: electrons/bohr^3 in cube files
        (electrons/Å^3 in those with lengths in Å), electrons/Å^3 in npz.

    Returns
    -------
    list of Volumetric
        Densities in electrons/Å^3.

    Raises
    ------
    InputError
        No such file, an unknown format or unit, or a damaged file.
    """
    path = Path(path)
    if fmt is None:
        fmt = _guess(path)
        log.debug("%s: taken as %s by its name", path, fmt)
    if fmt not in FORMATS:
        raise InputError(f"{path}: format {fmt!r} asked for, expected one of {', '.join(FORMATS)}")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir() and fmt != "qe":
        raise InputError(f"{path}: is a directory, expected a {fmt} file")
    if unit is None:
        return FORMATS[fmt](path)
    if unit not in UNITS:
        raise InputError(f"{path}: unit {unit!r} asked for, expected one of {', '.join(UNITS)}")
    if fmt not in _WITH_UNIT:
        raise InputError(f"{path}: unit {unit} asked for, but the unit of {fmt} files is fixed")
    return FORMATS[fmt](path, unit)


def _guess(path: Path) -> str:
    name = path.name
    for suffix in (".gz", ".bz2", ".xz"):
        name = name.removesuffix(suffix)
    lower = name.lower()
    if lower.endswith((".cube", ".cub")):
        return "cube"
    if lower.endswith(".gpw"):
        return "gpaw"
    if lower.endswith(".npz"):
        return "npz"
    if lower.startswith("charge-density") or path.is_dir():
        return "qe"
    if any(word in name.upper() for word in ("CHGCAR", "AECCAR", "CHG", "PARCHG")):
        return "vasp"
    raise InputError(f"{path}: format not known by its name, give --format {'|'.join(FORMATS)}")
