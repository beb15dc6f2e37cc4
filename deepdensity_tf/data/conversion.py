"""From density files to systems."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepdensity_tf.data.formats import Volumetric, read_density
from deepdensity_tf.data.system import Frame, check_frame, write_system
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_folder

log = logging.getLogger(__name__)


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
    """

    fmt: str | None = None
    type_map: list[str] | None = None
    pbc: bool | None = None


@dataclass(frozen=True)
class ConvertedFile:
    """What was read from a file and where it went."""

    file: str
    grid: tuple[int, int, int]
    natoms: int
    pbc: bool
    electrons: float
    system: str


def convert(
    files: Sequence[str], added: Sequence[str], output: str | Path, options: ConvertOptions
) -> list[ConvertedFile]:
    """Read density files and write them as one system, or one for each formula.

    Parameters
    ----------
    files : sequence of str
        Density files; several densities in one file become several frames.
    added : sequence of str
        Nothing, or one further file for each, whose density is added.
    output : str or Path
        System to make; with several formulas a folder of systems.
    options : ConvertOptions
        Format, types, periodicity.

    Raises
    ------
    InputError
        What a file lacks; files that do not go together.
    """
    if added and len(added) != len(files):
        raise InputError(f"--add: found {len(added)} files, expected one for each of {len(files)}")
    groups: dict[tuple[str, bool], list[Frame]] = {}
    rows = []
    extras = list(added) or [None] * len(files)
    names = None
    for number, (file, extra) in enumerate(zip(files, extras, strict=True), 1):
        for found in _read(file, extra, options):
            names = _merged_names(names, found, options)
            frame = _frame(found, file, names, options)
            check_frame(frame)
            key = (found.atoms.get_chemical_formula(), frame.pbc)
            groups.setdefault(key, []).append((frame, found))
            rows.append((file, found, key))
        log.info("read %d of %d files: %s", number, len(files), file)
    folders = _folder_names(list(groups))
    _write(Path(output), groups, folders, names, options)
    several = len(groups) > 1
    return [
        ConvertedFile(
            file,
            found.density.shape,
            len(found.atoms),
            key[1],
            found.electrons,
            str(Path(output) / folders[key]) if several else str(output),
        )
        for file, found, key in rows
    ]


def _read(file: str, extra: str | None, options: ConvertOptions) -> list[Volumetric]:
    volumes = read_density(file, options.fmt)
    if extra is None:
        return volumes
    others = read_density(extra, options.fmt)
    sums = []
    for one, other in zip(volumes, others, strict=True):
        same = one.density.shape == other.density.shape
        if not same or not np.allclose(one.atoms.cell, other.atoms.cell, atol=1e-4):
            raise InputError(f"{extra}: has another grid or cell than {file}")
        sums.append(replace(one, density=one.density + other.density))
    return sums


def _merged_names(names, found: Volumetric, options: ConvertOptions) -> list[str]:
    if options.type_map:
        return options.type_map
    return sorted({*(names or []), *found.atoms.get_chemical_symbols()})


def _frame(found: Volumetric, file: str, names: list[str], options: ConvertOptions) -> Frame:
    """The volume as a frame, atoms sorted by type; types are set when all names are known."""
    symbols = found.atoms.get_chemical_symbols()
    unknown = sorted(set(symbols) - set(names))
    if unknown:
        raise InputError(f"{file}: found {' '.join(unknown)}, expected {' '.join(names)}")
    order = np.argsort([names.index(s) for s in symbols], kind="stable")
    pbc = bool(found.atoms.pbc.all()) if options.pbc is None else options.pbc
    spin = found.spin_density
    return Frame(
        label=file,
        coord=found.atoms.positions[order],
        box=found.atoms.cell.array,
        pbc=pbc,
        atype=np.array([names.index(symbols[k]) for k in order], dtype=np.int32),
        density=found.density.ravel(),
        spin_density=None if spin is None else spin.ravel(),
        grid_shape=found.density.shape,
        loose_points=None,
    )


def _folder_names(keys: list[tuple[str, bool]]) -> dict[tuple[str, bool], str]:
    formulas = [formula for formula, _ in keys]
    return {
        (formula, pbc): formula
        if formulas.count(formula) == 1
        else f"{formula}_{'pbc' if pbc else 'nopbc'}"
        for formula, pbc in keys
    }


def _write(output: Path, groups: dict, folders: dict, names: list[str], options) -> None:
    def write(path: Path, members) -> None:
        # The types of early files may have moved as later files brought new elements.
        frames = [_frame(found, frame.label, names, options) for frame, found in members]
        write_system(path, frames, names)

    if len(groups) == 1:
        write(output, next(iter(groups.values())))
        return
    with atomic_folder(output) as folder:
        for key, members in groups.items():
            write(folder / folders[key], members)
