"""Quantum ESPRESSO's save folder: charge-density.dat or .hdf5 with data-file-schema.xml."""

from __future__ import annotations

import logging
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepdensity_tf.formats.base import BOHR, make_atoms
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.qe_kinds import element_of_kind
from deepdensity_tf.formats.qe_save import write_save
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Coefficients:
    """rho(G) as pw.x writes it."""

    gamma_only: bool  # half of the sphere only: rho(-G) is the complex conjugate
    miller: np.ndarray  # (ngm, 3) int
    values: np.ndarray  # (1, 2 or 4, ngm) complex: total, magnetisation


def _read(path: Path) -> list[GridField]:
    """Read the density of a `prefix.save` folder, or of a charge-density file in one.

    The magnetisation of a non-collinear calculation is left out.

    Raises
    ------
    InputError
        Missing or damaged files.
    """
    folder = path if path.is_dir() else path.parent
    file = _density_file(folder) if path.is_dir() else path
    atoms, shape = _read_schema(folder / "data-file-schema.xml")
    read_file = _read_hdf5 if file.suffix == ".hdf5" else _read_fortran
    coefficients = read_file(file)
    nspin = len(coefficients.values)
    if nspin > 2:
        log.warning("%s: non-collinear magnetisation is left out", file)
        nspin = 1
    channels = [_to_grid(one, coefficients, shape, file) for one in coefficients.values[:nspin]]
    return [GridField(atoms, *channels)]


def _density_file(folder: Path) -> Path:
    for name in ("charge-density.hdf5", "charge-density.dat"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{folder}: found no charge-density.hdf5 or charge-density.dat, expected a pw.x save folder"
    )


def _read_schema(path: Path):
    """Atoms and the FFT grid of the density."""
    try:
        output = ElementTree.parse(path).getroot().find("output")
        structure = output.find("atomic_structure")
        cell = np.array([structure.find(f"cell/a{k}").text.split() for k in (1, 2, 3)], dtype=float)
        found = structure.findall("atomic_positions/atom")
        kinds = {kind.get("name"): kind for kind in output.findall("atomic_species/species")}
        elements = {
            label: _element(path, label, kinds.get(label))
            for label in {atom.get("name") for atom in found}
        }
        symbols = [elements[atom.get("name")] for atom in found]
        positions = np.array([atom.text.split() for atom in found], dtype=float)
        grid = output.find("basis_set/fft_grid")
        shape = tuple(int(grid.get(f"nr{k}")) for k in (1, 2, 3))
    except FileNotFoundError:
        raise InputError(f"{path}: missing, expected it beside the charge density") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except InputError:
        raise
    except (AttributeError, TypeError):
        raise InputError(f"{path}: not a complete pw.x schema file (lacks an element)") from None
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: not a complete pw.x schema file ({error})") from None
    return make_atoms(path, symbols, positions * BOHR, cell * BOHR, pbc=True), shape


def _element(path: Path, label: str, kind: ElementTree.Element | None) -> str:
    pseudo, mass = (kind.findtext(name) if kind else None for name in ("pseudo_file", "mass"))
    return element_of_kind(path, label, pseudo or "", float(mass or 0))


def _read_hdf5(path: Path) -> _Coefficients:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            gamma_only = "TRUE" in str(file.attrs["gamma_only"]).upper()
            miller = np.asarray(file["MillerIndices"]).reshape(-1, 3)
            # Collinear magnetisation is one further component, non-collinear three.
            names = ["rhotot_g", "rhodiff_g", "m_x", "m_y", "m_z"]
            # Flat or as (ngm, 2), real and imaginary parts alternate in C order.
            found = [np.asarray(file[n], dtype=np.float64) for n in names if n in file]
            pairs = np.array([one.ravel() for one in found])
            if any(one.ndim == 2 and one.shape[1] != 2 for one in found):
                raise ValueError(f"coefficients of shape {found[0].shape}, expected (n, 2)")
            values = (pairs[:, 0::2] + 1j * pairs[:, 1::2]).reshape(len(pairs), len(miller))
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"{path}: not a pw.x charge density ({error})") from None
    return _Coefficients(gamma_only, miller, values)


def _read_fortran(path: Path) -> _Coefficients:
    from scipy.io import FortranEOFError, FortranFile, FortranFormattingError

    try:
        with FortranFile(path, "r") as file:
            gamma_only, ngm, nspin = (int(x) for x in file.read_ints(np.int32))
            file.read_reals(np.float64)  # reciprocal lattice
            miller = file.read_ints(np.int32).reshape(ngm, 3)
            values = np.array([file.read_record(np.complex128) for _ in range(nspin)])
            values = values.reshape(nspin, ngm)
    except OSError as error:
        if error.errno is not None:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        raise InputError(f"{path}: not a complete pw.x charge density ({error})") from None
    except (FortranEOFError, FortranFormattingError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a complete pw.x charge density ({reason})") from None
    return _Coefficients(bool(gamma_only), miller, values)


def _to_grid(values: np.ndarray, file: _Coefficients, shape: tuple, path: Path) -> np.ndarray:
    """Real-space density (nx, ny, nz) in electrons/Å^3."""
    reach = np.abs(file.miller.astype(np.int64)).max(0, initial=0)
    if np.any(2 * reach + 1 > np.array(shape)):
        raise InputError(f"{path}: G vectors do not fit the grid {shape} of data-file-schema.xml")
    # G vectors fill about half of their grid: a grid of a thousand times as many is damage.
    if math.prod(shape) > max(1e6, 1000 * len(file.miller)):
        raise InputError(f"{path}: {len(file.miller)} G vectors, too few for the grid {shape}")
    grid = np.zeros(shape, dtype=np.complex128)
    grid[tuple(file.miller.T)] = values
    if file.gamma_only:
        grid[tuple(-file.miller.T)] = values.conj()
    return np.fft.ifftn(grid).real * grid.size / BOHR**3


def _write(path: Path, atoms, density: np.ndarray, _origin, options) -> None:
    if options.waves is None:
        raise InputError(f"{path}: a save folder of pw.x needs the cut-off of the density")
    write_save(path, atoms, density, options.waves)


@FORMATS.register("qe")
class QuantumEspresso(Format):
    """Save folders of pw.x."""

    suffixes = (".save",)
    words = ("CHARGE-DENSITY",)
    read = staticmethod(_read)
    write = staticmethod(_write)
