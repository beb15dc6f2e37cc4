"""Density files of any format: which one a file is, reading and writing it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import UNITS, read_bytes
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.formats.qe_save import PlaneWaves
    from deepdensity_tf.formats.vasp_paw import Augmentation
    from deepdensity_tf.utils.paw_blocks import Occupancies

log = logging.getLogger(__name__)

COMPRESSED = (".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class FileOptions:
    """What the writers of some formats need to know.

    Parameters
    ----------
    waves : PlaneWaves, optional
        pw.x's G vectors, for save folders.
    augmentation : Augmentation, optional
        PAW occupancies of another CHGCAR to put into CHGCAR files.
    occupancies : Occupancies, optional
        PAW occupancies of the atoms, for CHGCAR and .npz files.
    spin : np.ndarray, optional
        Spin density, shaped as the density, for files that hold both: CHGCAR, .npz.
    comment : str, optional
        Where the density comes from, for CHGCAR and .npz files.
    """

    waves: PlaneWaves | None = None
    augmentation: Augmentation | None = None
    occupancies: Occupancies | None = None
    spin: np.ndarray | None = None
    comment: str | None = None


def readable() -> list[str]:
    """Names of the formats that are read."""
    return [name for name, kind in FORMATS.all().items() if kind.read]


def read_density(
    path: str | Path, fmt: str | None = None, unit: str | None = None
) -> list[GridField]:
    """Read the densities of a file or folder.

    Parameters
    ----------
    path : str or Path
        Gaussian cube, VASP CHGCAR/CHG/AECCAR, XSF (all also compressed by gzip, bzip2 or xz), pw.x
        save folder or its charge-density file, GPAW .gpw, NumPy .npz.
    fmt : str, optional
        Name of a format; None: by the name.
    unit : str, optional
        What cube, XSF and npz files hold, e/bohr3 or e/ang3; None: electrons/bohr^3 in cube and
        XSF files (electrons/Å^3 in cube files with lengths in Å), electrons/Å^3 in npz.

    Returns
    -------
    list of GridField
        Densities in electrons/Å^3.

    Raises
    ------
    InputError
        No such file, an unknown format or unit, or a damaged file.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if fmt is None:
        fmt = _guess(path)
        log.debug("%s: taken as %s", path, fmt)
    if fmt not in readable():
        raise InputError(
            f"{path}: format {fmt!r} asked for, expected one of {', '.join(readable())}"
        )
    if path.is_dir() and fmt != "qe":
        raise InputError(f"{path}: is a directory, expected a {fmt} file")
    kind = FORMATS.all()[fmt]
    if unit is None:
        return kind.read(path)
    if unit not in UNITS:
        raise InputError(f"{path}: unit {unit!r} asked for, expected one of {', '.join(UNITS)}")
    if kind.unit is None:
        raise InputError(f"{path}: unit {unit} asked for, but the unit of {fmt} files is fixed")
    return kind.read(path, unit)


def plain_name(path: Path) -> str:
    """Name of a file without the suffix of a compression."""
    return path.stem if path.suffix.lower() in COMPRESSED else path.name


def _guess(path: Path) -> str:
    """Name of the format by the file's first bytes or, where they do not say it, by its name."""
    kinds = {name: kind for name, kind in FORMATS.all().items() if kind.read}
    start = b"" if path.is_dir() else read_bytes(path, 4096)
    for name, kind in kinds.items():
        if start.startswith(kind.magic):
            return name
    for name, kind in kinds.items():
        if kind.is_named(plain_name(path)):
            return name
    if path.is_dir():
        return "qe"
    if start.startswith(b"\x89HDF"):
        raise InputError(
            f"{path}: HDF5 files such as vaspout.h5 are not read; run VASP with LCHARGH5 = .FALSE. "
            "and LCHARG = .TRUE. for a CHGCAR, or save density, coord, box, symbols as .npz"
        )
    text = start.decode("latin-1").replace("\r\n", "\n")
    for name, kind in kinds.items():
        if kind.pattern and kind.pattern.match(text):
            return name
    raise InputError(f"{path}: format not known by its name, give --format {'|'.join(kinds)}")


def file_format(path: str | Path) -> str:
    """Name of the format that a file is written in, by its name.

    Raises
    ------
    InputError
        A name that no format takes.
    """
    path = Path(path)
    kinds = _writers()
    # An end says more than a beginning: CHGCAR.npy is an .npy file.
    for name, kind in kinds.items():
        if path.name.lower().endswith(kind.suffixes):
            return name
    for name, kind in kinds.items():
        if kind.is_named(path.name):
            return name
    suffixes = [suffix for kind in kinds.values() for suffix in kind.suffixes[:1]]
    raise InputError(
        f"{path}: unknown kind of density file, expected a name that ends in "
        f"{', '.join(suffixes)} or begins with CHGCAR"
    )


def _writers() -> dict[str, type[Format]]:
    return {name: kind for name, kind in FORMATS.all().items() if kind.write}


def write_volumetric(
    path: str | Path,
    atoms: Atoms,
    density: np.ndarray,
    origin: np.ndarray | None = None,
    options: FileOptions | None = None,
) -> None:
    """Write a density to a file or folder of the format that its name says.

    Parameters
    ----------
    path : str or Path
        See `file_format`.
    atoms : ase.Atoms
        Its cell spans the grid.
    density : ndarray
        (nx, ny, nz), electrons/Å^3; NumPy files hold it as it is.
    origin : ndarray, optional
        First point of the grid, (3,), Å; 0 by default. A cube keeps it; in a CHGCAR the atoms are
        moved by -origin.
    options : FileOptions, optional
        `waves` for save folders, `augmentation` for CHGCAR files.

    Raises
    ------
    InputError
        Unknown kind of file, a file that cannot be written, a save folder without `waves`.

    Notes
    -----
    Cube: bohr and electrons/bohr^3. CHGCAR: density times volume of the cell, first index
    fastest, atoms in their order. Both carry 11 digits.
    """
    density = np.asarray(density, dtype=np.float64)
    origin = np.zeros(3) if origin is None else np.asarray(origin, dtype=np.float64)
    kind = FORMATS[file_format(path)]
    kind.write(Path(path), atoms, density, origin, options or FileOptions())


def write_potential(
    path: str | Path, atoms: Atoms, potential: np.ndarray, origin: np.ndarray
) -> None:
    """Write a potential (nx, ny, nz) in eV: cube files in hartree, NumPy files as it is.

    Raises
    ------
    InputError
        A format that does not hold potentials, or a file that cannot be written.
    """
    kind = FORMATS[file_format(path)]
    if kind.write_potential is None:
        raise InputError(f"{path}: potentials go to .cube or .npy files")
    kind.write_potential(Path(path), atoms, potential, origin)
