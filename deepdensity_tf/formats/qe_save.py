"""Writes the save folder of Quantum ESPRESSO from which pw.x starts (startingpot = 'file')."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_folder

if TYPE_CHECKING:
    from ase import Atoms

_SAME_SHELL = 1e-8  # pw.x: |G|^2, in (2 pi / alat)^2, that differ by less count as equal


@dataclass(frozen=True)
class PlaneWaves:
    """Which G vectors pw.x holds.

    Parameters
    ----------
    ecutrho : float
        Cut-off of the density, Ry; by default pw.x takes 4 ecutwfc.
    gamma_only : bool
        Half of the sphere, as for `K_POINTS gamma`; a density is real, so nothing is lost. pw.x
        converts either kind to the one it needs.
    hdf5 : bool
        charge-density.hdf5, which a pw.x built with HDF5 reads, instead of charge-density.dat.
    """

    ecutrho: float
    gamma_only: bool = True
    hdf5: bool = False


def g_vectors(cell: np.ndarray, waves: PlaneWaves) -> np.ndarray:
    """Miller indices of |G|^2 <= ecutrho, in pw.x's order.

    pw.x assigns the numbers of its file by position, not by index, so the order matters: by |G|^2,
    and within a shell by the first, second, third index (the order of pw.x's loops).

    Parameters
    ----------
    cell : ndarray
        Rows of (3, 3), Å.
    waves : PlaneWaves
        Cut-off and mode.

    Returns
    -------
    ndarray
        (n, 3) int32; (0, 0, 0) first.
    """
    alat = np.linalg.norm(cell[0])
    cutoff = waves.ecutrho / (2 * np.pi * BOHR / alat) ** 2
    reciprocal = np.linalg.inv(cell / alat).T
    # |index k| = |G . a_k| / 2 pi <= |G| |a_k| / 2 pi
    most = np.floor(np.sqrt(cutoff) * np.linalg.norm(cell, axis=1) / alat + 1e-9).astype(int)
    ranges = [np.arange(-n, n + 1, dtype=np.int32) for n in most]
    if waves.gamma_only:
        ranges[0] = ranges[0][most[0] :]
    shells, millers = [], []
    for first in ranges[0]:  # one plane at a time bounds the memory
        plane = np.stack(np.meshgrid(first, *ranges[1:], indexing="ij"), -1).reshape(-1, 3)
        if waves.gamma_only and first == 0:
            plane = plane[len(plane) // 2 :]  # the other half is the conjugate
        square = np.sum((plane @ reciprocal) ** 2, axis=1)
        inside = square <= cutoff
        shells.append(square[inside])
        millers.append(plane[inside])
    square, miller = np.concatenate(shells), np.concatenate(millers)
    order = np.argsort(square, kind="stable")
    shell = np.cumsum(np.diff(square[order], prepend=-1.0) >= _SAME_SHELL)
    return miller[order[np.lexsort((order, shell))]]


def fft_grid(miller: np.ndarray) -> tuple[int, int, int]:
    """pw.x's FFT grid for these G vectors.

    Numbers of points are products of 2, 3 and 5, at least 2 max|index| + 1.

    Examples
    --------
    >>> fft_grid(np.array([[0, 0, 0], [13, -3, 29]]))
    (27, 8, 60)
    """
    from scipy.fft import next_fast_len

    nx, ny, nz = (next_fast_len(2 * int(n) + 1, real=True) for n in np.abs(miller).max(axis=0))
    return nx, ny, nz


def low_pass(density: np.ndarray, miller: np.ndarray) -> np.ndarray:
    """Fourier coefficients of a density at the given G vectors.

    Parameters
    ----------
    density : ndarray
        (nx, ny, nz) on any grid that holds the vectors, electrons/Å^3. The finer it is, the less
        of the components beyond the sphere is folded back into it.
    miller : ndarray
        (n, 3) int.

    Returns
    -------
    ndarray
        (n,) complex, electrons/bohr^3.

    Raises
    ------
    InputError
        A grid too coarse.
    """
    least = 2 * np.abs(miller).max(axis=0) + 1
    if np.any(np.array(density.shape) < least):
        raise InputError(
            f"a grid of {' x '.join(map(str, density.shape))} points cannot hold the G vectors of "
            f"this cut-off, expected at least {' x '.join(map(str, least))}"
        )
    coefficients = np.fft.fftn(density) * (BOHR**3 / density.size)
    return coefficients[tuple(miller.T)]


def write_save(
    path: str | Path,
    atoms: Atoms,
    density: np.ndarray,
    waves: PlaneWaves,
    spin_density: np.ndarray | None = None,
) -> None:
    """Write `prefix.save` with charge-density.dat (or .hdf5) and data-file-schema.xml.

    pw.x reads the former with startingpot = 'file', outdir the
    folder that holds `prefix.save`. The latter holds what readers of densities need, the structure
    and the FFT grid; pw.x replaces both.

    Parameters
    ----------
    path : str or Path
        Folder to make; must not exist.
    atoms : ase.Atoms
        Periodic.
    density : ndarray
        (nx, ny, nz), electrons/Å^3, on a grid at least as fine as pw.x's own.
    waves : PlaneWaves
        As in the input of pw.x.
    spin_density : ndarray, optional
        Up minus down, for nspin = 2.

    Raises
    ------
    InputError
        A structure that is not periodic, a grid too coarse, a folder that cannot be made.
    """
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise InputError(f"{path}: pw.x is periodic, the structure is not (give it a cell)")
    miller = g_vectors(np.array(atoms.cell), waves)
    channels = [low_pass(density, miller)]
    if spin_density is not None:
        channels.append(low_pass(spin_density, miller))
    with atomic_folder(path) as folder:
        if waves.hdf5:
            _write_hdf5(folder / "charge-density.hdf5", miller, channels, waves)
        else:
            _write_fortran(folder / "charge-density.dat", atoms, miller, channels, waves)
        _write_schema(folder / "data-file-schema.xml", atoms, fft_grid(miller), waves)


def _write_fortran(path: Path, atoms: Atoms, miller, channels, waves: PlaneWaves) -> None:
    from scipy.io import FortranFile

    reciprocal = 2 * np.pi * BOHR * np.linalg.inv(np.array(atoms.cell)).T
    with FortranFile(path, "w") as file:
        header = [int(waves.gamma_only), len(miller), len(channels)]
        file.write_record(np.array(header, dtype=np.int32))
        file.write_record(reciprocal.ravel())
        file.write_record(miller.astype(np.int32).ravel())
        for coefficients in channels:
            file.write_record(coefficients.astype(np.complex128))


def _write_hdf5(path: Path, miller, channels, waves: PlaneWaves) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["gamma_only"] = np.bytes_(".TRUE." if waves.gamma_only else ".FALSE.")
        file.attrs["ngm_g"] = np.int32(len(miller))
        file.attrs["nspin"] = np.int32(len(channels))
        file["MillerIndices"] = miller.astype(np.int32)
        for name, coefficients in zip(("rhotot_g", "rhodiff_g"), channels, strict=False):
            file[name] = coefficients.astype(np.complex128).view(np.float64)


def _write_schema(path: Path, atoms: Atoms, shape: tuple, waves: PlaneWaves) -> None:
    root = ElementTree.Element("espresso")
    output = ElementTree.SubElement(root, "output")
    length = np.linalg.norm(atoms.cell[0]) / BOHR
    structure = ElementTree.SubElement(
        output, "atomic_structure", nat=str(len(atoms)), alat=f"{length:.15e}"
    )
    positions = ElementTree.SubElement(structure, "atomic_positions")
    for k, (symbol, row) in enumerate(zip(atoms.symbols, atoms.positions / BOHR, strict=True), 1):
        atom = ElementTree.SubElement(positions, "atom", name=symbol, index=str(k))
        atom.text = _numbers(row)
    cell = ElementTree.SubElement(structure, "cell")
    for k, row in enumerate(np.array(atoms.cell) / BOHR, 1):
        ElementTree.SubElement(cell, f"a{k}").text = _numbers(row)
    basis = ElementTree.SubElement(output, "basis_set")
    ElementTree.SubElement(basis, "gamma_only").text = str(waves.gamma_only).lower()
    ElementTree.SubElement(basis, "ecutrho").text = f"{waves.ecutrho / 2:.15e}"  # Hartree
    grid = {f"nr{k}": str(n) for k, n in enumerate(shape, 1)}
    ElementTree.SubElement(basis, "fft_grid", grid)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


def _numbers(row: np.ndarray) -> str:
    return " ".join(f"{value:.15e}" for value in row)
