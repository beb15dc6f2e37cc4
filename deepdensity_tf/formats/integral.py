"""What is odd about a density: its integral, sign and grid; likely causes are told apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from deepdensity_tf.formats.base import BOHR, Volumetric
from deepdensity_tf.formats.examine import examine_atoms, examine_bonds, examine_usable
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
_FLAT = 1e-9  # Å^3
_PER_BOHR3 = BOHR**-3
_IN_BOHR = "1 electron/bohr^3 = 6.7483 electrons/Å^3"


def examined(volume: Volumetric, label: str, pbc: bool, force: bool = False) -> Volumetric:
    """The density on the grid of its cell, once what is odd about it has been reported.

    Parameters
    ----------
    volume : Volumetric
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


def _examine_numbers(volume: Volumetric) -> list[Finding]:
    """What cannot be examined."""
    unusable = examine_usable(volume.atoms)
    if unusable:
        return unusable
    for name, array in (("density", volume.density), ("spin_density", volume.spin_density)):
        if array is not None and not np.isfinite(np.sum(array, dtype=np.float64)):
            return [Finding("final", f"{name} holds NaN or infinity")]
    if not abs(np.linalg.det(volume.atoms.cell.array)) > _FLAT:
        return [Finding("final", "box is of no volume, expected three independent vectors in Å")]
    return []


def _examine_volume(volume: Volumetric) -> list[Finding]:
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
    return _examine_electrons(amount, volume.atoms.numbers) or _examine_whole(volume)


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
            return f"is the density in {'e/ang3' if many else 'e/bohr3'} ({self.unit_hint})?"
        if many and peak > _PEAK:
            return f"is the grid too coarse for core electrons? ({peak:.3g} at one point)"
        if self.volume and fits(self.electrons * self.volume ** (-1 if many else 1)):
            times = "times" if many else "not times"
            return (
                f"is it {times} the volume of the cell, as CHGCAR has it, or no density (an ELF)?"
            )
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


def _is_whole(electrons: float) -> bool:
    """Whether a number is whole up to what rounded headers and grids leave."""
    return from_whole(electrons) < 0.01 + 1e-5 * abs(electrons)


def _examine_whole(volume: Volumetric) -> list[Finding]:
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
