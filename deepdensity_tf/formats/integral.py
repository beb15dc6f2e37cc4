"""What is odd about a density: its integral, sign and grid; likely causes are told apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.formats.examine import FLAT, examine_atoms, examine_bonds, examine_usable
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.findings import Finding, report
from deepdensity_tf.formats.windows import as_cell, from_whole

if TYPE_CHECKING:
    from ase import Atoms

# Bounds of electrons an atom: no density with all or with the valence electrons lies outside.
_FEWEST, _MOST = 0.05, 150.0
_FEW = 0.9  # an atom; only cations of light elements have fewer
_CANCELLED = 0.02  # |integral of rho| over the integral of |rho|: signs cancel
_NEGATIVE = 0.05, 0.25  # negative part over the whole: odd, impossible
_PEAK = 0.25  # electrons that one point of the grid stands for: a core, badly resolved
_COARSE = 1.0  # Å between points: no density is known there
_MOST_SPIN = 1.05
_LEAST_AROUND = 0.2  # of the mean: density of electrides and of bare cores alone is elsewhere
_PER_BOHR3 = BOHR**-3
_IN_BOHR = "1 electron/bohr^3 = 6.7483 electrons/Å^3"


def examined(volume: GridField, label: str, pbc: bool, force: bool = False) -> GridField:
    """The density on the grid of its cell, once what is odd about it has been reported.

    Parameters
    ----------
    volume : GridField
        As read, with the atoms as in the file, whose numbers the findings name.
    label : str
        Name of the file.
    pbc : bool
        Whether it is taken as periodic.
    force : bool
        See `findings.report`.

    Raises
    ------
    InputError
        What no density can be.
    """
    report(_examine_numbers(volume), label)
    atoms = volume.atoms.copy()
    atoms.pbc = atoms.pbc if pbc == atoms.pbc.any() else pbc
    volume, findings = as_cell(replace(volume, atoms=atoms), pbc)
    report(findings + examine_atoms(atoms), label, force)
    report(_examine_volume(volume), label, force)
    return volume


def _examine_numbers(volume: GridField) -> list[Finding]:
    """What cannot be examined."""
    unusable = examine_usable(volume.atoms)
    if unusable:
        return unusable
    for name, array in (("density", volume.density), ("spin_density", volume.spin_density)):
        if array is not None and not np.isfinite(np.sum(array, dtype=np.float64)):
            return [Finding("final", f"{name} holds NaN or infinity")]
    if not abs(np.linalg.det(volume.atoms.cell.array)) > FLAT:
        return [Finding("final", "box is of no volume, expected three independent vectors in Å")]
    return []


def _examine_volume(volume: GridField) -> list[Finding]:
    """Integral, sign and grid: the first that is odd, as one cause makes the others odd too."""
    hint = "see --unit" if volume.unit_varies else ""
    amount = _Amount(volume.density, volume.electrons, volume.atoms.cell.volume, hint)
    faults = _examine_amount(amount, len(volume.atoms))
    if faults:
        return faults
    steps = np.linalg.norm(volume.atoms.cell.array, axis=1) / volume.density.shape
    if steps.max() > _COARSE:
        text = f"the grid's points are {steps.max():.3g} Å apart, expected fractions of an Å"
        return [Finding("doubt", text)]
    if examine_bonds(volume.atoms):
        return []  # reported: the lengths are in another unit
    return (
        _examine_electrons(amount, volume.atoms.numbers)
        or examine_place(volume.atoms, volume.density)
        or examine_spin(volume.density, volume.spin_density)
        or _examine_whole(volume)
    )


@dataclass(frozen=True)
class _Amount:
    """What is known of a density."""

    density: np.ndarray  # electrons/Å^3
    electrons: float
    volume: float | None  # of the grid, Å^3
    unit_hint: str  # what to do if the unit is another one; empty: the format fixes it

    def cause(self, low: float, high: float) -> str:
        """The likely cause of a number of electrons that is not between `low` and `high`."""

        def fits(number: float) -> bool:
            return low <= number <= high

        many = self.electrons > high
        peak = float(self.density.max()) * (self.volume or 0) / self.density.size
        scale = 1 / _PER_BOHR3 if many else _PER_BOHR3
        other = self.electrons * scale
        unlikely = _is_whole(self.electrons) and not _is_whole(other)
        if self.unit_hint and fits(other) and peak * scale < _PEAK and not unlikely:
            also = " or the lengths in bohr" if many and self.unit_hint == _IN_BOHR else ""
            unit = "e/ang3" if many else "e/bohr3"
            return f"is the density in {unit}{also} ({self.unit_hint})?"
        by_volume = self.electrons * (self.volume or np.nan) ** (-1 if many else 1)
        times = "times" if many else "not times"
        volume = f"is it {times} the volume of the cell, as CHGCAR has it, or no density (an ELF)?"
        if fits(by_volume) and _is_whole(by_volume):
            return volume
        if many and peak > _PEAK:
            return f"is the grid too coarse for core electrons? ({peak:.3g} at one point)"
        if fits(by_volume):
            return volume
        if many:
            return "is it no density (a potential, an ELF), or the grid too coarse for its cores?"
        return (
            "is it the density of some states (PARCHG), of spin, or of a box less than its atoms?"
        )


def examine_integral(
    density: np.ndarray, electrons: float | None, natoms: int, volume: float | None
) -> list[Finding]:
    """What no density of a system can have, whatever the elements.

    Parameters
    ----------
    density : ndarray
        Electrons/Å^3.
    electrons : float or None
        Its integral, where known.
    natoms : int
        Atoms.
    volume : float or None
        Of the grid, Å^3, where known.
    """
    if electrons is None:
        return []
    return _examine_amount(_Amount(density, electrons, volume, _IN_BOHR), natoms)


def _examine_amount(amount: _Amount, natoms: int) -> list[Finding]:
    if natoms == 0:
        return [Finding("final", "has no atoms, expected those that the density belongs to")]
    electrons = amount.electrons
    if _FEWEST * natoms <= electrons <= _MOST * natoms:
        return _examine_sign(amount, "fault", _NEGATIVE[1])
    found = f"density integrates to {electrons:.4g} electrons for {natoms} atoms; expected "
    size = float(np.mean(np.abs(amount.density), dtype=np.float64))
    if float(np.mean(amount.density, dtype=np.float64)) <= _CANCELLED * size:
        found += "a positive number: this is no electron density (a potential, an orbital, "
        return [Finding("fault", found + "a difference of densities, a spin density, zeros)")]
    cause = amount.cause(0.5 * natoms, _MOST * natoms)
    return [Finding("fault", f"{found}electrons/Å^3; {cause}")]


def _examine_sign(
    amount: _Amount, severity: Literal["doubt", "fault"], most: float
) -> list[Finding]:
    """A density that is negative by more than a share of it."""
    negative = -float(np.minimum(amount.density, 0).sum(dtype=np.float64))
    share = negative / (float(np.abs(amount.density).sum(dtype=np.float64)) or 1.0)
    if share <= most:
        return []
    text = f"{100 * share:.0f} % of the density is negative; is it an orbital, a difference?"
    return [Finding(severity, text)]


def examine_elements(
    density: np.ndarray, electrons: float, numbers: np.ndarray, volume: float | None
) -> list[Finding]:
    """Doubts about the electrons of a density in a system; see `examine_integral`.

    Parameters
    ----------
    numbers : ndarray
        Atomic numbers, (natoms,).
    """
    return _examine_electrons(_Amount(density, electrons, volume, _IN_BOHR), numbers)


def _examine_electrons(amount: _Amount, numbers: np.ndarray) -> list[Finding]:
    """A number of electrons that the elements do not explain, a sign that no density has."""
    electrons, natoms, protons = amount.electrons, len(numbers), int(numbers.sum())
    odd = _examine_sign(amount, "doubt", _NEGATIVE[0])
    if odd:
        return odd
    low, high = _FEW * natoms, 1.05 * protons + 2
    if electrons > high:
        text = f"{electrons:.4g} electrons, but {protons} protons; {amount.cause(low, high)}"
        return [Finding("doubt", text)]
    if electrons < low:
        text = f"{electrons:.4g} electrons for {natoms} atoms; {amount.cause(low, high)}"
        return [Finding("doubt", text)]
    return []


def examine_spin(density: np.ndarray, spin_density: np.ndarray | None) -> list[Finding]:
    """A spin density (up minus down) that is more than the density."""
    if spin_density is None:
        return []
    ratio = float(np.abs(spin_density).mean() / (np.abs(density).mean() or 1.0))
    if ratio <= _MOST_SPIN:
        return []
    text = f"the integral of |spin density| is {ratio:.3g} times that of the density, expected at "
    return [Finding("doubt", f"{text}most 1; is it not up minus down, or in another unit?")]


def examine_place(atoms: Atoms, density: np.ndarray) -> list[Finding]:
    """A density that is not where the atoms are: order of the points, coordinates, origin.

    Parameters
    ----------
    atoms : ase.Atoms
        In the cell of the grid, which begins at 0.
    density : ndarray
        (nx, ny, nz).
    """
    mean = density.mean()
    if min(density.shape) < 4 or not mean > 0:
        return []
    around = _around(atoms, density) / mean
    others = {
        "its first index runs fastest": density.ravel().reshape(density.shape, order="F"),
        "its indices are reversed": density.T,
    }
    found = {order: _around(atoms, other) / mean for order, other in others.items()}
    best = max(found, key=lambda order: found[order])
    if found[best] > max(2 * around, 1.0):
        text = f"the density is larger around the atoms if {best}: is it in Fortran's order?"
        return [Finding("doubt", text)]
    if around >= _LEAST_AROUND:
        return []
    return [
        Finding(
            "doubt",
            f"the density around the atoms is {around:.2g} of its mean, expected more; are the "
            "positions in another unit, fractional, or from another origin than the grid?",
        )
    ]


def _around(atoms: Atoms, density: np.ndarray) -> float:
    """Mean density at some distance from the atoms, where it is largest."""
    from ase.data import covalent_radii

    corners = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    steps = np.concatenate([np.eye(3), -np.eye(3), corners / np.sqrt(3)])
    shape = np.array(density.shape)
    found = []
    for part in (0.0, 0.4, 0.8, 1.2):
        away = part * covalent_radii[atoms.numbers, None, None] * steps
        points = atoms.positions[:, None] + away
        fractions = np.linalg.solve(atoms.cell.array.T, points.reshape(-1, 3).T).T
        index = np.rint(fractions * shape).astype(np.int64) % shape
        found.append(float(density[tuple(index.T)].mean()))
    return max(found)


def _is_whole(electrons: float) -> bool:
    """Whether a number is whole up to what rounded headers and grids leave."""
    return from_whole(electrons) < 0.01 + 1e-5 * abs(electrons)


def _examine_whole(volume: GridField) -> list[Finding]:
    """A number of electrons that is not whole."""
    if volume.pseudo or _is_whole(volume.electrons):
        return []
    text = f"{volume.electrons:.4f} electrons, not a whole number: "
    counts = np.array(volume.density.shape)
    shorter = volume.electrons * float(np.prod(1 - 1 / counts))
    if _is_whole(shorter):
        text += f"{shorter:.4f} if N steps of the header are N - 1 of the cell?"
    else:
        text += "a window of the cell or molecule, a step that does not divide the cell, too "
        text += "coarse a grid, a partial density?"
    return [Finding("doubt", text)]


def examine_prediction(
    electrons: float, atoms: Atoms, wanted: float | None = None
) -> list[Finding]:
    """Doubts about the electrons of a predicted density.

    Parameters
    ----------
    electrons : float
        Its integral.
    atoms : ase.Atoms
        The structure.
    wanted : float, optional
        Sum of the valences the model was trained on.
    """
    protons = int(atoms.numbers.sum())
    text = f"{electrons:.6g} electrons predicted for {len(atoms)} atoms"
    if wanted and abs(electrons - wanted) > 0.02 * wanted:
        text += f", their valences sum to {wanted:g}"
    elif 0.5 * len(atoms) <= electrons <= 1.05 * protons + 2:
        return []
    else:
        text += f" with {protons} protons"
    text += "; is the structure unlike those of the training, or the grid coarse?"
    return [Finding("doubt", text)]
