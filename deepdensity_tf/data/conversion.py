"""From density files to systems."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepdensity_tf.data.checks import check_frame
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.writer import SystemWriter
from deepdensity_tf.formats import Volumetric, read_density
from deepdensity_tf.formats.windows import as_cell, doubt_electrons
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_folder
from deepdensity_tf.utils.paw_blocks import Channels, Occupancies

log = logging.getLogger(__name__)

_SAME_PLACE = 1e-2  # Å: files of one calculation print positions with 6 digits or more


@dataclass(frozen=True)
class ConvertOptions:
    """How files become frames.

    Parameters
    ----------
    fmt : str, optional
        Format of all files; None: by name.
    type_map : list of str, optional
        Order of the types; None: alphabetical.
    pbc : bool, optional
        Periodic or not; None: as the files say.
    unit : str, optional
        Unit of cube and npz files, e/bohr3 or e/ang3; None: that of the format.
    """

    fmt: str | None = None
    type_map: list[str] | None = None
    pbc: bool | None = None
    unit: str | None = None


@dataclass(frozen=True)
class ConvertedFile:
    """What was read from a file and where it went."""

    file: str
    grid: tuple[int, ...]
    natoms: int
    pbc: bool
    electrons: float
    system: str


_Key = tuple[str, bool]  # formula, periodic


@dataclass
class _Group:
    """The frames of one formula, on their way to a system."""

    folder: Path
    symbols: list[str]  # of the atoms, grouped by type

    def __post_init__(self):
        self.folder.mkdir()
        self.writer = SystemWriter(self.folder)
        self.channels: Channels | None = None

    def add(self, frame: Frame, occupancies: Occupancies | None) -> None:
        """Append a frame; the PAW occupancies that it may have say what they are."""
        if occupancies is not None:
            channels = occupancies.channels
            self.channels = (self.channels or channels).joined(channels, frame.label)
        self.writer.add(frame)


def convert(
    files: Sequence[str], added: Sequence[str], output: str | Path, options: ConvertOptions
) -> list[ConvertedFile]:
    """Read density files and write them as one system, or one for each formula.

    One density is in memory at a time.

    Parameters
    ----------
    files : sequence of str
        Density files; several densities in one file become several frames.
    added : sequence of str
        Nothing, or one further file for each, whose density is added.
    output : str or Path
        System to make; with several formulas a folder of systems.
    options : ConvertOptions
        Format, types, periodicity, unit.

    Returns
    -------
    list of ConvertedFile
        One for each frame.

    Raises
    ------
    InputError
        What a file lacks; files that do not go together.
    """
    if added and len(added) != len(files):
        raise InputError(f"--add: found {len(added)} files, expected one for each of {len(files)}")
    extras = list(added) or [None] * len(files)
    groups: dict[_Key, _Group] = {}
    rows: list[tuple[_Key, ConvertedFile]] = []
    with atomic_folder(output) as folder:
        for number, (file, extra) in enumerate(zip(files, extras, strict=True), 1):
            for found in _read(file, extra, options):
                frame = _frame(found, file, options)
                key = (found.atoms.get_chemical_formula(), frame.pbc)
                if key not in groups:
                    symbols = found.atoms.get_chemical_symbols()
                    groups[key] = _Group(folder / str(len(groups)), symbols)
                groups[key].add(frame, found.augmentation)
                rows.append((key, _row(frame, found)))
            log.info("read %d of %d files: %s", number, len(files), file)
        _finish(groups, folder, options)
    if len(groups) == 1:
        return [replace(row, system=str(output)) for _, row in rows]
    names = _folder_names(list(groups))
    return [replace(row, system=str(Path(output) / names[key])) for key, row in rows]


def _read(file: str, extra: str | None, options: ConvertOptions) -> list[Volumetric]:
    volumes = read_density(file, options.fmt, options.unit)
    if extra is not None:
        others = read_density(extra, options.fmt, options.unit)
        if len(others) != len(volumes):
            raise InputError(
                f"{extra}: holds {len(others)} densities, expected {len(volumes)} as in {file}"
            )
        volumes = [_sum(*pair, file, extra) for pair in zip(volumes, others, strict=True)]
    volumes = [as_cell(volume, file, _taken_pbc(volume, options)) for volume in volumes]
    return [_by_type(_right_handed(volume, file), file, options) for volume in volumes]


def _taken_pbc(volume: Volumetric, options: ConvertOptions) -> bool:
    return bool(volume.atoms.pbc.any()) if options.pbc is None else options.pbc


def _sum(one: Volumetric, other: Volumetric, file: str, extra: str) -> Volumetric:
    same = one.density.shape == other.density.shape
    if not same or not np.allclose(one.atoms.cell, other.atoms.cell, atol=1e-4):
        raise InputError(f"{extra}: has another grid or cell than {file}")
    if list(one.atoms.symbols) != list(other.atoms.symbols):
        raise InputError(
            f"{extra}: has the elements {other.atoms.symbols}, expected {one.atoms.symbols} in the "
            f"order of {file}"
        )
    apart = np.linalg.solve(one.atoms.cell.T, (other.atoms.positions - one.atoms.positions).T).T
    apart = np.linalg.norm((apart - np.round(apart)) @ one.atoms.cell.array, axis=1)
    if apart.max(initial=0) > _SAME_PLACE:
        raise InputError(f"{extra}: an atom is {apart.max():.3g} Å from its place in {file}")
    spins = [v.spin_density for v in (one, other) if v.spin_density is not None]
    return replace(
        one,
        density=one.density + other.density,
        spin_density=np.sum(spins, axis=0) if spins else None,
    )


def _right_handed(volume: Volumetric, file: str) -> Volumetric:
    """The same crystal with its first two cell vectors exchanged, if they are left-handed."""
    if np.linalg.det(volume.atoms.cell.array) >= 0:
        return volume
    log.info("%s: the cell is left-handed, its first two vectors are exchanged", file)
    atoms = volume.atoms.copy()
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    atoms.pbc = atoms.pbc[[1, 0, 2]]
    spin = volume.spin_density
    return replace(
        volume,
        atoms=atoms,
        density=volume.density.swapaxes(0, 1),
        spin_density=None if spin is None else spin.swapaxes(0, 1),
    )


def _by_type(volume: Volumetric, file: str, options: ConvertOptions) -> Volumetric:
    """The same with the atoms grouped by type."""
    symbols = volume.atoms.get_chemical_symbols()
    names = options.type_map or sorted(set(symbols))
    unknown = sorted(set(symbols) - set(names))
    if unknown:
        raise InputError(f"{file}: found {' '.join(unknown)}, expected {' '.join(names)}")
    order = np.argsort([names.index(symbol) for symbol in symbols], kind="stable")
    augmentation = volume.augmentation and volume.augmentation.of_atoms(order)
    return replace(volume, atoms=volume.atoms[order], augmentation=augmentation)


def _frame(found: Volumetric, file: str, options: ConvertOptions) -> Frame:
    """The volume as a frame; its types count the elements of this file alone."""
    symbols = found.atoms.get_chemical_symbols()
    names = list(dict.fromkeys(symbols))
    spin = found.spin_density
    frame = Frame(
        label=file,
        coord=found.atoms.positions,
        box=found.atoms.cell.array,
        pbc=_periodic(found, file) if options.pbc is None else options.pbc,
        atype=np.array([names.index(symbol) for symbol in symbols], dtype=np.int32),
        density=found.density.ravel(),
        spin_density=None if spin is None else spin.ravel(),
        grid_shape=found.density.shape,
        loose_points=None,
        augmentation=found.augmentation and found.augmentation.total,
        spin_augmentation=found.augmentation and found.augmentation.spin,
    )
    check_frame(frame)
    _doubt_unit(found, file)
    doubt_electrons(found, file)
    return frame


def _periodic(found: Volumetric, file: str) -> bool:
    pbc = found.atoms.pbc
    if pbc.any() and not pbc.all():
        log.info("%s: periodic along some cell vectors, taken as periodic along all", file)
    return bool(pbc.any())


def _doubt_unit(found: Volumetric, file: str) -> None:
    """Warn if the number of electrons would rather fit the other unit."""
    natoms, protons = len(found.atoms), int(found.atoms.numbers.sum())
    if found.electrons > 1.05 * protons + 2:
        log.warning(
            "%s: %.4g electrons, but %d protons; is the density in e/ang3 (see --unit)?",
            file,
            found.electrons,
            protons,
        )
    elif found.electrons < 0.9 * natoms:
        log.warning(
            "%s: %.4g electrons for %d atoms; is the density in e/bohr3 (see --unit)?",
            file,
            found.electrons,
            natoms,
        )


def _row(frame: Frame, found: Volumetric) -> ConvertedFile:
    natoms = len(frame.coord)
    return ConvertedFile(frame.label, frame.grid_shape, natoms, frame.pbc, found.electrons, "")


def _finish(groups: dict[_Key, _Group], folder: Path, options: ConvertOptions) -> None:
    """Complete the systems and give them their names; a single one is the folder itself."""
    found = {name for group in groups.values() for name in group.symbols}
    type_map = options.type_map or sorted(found)
    names = _folder_names(list(groups))
    for key, group in groups.items():
        atype = np.array([type_map.index(symbol) for symbol in group.symbols])
        group.writer.finish(type_map, atype, group.channels)
        if len(groups) > 1:
            os.replace(group.folder, folder / names[key])
            continue
        for child in group.folder.iterdir():
            os.replace(child, folder / child.name)
        group.folder.rmdir()


def _folder_names(keys: list[_Key]) -> dict[_Key, str]:
    formulas = [formula for formula, _ in keys]
    return {
        (formula, pbc): formula
        if formulas.count(formula) == 1
        else f"{formula}_{'pbc' if pbc else 'nopbc'}"
        for formula, pbc in keys
    }
