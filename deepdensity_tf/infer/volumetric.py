"""Grids of points in a cell, and files that hold a density on one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.data.formats.base import BOHR
from deepdensity_tf.data.formats.qe_save import PlaneWaves, write_save
from deepdensity_tf.data.formats.vasp_paw import Augmentation, augmentation_text, matched
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

if TYPE_CHECKING:
    from ase import Atoms

HARTREE = 27.211386245988  # eV, CODATA 2018


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileOptions:
    """What some kinds of files need to know.

    Parameters
    ----------
    waves : PlaneWaves, optional
        pw.x's G vectors, for save folders.
    augmentation : Augmentation, optional
        PAW occupancies to put into CHGCAR files.
    """

    waves: PlaneWaves | None = None
    augmentation: Augmentation | None = None


@dataclass(frozen=True)
class Grid:
    """A regular grid: point (i, j, k) lies at origin + (i/nx, j/ny, k/nz) cell.

    Parameters
    ----------
    shape : tuple of int
        (nx, ny, nz).
    cell : ndarray
        Vectors that span the grid, rows of (3, 3), Å.
    origin : ndarray
        (3,), Å.
    """

    shape: tuple[int, ...]
    cell: np.ndarray
    origin: np.ndarray = field(default_factory=lambda: np.zeros(3))

    @property
    def npoints(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def volume_element(self) -> float:
        """Volume a point stands for, Å^3."""
        return abs(np.linalg.det(self.cell)) / self.npoints

    def points(self) -> np.ndarray:
        """All points in C order, (npoints, 3), Å."""
        fractions = [np.arange(n) / n for n in self.shape]
        mesh = np.stack(np.meshgrid(*fractions, indexing="ij"), -1).reshape(-1, 3)
        return self.origin + mesh @ self.cell


def fft_shape(cell: np.ndarray, spacing: float) -> tuple[int, int, int]:
    """Numbers of points along the cell vectors, at most `spacing` (Å) apart.

    Rounded up to products of 2, 3, 5 and 7, which fast Fourier transforms (and VASP) ask for.

    Examples
    --------
    >>> fft_shape(10 * np.eye(3), 0.1)
    (100, 100, 100)
    >>> fft_shape(10 * np.eye(3), 0.9)
    (12, 12, 12)
    """
    lengths = np.linalg.norm(cell, axis=1)
    # The tolerance keeps 10 Å / 0.1 Å at 100 whatever the rounding.
    nx, ny, nz = (_next_smooth(int(np.ceil(n - 1e-8))) for n in lengths / spacing)
    return nx, ny, nz


def _next_smooth(n: int) -> int:
    n = max(n, 1)
    while True:
        rest = n
        for factor in (2, 3, 5, 7):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
        n += 1


def box_around(positions: np.ndarray, pad: float) -> tuple[np.ndarray, np.ndarray]:
    """The upright box that reaches `pad` beyond the outermost atoms.

    Parameters
    ----------
    positions : ndarray
        (natoms, 3), Å.
    pad : float
        Å; more than 0.

    Returns
    -------
    cell : ndarray
        (3, 3), Å.
    origin : ndarray
        Lowest corner, (3,), Å.
    """
    low, high = positions.min(axis=0) - pad, positions.max(axis=0) + pad
    return np.diag(high - low), low


def file_format(path: str | Path) -> str:
    """What a volumetric file is by its name: "cube", "chgcar", "npy" or "save".

    Raises
    ------
    InputError
        Any other name.
    """
    path = Path(path)
    if path.suffix.lower() in (".cube", ".cub"):
        return "cube"
    if path.suffix.lower() == ".npy":
        return "npy"
    if path.suffix.lower() == ".save":
        return "save"
    if path.suffix.lower() == ".vasp" or path.name.upper().startswith("CHGCAR"):
        return "chgcar"
    raise InputError(
        f"{path}: unknown kind of density file, expected a name that ends in .cube, .npy, .vasp "
        "or .save or begins with CHGCAR"
    )


def write_volumetric(
    path: str | Path,
    atoms: Atoms,
    density: np.ndarray,
    origin: np.ndarray | None = None,
    options: FileOptions | None = None,
) -> None:
    """Write a density to a cube, CHGCAR or NumPy file or a pw.x save folder, chosen by its name.

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
    fastest, atoms grouped by element. Both carry 11 digits.
    """
    density = np.asarray(density, dtype=np.float64)
    origin = np.zeros(3) if origin is None else np.asarray(origin, dtype=np.float64)
    options = options or FileOptions()
    kind = file_format(path)
    if kind == "save":
        if options.waves is None:
            raise InputError(f"{path}: a save folder of pw.x needs the cut-off of the density")
        write_save(path, atoms, density, options.waves)
        return
    with atomic_path(path) as temporary:
        if kind == "cube":
            title = "electron density in electrons/bohr^3"
            _write_cube(temporary, atoms, density * BOHR**3, origin, title)
        elif kind == "chgcar":
            _write_chgcar(temporary, atoms, density, origin, options.augmentation)
        else:
            np.save(temporary, density)


def write_potential(
    path: str | Path, atoms: Atoms, potential: np.ndarray, origin: np.ndarray
) -> None:
    """Write a potential (nx, ny, nz) in eV: cube files in hartree, NumPy files as it is.

    Raises
    ------
    InputError
        Another kind of file, or one that cannot be written.
    """
    kind = file_format(path)
    if kind not in ("cube", "npy"):
        raise InputError(f"{path}: potentials go to .cube or .npy files")
    with atomic_path(path) as temporary:
        if kind == "npy":
            np.save(temporary, potential)
            return
        title = "potential energy of an electron in hartree"
        _write_cube(temporary, atoms, potential / HARTREE, origin, title)


def _write_cube(
    path: Path, atoms: Atoms, values: np.ndarray, origin: np.ndarray, title: str
) -> None:
    # ASE's writer has 6 digits for the cell and 7 for the density: too few to read back.
    voxels = np.asarray(atoms.cell) / np.array(values.shape)[:, None] / BOHR
    lines = [
        title,
        "OUTER LOOP: X, MIDDLE LOOP: Y, INNER LOOP: Z",
        _cube_row(len(atoms), origin / BOHR),
    ]
    lines += [_cube_row(n, voxel) for n, voxel in zip(values.shape, voxels, strict=True)]
    for number, position in zip(atoms.numbers, atoms.positions / BOHR, strict=True):
        lines.append(_cube_row(number, (number, *position)))
    nz = values.shape[2]
    ends = ["\n" if k % 6 == 5 or k == nz - 1 else "" for k in range(nz)]
    row_format = "".join(f" %17.10E{end}" for end in ends)
    with open(path, "w", encoding="ascii") as stream:
        stream.write("\n".join(lines) + "\n")
        for row in values.reshape(-1, nz):
            stream.write(row_format % tuple(row))


def _cube_row(number: int, values) -> str:
    return f"{number:5d}" + "".join(f" {value:17.12f}" for value in values)


def _write_chgcar(
    path: Path,
    atoms: Atoms,
    density: np.ndarray,
    origin: np.ndarray,
    augmentation: Augmentation | None,
) -> None:
    from ase.calculators.vasp import VaspChargeDensity

    symbols = atoms.get_chemical_symbols()
    first = {symbol: index for index, symbol in reversed(list(enumerate(symbols)))}
    grouped = atoms[sorted(range(len(atoms)), key=lambda i: (first[symbols[i]], i))]
    grouped.positions -= origin
    charge = VaspChargeDensity(None)
    charge.atoms, charge.chg = [grouped], [density]
    if augmentation:
        occupancies, nmatched = matched(augmentation, grouped)
        charge.aug = augmentation_text(occupancies)
        log.info(
            "%s: PAW occupancies of %d atoms atom by atom, of %d as means over their element",
            path.name,
            nmatched,
            len(grouped) - nmatched,
        )
    charge.write(str(path), format="chgcar")
