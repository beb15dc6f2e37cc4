"""Which reader takes which file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from deepdensity_tf.data.formats import cube, gpaw, numpy_npz, qe, vasp
from deepdensity_tf.data.formats.base import Volumetric
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)

FORMATS: dict[str, Callable[[Path], list[Volumetric]]] = {
    "cube": cube.read,
    "vasp": vasp.read,
    "qe": qe.read,
    "gpaw": gpaw.read,
    "npz": numpy_npz.read,
}


def read_density(path: str | Path, fmt: str | None = None) -> list[Volumetric]:
    """Read the densities of a file or folder.

    Parameters
    ----------
    path : str or Path
        Gaussian cube, VASP CHGCAR/CHG/AECCAR (both also .gz, .bz2, .xz), pw.x save folder or its
        charge-density file, GPAW .gpw, NumPy .npz.
    fmt : str, optional
        One of `FORMATS`; None: by the name.

    Returns
    -------
    list of Volumetric
        Densities in electrons/Å^3.

    Raises
    ------
    InputError
        No such file, an unknown format, or a damaged file.
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
    return FORMATS[fmt](path)


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
