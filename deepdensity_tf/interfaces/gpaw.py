"""GPAW: converged densities out of it, predicted ones into it.

Runs under the Python that has GPAW, TensorFlow or not (Debian's python3 with the package's folder
on PYTHONPATH): what goes between the two are .npz files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path
from deepdensity_tf.utils.images import nearest_images
from deepdensity_tf.utils.paw_blocks import (
    Channels,
    Occupancies,
    blocks_from_matrix,
    count_of,
    matrix_from_blocks,
    padded,
    stored_occupancies,
)

if TYPE_CHECKING:
    from gpaw import GPAW

_BOHR = 0.5291772105638411  # Å, as GPAW has it
_SAME_PLACE = 1e-3  # Å
_POLARISED = "the calculation is spin-polarised"


def channels_of(calc: GPAW) -> Channels:
    """The l of the channels of each element's PAW data set.

    Raises
    ------
    InputError
        Two data sets of one element with different channels.
    """
    found = Channels("gpaw", {})
    for setup in calc.setups:
        found = found.joined(Channels("gpaw", {setup.symbol: tuple(setup.l_j)}), setup.symbol)
    return found


def save_density(calc: GPAW, path: str | Path) -> None:
    """Write pseudo-density and PAW occupancies of a converged calculation.

    Parameters
    ----------
    calc : GPAW
        Converged, or read from a .gpw file; collinear.
    path : str or Path
        The .npz file, which `dd-tf convert` takes; with spin also what belongs to spin.

    Raises
    ------
    InputError
        Non-collinear spins, or a calculation spread over several processes.
    """
    density, atoms, channels = calc.density, calc.atoms, channels_of(calc)
    if not density.collinear or calc.wfs.world.size > 1:
        raise InputError(f"{path}: expected a collinear calculation in one process")
    nt = density.nt_sG / _BOHR**3
    matrices = [np.array([_unpacked(row) for row in density.D_asp[a]]) for a in range(len(atoms))]
    symbols = atoms.get_chemical_symbols()
    data = {
        "symbols": np.array(symbols),
        "coord": atoms.positions,
        "box": atoms.cell.array,
        "pbc": np.array(True),
        "density": nt.sum(0),
        "augmentation": _numbers(channels, symbols, [m.sum(0) for m in matrices]),
        "augmentation_channels": np.array(channels.to_json()),
        "energy": np.array(calc.get_potential_energy(atoms)),
    }
    if len(nt) == 2:
        data["spin_density"] = nt[0] - nt[1]
        data["initial_magmom"] = atoms.get_initial_magnetic_moments()
        differences = [m[0] - m[1] for m in matrices]
        data["spin_augmentation"] = _numbers(channels, symbols, differences)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **data)


def _numbers(channels: Channels, symbols: list[str], matrices: list[np.ndarray]) -> np.ndarray:
    rows = [blocks_from_matrix(channels.of[s], m) for s, m in zip(symbols, matrices, strict=True)]
    return padded(rows, channels.width)


@dataclass(frozen=True)
class Start:
    """A density and PAW occupancies to begin from.

    Parameters
    ----------
    path : str
        Where they come from, for messages.
    data : dict
        Arrays as `save_density` and `dd-tf predict -o NAME.npz` write them.
    """

    path: str
    data: dict[str, np.ndarray]

    @classmethod
    def read(cls, path: str | Path) -> Start:
        """From an .npz file.

        Raises
        ------
        InputError
            Not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                data = {key: archive[key] for key in archive.files}
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: cannot be read as .npz ({error})") from None
        missing = {"symbols", "coord", "box", "density"} - set(data)
        if missing:
            raise InputError(f"{path}: found no {', '.join(sorted(missing))}")
        return cls(str(path), data)

    def occupancies(self) -> Occupancies | None:
        """Those of the file, checked; None where it has none."""
        return stored_occupancies(self.data, self.data["symbols"].tolist(), self.path)


def start_from(calc: GPAW, path: str | Path, occupancies: bool = True, fixed: bool = False) -> None:
    """Let the next calculation begin from a density in place of that of atoms.

    Once: when atoms move later, GPAW does as ever.

    Parameters
    ----------
    calc : GPAW
        Plane-wave or finite-difference mode, not yet run.
    path : str or Path
        File of `dd-tf predict -o NAME.npz` or `save_density`, on GPAW's coarse grid.
    occupancies : bool
        Take the PAW occupancies of the file too; False: those of atoms.
    fixed : bool
        Keep the density: the wave functions alone are converged, and the energy is that of Harris
        and Foulkes.

    Raises
    ------
    InputError
        Not such a file. When the calculation begins: other atoms, grid, spins or PAW data sets.

    Examples
    --------
    >>> calc = GPAW(mode=PW(300), kpts=(2, 2, 2))  # doctest: +SKIP
    >>> start_from(calc, "start.npz")  # doctest: +SKIP
    >>> atoms.calc = calc  # doctest: +SKIP
    >>> atoms.get_potential_energy()  # doctest: +SKIP
    """
    start, initialize = Start.read(path), calc.initialize

    def initialize_once(atoms=None, reading=False) -> None:
        del calc.initialize  # the method of the class again
        initialize(atoms, reading)
        density = calc.density
        from_atoms = density.initialize_from_atomic_densities

        def begin(basis_functions) -> None:
            del density.initialize_from_atomic_densities
            from_atoms(basis_functions)
            _put(calc, start, occupancies)
            density.fixed = fixed or density.fixed

        density.initialize_from_atomic_densities = begin

    calc.initialize = initialize_once


def _put(calc: GPAW, start: Start, occupancies: bool) -> None:
    """Replace the density that GPAW has begun with."""
    density = calc.density
    _check(calc, start)
    density.mixer.reset()  # it would mix ours into that of the atoms
    density.gd.distribute(_spin_channels(calc, start) * _BOHR**3, density.nt_sG)
    found = start.occupancies() if occupancies else None
    if found is not None:
        _expect_channels(calc, found.channels, start.path)
        sets = found.sets[:1]
        if density.nspins == 2:
            if found.spin is None:
                raise InputError(f"{start.path}: has no spin_augmentation, {_POLARISED}")
            sets = [0.5 * (found.total + found.spin), 0.5 * (found.total - found.spin)]
        for a, rows in density.D_asp.items():
            channels = found.channels.of[calc.setups[a].symbol]
            for row, values in zip(rows, sets, strict=True):
                numbers = values[a, : count_of(channels)]
                row[:] = _packed(matrix_from_blocks(channels, numbers))
    density.calculate_normalized_charges_and_mix()


def _spin_channels(calc: GPAW, start: Start) -> np.ndarray:
    """(nspins, nx, ny, nz): the density, or that of spin up and down."""
    total = start.data["density"]
    if calc.density.nspins == 1:
        return total[None]
    if "spin_density" not in start.data:
        raise InputError(f"{start.path}: has no spin_density, {_POLARISED}")
    spin = start.data["spin_density"]
    return 0.5 * np.stack([total + spin, total - spin])


def _check(calc: GPAW, start: Start) -> None:
    atoms, gd = calc.atoms, calc.density.gd
    symbols = start.data["symbols"].tolist()
    if symbols != atoms.get_chemical_symbols():
        raise InputError(f"{start.path}: has other atoms than the calculation, or another order")
    apart = nearest_images(start.data["coord"] - atoms.positions, atoms.cell.array)
    farthest = max(np.abs(apart).max(), np.abs(start.data["box"] - atoms.cell.array).max())
    if farthest > _SAME_PLACE:
        raise InputError(
            f"{start.path}: atoms or cell are {farthest:.3g} Å from those of the calculation"
        )
    if not calc.density.collinear:
        raise InputError(f"{start.path}: expected a collinear calculation")
    found, wanted = start.data["density"].shape, tuple(int(n) for n in gd.N_c)
    if found != wanted:
        raise InputError(
            f"{start.path}: grid {' x '.join(map(str, found))}, expected GPAW's coarse grid "
            f"{' x '.join(map(str, wanted))} (dd-tf predict --grid {' '.join(map(str, wanted))})"
        )


def _expect_channels(calc: GPAW, found: Channels, path: str) -> None:
    wanted = channels_of(calc)
    Channels("gpaw", wanted.of).joined(found, path)
    lacking = sorted(set(wanted.of) - set(found.of))
    if lacking:
        raise InputError(f"{path}: has no PAW occupancies of {' '.join(lacking)}")


def _unpacked(packed: np.ndarray) -> np.ndarray:
    """Symmetric matrix of GPAW's row of its upper triangle, off-diagonal sums halved."""
    size = int(np.sqrt(2 * len(packed)))
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = packed
    return 0.5 * (matrix + matrix.T)


def _packed(matrix: np.ndarray) -> np.ndarray:
    twice = matrix + matrix.T
    np.fill_diagonal(twice, np.diag(matrix))
    return twice[np.triu_indices(len(matrix))]
