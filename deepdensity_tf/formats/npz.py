"""NumPy archives, and single arrays (.npy), which are written only."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import UNITS, first_line, make_atoms, open_bytes
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.registry import FORMATS, Format
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path
from deepdensity_tf.utils.paw_blocks import Occupancies, stored_occupancies
from deepdensity_tf.utils.whole import whole_numbers

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.formats.files import FileOptions


def _read(path: Path, unit: str | None = None) -> list[GridField]:
    """Read density (nx, ny, nz) in electrons/Å^3 or `unit`, coord (natoms, 3), box (3, 3) in Å.

    Further keys: symbols or numbers (natoms,), pbc (one or three booleans, true), spin_density;
    PAW occupancies: augmentation, spin_augmentation (natoms, n), augmentation_channels (JSON);
    initial_magmom (natoms,).

    Raises
    ------
    InputError
        Missing keys, wrong shapes, not an archive.
    """
    try:
        with open_bytes(path) as stream, np.load(stream, allow_pickle=False) as archive:
            _check_sizes(path, archive.zip)
            data = {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (MemoryError, InputError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy's headers raise whatever they meet
        raise InputError(f"{path}: not an .npz archive ({first_line(error)})") from None
    missing = [key for key in ("density", "coord", "box") if key not in data]
    if not {"symbols", "numbers"} & set(data):
        missing.append("symbols")
    if missing:
        raise InputError(
            f"{path}: found keys {', '.join(data)}, expected also {', '.join(missing)}"
        )
    scale = UNITS[unit or "e/ang3"]
    channels = [
        _values(path, key, data[key], data["density"].shape) * scale
        for key in ("density", "spin_density")
        if key in data
    ]
    coord = _values(path, "coord", data["coord"], (data["coord"].size // 3, 3))
    box = _values(path, "box", data["box"], (3, 3))
    atoms = make_atoms(path, _species(path, data), coord, box, _pbc(path, data))
    if "initial_magmom" in data:
        moments = _values(path, "initial_magmom", data["initial_magmom"], (len(atoms),))
        atoms.set_initial_magnetic_moments(moments)
    spin = channels[1] if len(channels) == 2 else None
    augmentation = _occupancies(path, data, atoms.get_chemical_symbols())
    # GPAW's density lacks what the occupancies of its atoms add.
    pseudo = augmentation is not None and augmentation.channels.code == "gpaw"
    return [
        GridField(
            atoms, channels[0], spin, augmentation=augmentation, pseudo=pseudo, unit_varies=True
        )
    ]


def _species(path: Path, data: dict) -> list:
    """Symbols or atomic numbers; the same atoms where there are both."""
    from ase.data import atomic_numbers

    found = None
    if "symbols" in data:
        found = data["symbols"].ravel().tolist()
    if "numbers" in data:
        numbers = whole_numbers(data["numbers"].ravel(), f"{path}: numbers").tolist()
        if found is not None and [atomic_numbers.get(name) for name in found] != numbers:
            raise InputError(f"{path}: symbols and numbers are not the same atoms")
        found = numbers
    return found or []


def _pbc(path: Path, data: dict) -> np.ndarray:
    pbc = np.asarray(data.get("pbc", True))
    if pbc.dtype.kind not in "biu" or pbc.shape not in ((), (1,), (3,)):
        raise InputError(
            f"{path}: pbc holds {pbc.dtype} of shape {pbc.shape}, expected one or three booleans"
        )
    return np.broadcast_to(pbc.astype(bool), 3)


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse shapes that are larger than what the archive says it holds of them."""
    for entry in archive.infolist():
        with archive.open(entry) as stream:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                header = np.lib.format.read_array_header_2_0
            shape, _, dtype = header(stream)
            expected = stream.tell() + math.prod(shape) * dtype.itemsize
        if expected > entry.file_size:
            raise InputError(
                f"{path}: {entry.filename} says that it has the shape {shape}, more "
                f"than its {entry.file_size} bytes hold"
            )


def _occupancies(path: Path, data: dict, symbols: list[str]) -> Occupancies | None:
    """PAW occupancies as interfaces.gpaw exports them."""
    if "augmentation" in data and "augmentation_channels" not in data:
        raise InputError(f"{path}: found augmentation, expected augmentation_channels too")
    return stored_occupancies(data, symbols, str(path))


def _values(path: Path, key: str, array: np.ndarray, shape: tuple) -> np.ndarray:
    """The array as float64 if it has the shape; densities have three axes."""
    wanted = "(nx, ny, nz)" if key == "density" else str(shape)
    flat = key in ("coord", "box") and array.shape == (np.prod(shape),)
    if array.dtype.kind not in "fiu" or not array.size:
        raise InputError(f"{path}: {key} holds {array.size} {array.dtype}, expected real numbers")
    if (array.shape != shape and not flat) or (key == "density" and array.ndim != 3):
        raise InputError(f"{path}: {key} has shape {array.shape}, expected {wanted}")
    return array.reshape(shape).astype(np.float64)


def _write(
    path: Path, atoms: Atoms, density: np.ndarray, origin: np.ndarray, options: FileOptions
) -> None:
    """Write what `_read` reads."""
    data = {
        "symbols": np.array(atoms.get_chemical_symbols()),
        "coord": atoms.positions - origin,
        "box": atoms.cell.array,
        "pbc": atoms.pbc,
        "density": density,
    }
    if options.spin is not None:
        data["spin_density"] = options.spin
    if atoms.has("initial_magmoms"):
        data["initial_magmom"] = atoms.get_initial_magnetic_moments()
    if options.occupancies is not None:
        names = ("augmentation", "spin_augmentation")
        data |= dict(zip(names, options.occupancies.sets, strict=False))
        data["augmentation_channels"] = np.array(options.occupancies.channels.to_json())
    if options.comment is not None:
        data["comment"] = np.array(options.comment)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **data)


def _write_array(path: Path, _atoms, values: np.ndarray, *_) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, values)


@FORMATS.register("npz")
class Npz(Format):
    """NumPy archives with density, coord, box, symbols."""

    suffixes = (".npz",)
    unit = "e/ang3"
    read = staticmethod(_read)
    write = staticmethod(_write)


@FORMATS.register("npy")
class Npy(Format):
    """The bare grid in C order: it says nothing of atoms and cell, so it is not read."""

    suffixes = (".npy",)
    write = staticmethod(_write_array)
    write_potential = staticmethod(_write_array)
