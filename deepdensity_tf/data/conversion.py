"""From a density file or system to frames of a system."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from deepdensity_tf.data.augmentation import read_channels
from deepdensity_tf.data.checks import estimate_means, report_frame
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.layout import PER_ATOM, system_paths
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.data.thinning import thin
from deepdensity_tf.formats import GridField, read_density
from deepdensity_tf.formats.integral import examined
from deepdensity_tf.formats.vasp_paw import with_channels
from deepdensity_tf.formats.vasp_potcar import channels_of_potcar
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.images import nearest_images
from deepdensity_tf.utils.magmom_text import read_magmom
from deepdensity_tf.utils.paw_blocks import Channels

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
        Unit of cube, XSF and npz files, e/bohr3 or e/ang3; None: that of the format.
    force : bool
        Take what is odd all the same (see `formats.findings`).
    points : int, optional
        Keep so many weighted points of each frame; None: full grids.
    seed : int
        Of the draw of points.
    potcar : str, optional
        POTCAR that says what the PAW occupancies of CHGCAR files are.
    """

    fmt: str | None = None
    type_map: list[str] | None = None
    pbc: bool | None = None
    unit: str | None = None
    force: bool = False
    points: int | None = None
    seed: int = 1
    potcar: str | None = None
    magmom: str | None = None


class NamedFrame(NamedTuple):
    """A frame, the elements that its types count, and what PAW occupancies it may have are."""

    frame: Frame
    names: list[str]
    channels: Channels | None

    @property
    def symbols(self) -> list[str]:
        """Elements of the atoms."""
        return [self.names[t] for t in self.frame.atype]


def read_frames(file: str, extra: str | None, options: ConvertOptions) -> Iterator[NamedFrame]:
    """Frames of a density file or of a system, examined, their atoms grouped by type.

    Parameters
    ----------
    file : str
        Density file, or system.
    extra : str, optional
        Density file that is added to it.
    options : ConvertOptions
        Format, types, periodicity, unit, number of points.

    Raises
    ------
    InputError
        What the file lacks; files that do not go together.
    """
    system = extra is None and options.fmt is None and system_paths(file)
    found = _of_system(file, options) if system else _of_file(file, extra, options)
    seed = int.from_bytes(hashlib.sha256(os.fsencode(file)).digest()[:8])
    for number, named in enumerate(found):
        named = _by_type(named, file, options)
        if options.points:
            rng = np.random.default_rng([options.seed, seed, number])
            named = named._replace(frame=thin(named.frame, options.points, rng))
            if not estimate_means(named.frame.weight):
                raise InputError(
                    f"{named.frame.label}: --points {options.points} are too few, their weights "
                    f"sum to {named.frame.weight.sum():.3g}, expected near 1"
                )
        yield named


def _of_system(file: str, options: ConvertOptions) -> Iterator[NamedFrame]:
    if options.unit is not None:
        raise InputError(f"{file}: unit {options.unit} asked for, but systems hold electrons/Å^3")
    system = DensitySystem(file)
    channels = read_channels(system.files)
    for frame in system:
        if options.pbc is not None:
            frame = replace(frame, pbc=options.pbc)
        report_frame(frame, system.type_map, options.force)
        if options.points and frame.grid_shape is None and frame.weight is None:
            raise InputError(
                f"{frame.label}: has points without weights, expected full grids or weighted "
                "points to take points from"
            )
        yield NamedFrame(frame, system.type_map, channels)


def _of_file(file: str, extra: str | None, options: ConvertOptions) -> Iterator[NamedFrame]:
    for found in _read(file, extra, options):
        symbols = found.atoms.get_chemical_symbols()
        names = sorted(set(symbols))
        atype = np.array([names.index(symbol) for symbol in symbols], dtype=np.int32)
        channels = None if found.augmentation is None else found.augmentation.channels
        yield NamedFrame(_frame(found, atype, file), names, channels)


def _read(file: str, extra: str | None, options: ConvertOptions) -> list[GridField]:
    volumes = read_density(file, options.fmt, options.unit)
    if extra is not None:
        others = read_density(extra, options.fmt, options.unit)
        if len(others) != len(volumes):
            raise InputError(
                f"{extra}: holds {len(others)} densities, expected {len(volumes)} as in {file}"
            )
        volumes = [_sum(*pair, file, extra) for pair in zip(volumes, others, strict=True)]
    for volume in volumes if options.magmom is not None else ():
        moments = read_magmom(options.magmom, len(volume.atoms))
        volume.atoms.set_initial_magnetic_moments(moments)
    # Before the atoms are sorted: findings number them as the file does.
    volumes = [
        examined(volume, file, _periodic(volume, file, options), options.force)
        for volume in volumes
    ]
    return [_with_channels(_right_handed(volume, file), file, options) for volume in volumes]


def _with_channels(volume: GridField, file: str, options: ConvertOptions) -> GridField:
    """The volume with PAW occupancies of which it is known what they are, or without."""
    found = volume.augmentation
    if found is None or found.channels.code != "vasp":
        return volume
    potcar = {} if options.potcar is None else channels_of_potcar(options.potcar)
    symbols = volume.atoms.get_chemical_symbols()
    return replace(volume, augmentation=with_channels(found, symbols, potcar, file))


def _periodic(volume: GridField, file: str, options: ConvertOptions) -> bool:
    pbc = volume.atoms.pbc
    if options.pbc is not None:
        return options.pbc
    if pbc.any() and not pbc.all():
        log.info("%s: periodic along some cell vectors, taken as periodic along all", file)
    return bool(pbc.any())


def _sum(one: GridField, other: GridField, file: str, extra: str) -> GridField:
    same = one.density.shape == other.density.shape
    if not same or not np.allclose(one.atoms.cell, other.atoms.cell, atol=1e-4):
        raise InputError(f"{extra}: has another grid or cell than {file}")
    if list(one.atoms.symbols) != list(other.atoms.symbols):
        raise InputError(
            f"{extra}: has the elements {other.atoms.symbols}, expected {one.atoms.symbols} in the "
            f"order of {file}"
        )
    moved = other.atoms.positions - one.atoms.positions
    apart = np.linalg.norm(nearest_images(moved, one.atoms.cell.array), axis=1)
    if apart.max(initial=0) > _SAME_PLACE:
        raise InputError(f"{extra}: an atom is {apart.max():.3g} Å from its place in {file}")
    spins = [v.spin_density for v in (one, other) if v.spin_density is not None]
    return replace(
        one,
        augmentation=None,  # those of a part of the density
        density=one.density + other.density,
        spin_density=np.sum(spins, axis=0) if spins else None,
    )


def _right_handed(volume: GridField, file: str) -> GridField:
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


def _by_type(found: NamedFrame, file: str, options: ConvertOptions) -> NamedFrame:
    """The frame with its atoms grouped by type."""
    frame, symbols = found.frame, found.symbols
    known = options.type_map or sorted(set(symbols))
    unknown = sorted(set(symbols) - set(known))
    if unknown:
        raise InputError(f"{file}: found {' '.join(unknown)}, expected {' '.join(known)}")
    atype = np.array([known.index(symbol) for symbol in symbols], dtype=np.int32)
    order = np.argsort(atype, kind="stable")
    per_atom = {name: getattr(frame, name) for name in ("coord", *PER_ATOM)}
    ordered = {name: x if x is None else x[order] for name, x in per_atom.items()}
    return found._replace(frame=replace(frame, atype=atype[order], **ordered), names=known)


def _frame(found: GridField, atype: np.ndarray, file: str) -> Frame:
    spin = found.spin_density
    return Frame(
        label=file,
        coord=found.atoms.positions,
        box=found.atoms.cell.array,
        pbc=bool(found.atoms.pbc.any()),
        atype=atype,
        density=found.density.ravel(),
        spin_density=None if spin is None else spin.ravel(),
        grid_shape=found.density.shape,
        loose_points=None,
        augmentation=found.augmentation and found.augmentation.total,
        spin_augmentation=found.augmentation and found.augmentation.spin,
        initial_magmom=None if spin is None else found.atoms.arrays.get("initial_magmoms"),
    )
