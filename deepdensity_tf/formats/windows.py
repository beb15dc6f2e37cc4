"""Grids that are not the cell: planes that are there twice, windows of a molecule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.findings import Finding


def as_cell(volume: GridField, pbc: bool) -> tuple[GridField, list[Finding]]:
    """The volume with the grid of its cell, and what does not look like one.

    Parameters
    ----------
    volume : GridField
        As read.
    pbc : bool
        Whether it is taken as periodic.
    """
    findings: list[Finding] = []
    if pbc and volume.periodic is None:
        volume, findings = _without_repeated_planes(volume)
    outside = atoms_outside(volume)
    if outside and (not pbc or volume.origin.any()):
        why = (
            "It is taken for the cell of a crystal (--nopbc: a molecule)"
            if pbc
            else "Its integral is not the number of electrons"
        )
        text = f"{outside} of {len(volume.atoms)} atoms lie outside the box of the grid: "
        findings.append(Finding("doubt", f"{text}a window of a molecule? {why}"))
    return volume, findings


def atoms_outside(volume: GridField) -> int:
    """Number of atoms outside the box of the grid."""
    fractions = np.linalg.solve(volume.atoms.cell.T, volume.atoms.positions.T)
    return int(np.any((fractions < -1e-6) | (fractions > 1 + 1e-6), axis=0).sum())


def _without_repeated_planes(volume: GridField) -> tuple[GridField, list[Finding]]:
    axes = [axis for axis in range(3) if _repeats(volume.density, axis)]
    if not axes:
        return volume, []
    cut = _cut(volume, axes)
    # By symmetry planes are equal too: then the integral tells, a whole number of electrons.
    mirrored = all(_is_mirrored(volume.density, axis) for axis in axes)
    if mirrored and from_whole(cut.electrons) > 0.2 * from_whole(volume.electrons):
        return volume, []
    names = ", ".join("xyz"[axis] for axis in axes)
    text = f"the last planes along {names} repeat the first and are left out "
    text += f"({cut.electrons:.6f} electrons; {volume.electrons:.6f} with them)"
    return cut, [Finding("doubt", text)]


def _repeats(density: np.ndarray, axis: int) -> bool:
    """Whether the first and last plane are equal, and say something."""
    if density.shape[axis] < 3:
        return False
    first, last = density.take(0, axis), density.take(-1, axis)
    scale = np.abs(first).max()
    return bool(np.ptp(first) > 0 and np.allclose(first, last, rtol=1e-5, atol=1e-6 * scale))


def _is_mirrored(density: np.ndarray, axis: int) -> bool:
    flipped = np.flip(density, axis)
    return bool(np.allclose(density, flipped, rtol=1e-3, atol=1e-3 * np.abs(density).max()))


def _cut(volume: GridField, axes: list[int]) -> GridField:
    """The volume without the last planes, its cell shorter by a step."""
    keep = tuple(slice(-1) if axis in axes else slice(None) for axis in range(3))
    density = volume.density[keep]
    atoms = volume.atoms.copy()
    ratio = np.array(density.shape) / volume.density.shape
    atoms.set_cell(atoms.cell.array * ratio[:, None])
    spin = volume.spin_density
    spin = None if spin is None else spin[keep]
    return replace(volume, atoms=atoms, density=density, spin_density=spin)


def from_whole(electrons: float) -> float:
    """Distance from the nearest whole number."""
    return abs(electrons - round(electrons))
