"""Grids that are not the cell: planes that are there twice, windows of a molecule."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from deepdensity_tf.formats.base import Volumetric

log = logging.getLogger(__name__)


def as_cell(volume: Volumetric, label: str, pbc: bool) -> Volumetric:
    """The volume with the grid of its cell, with warnings of what does not look like one.

    Parameters
    ----------
    volume : Volumetric
        As read.
    label : str
        Name of the file.
    pbc : bool
        Whether it is taken as periodic.
    """
    if not abs(np.linalg.det(volume.atoms.cell.array)) > 0:
        return volume  # refused where frames are examined
    if pbc and not volume.says_pbc:
        volume = _without_repeated_planes(volume, label)
    outside = atoms_outside(volume)
    if outside and (not pbc or volume.origin.any()):
        log.warning(
            "%s: %d of %d atoms lie outside the box of the grid: a window of a molecule? %s",
            label,
            outside,
            len(volume.atoms),
            "It is taken for the cell of a crystal (--nopbc: a molecule)"
            if pbc
            else "Its integral is not the number of electrons",
        )
    return volume


def doubt_electrons(volume: Volumetric, label: str) -> None:
    """Warn if a cube file does not hold a whole number of electrons: others say what they span."""
    if volume.says_pbc or _from_whole(volume.electrons) < 0.01 + 1e-5 * abs(volume.electrons):
        return
    log.warning(
        "%s: %.4f electrons, not a whole number: a window of the cell or molecule, a step that "
        "does not divide the cell, too coarse a grid, or no density?",
        label,
        volume.electrons,
    )


def atoms_outside(volume: Volumetric) -> int:
    """Number of atoms outside the box of the grid."""
    fractions = np.linalg.solve(volume.atoms.cell.T, volume.atoms.positions.T)
    return int(np.any((fractions < -1e-6) | (fractions > 1 + 1e-6), axis=0).sum())


def _without_repeated_planes(volume: Volumetric, label: str) -> Volumetric:
    axes = [axis for axis in range(3) if _repeats(volume.density, axis)]
    if not axes:
        return volume
    cut = _cut(volume, axes)
    # By symmetry planes are equal too: then the integral tells, a whole number of electrons.
    mirrored = all(_is_mirrored(volume.density, axis) for axis in axes)
    if mirrored and _from_whole(cut.electrons) > 0.2 * _from_whole(volume.electrons):
        return volume
    log.warning(
        "%s: the last planes along %s repeat the first and are left out "
        "(%.6f electrons; %.6f with them)",
        label,
        ", ".join("xyz"[axis] for axis in axes),
        cut.electrons,
        volume.electrons,
    )
    return cut


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


def _cut(volume: Volumetric, axes: list[int]) -> Volumetric:
    """The volume without the last planes, its cell shorter by a step."""
    keep = tuple(slice(-1) if axis in axes else slice(None) for axis in range(3))
    density = volume.density[keep]
    atoms = volume.atoms.copy()
    ratio = np.array(density.shape) / volume.density.shape
    atoms.set_cell(atoms.cell.array * ratio[:, None])
    return replace(volume, atoms=atoms, density=density)


def _from_whole(electrons: float) -> float:
    return abs(electrons - round(electrons))
