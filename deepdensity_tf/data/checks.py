"""What no density calculation can have made is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.data.frame import Frame
from deepdensity_tf.formats.examine import (
    FLAT,
    examine_bonds,
    examine_cell,
    examine_distances,
    examine_lengths,
)
from deepdensity_tf.formats.findings import Finding, report
from deepdensity_tf.formats.integral import (
    examine_elements,
    examine_integral,
    examine_place,
    examine_spin,
)
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

# Weights estimate means, so their sum is 1 but for the noise of the draw.
_LEAST_WEIGHT, _MOST_WEIGHT = 0.5, 2.0


def check_frame(frame: Frame, force: bool = False) -> None:
    """Refuse a frame that no density calculation can have made.

    With `force` atoms too close and an odd number of electrons are warnings.

    Raises
    ------
    InputError
        NaN or infinity, a box of no volume or left-handed, atoms on top of each other,
        a number of electrons that betrays wrong units, weights that estimate no mean.
    """
    _check_finite(frame.label, coord=frame.coord, box=frame.box)
    report(examine_lengths(frame.coord, frame.box), frame.label)
    if frame.grid_shape is not None or frame.pbc:
        volume = float(np.linalg.det(frame.box))
        if volume <= FLAT:
            kind = "left-handed" if volume < -FLAT else "of no volume"
            raise InputError(
                f"{frame.label}: box is {kind} ({volume:.6g} Å^3), "
                "expected a right-handed cell in Å"
            )
    _check_finite(
        frame.label,
        density=frame.density,
        spin_density=frame.spin_density,
        grid=frame.loose_points,
        weight=frame.weight,
        electrons=None if frame.full_electrons is None else np.array(frame.full_electrons),
        initial_magmom=frame.initial_magmom,
    )
    _check_weights(frame)
    findings = examine_distances(frame.coord, frame.box, frame.pbc)
    natoms = len(frame.coord)
    findings += examine_integral(frame.density, frame.electrons, natoms, frame.volume)
    report(findings, frame.label, force)


def report_frame(frame: Frame, type_map: Sequence[str], force: bool = False) -> None:
    """Refuse what no frame can be and warn of what is odd: all that is known of it.

    Raises
    ------
    InputError
        See `check_frame`; a periodic cell too small for its atoms.
    """
    check_frame(frame, force)
    report(examine_frame(frame, type_map), frame.label, force)


def examine_frame(frame: Frame, type_map: Sequence[str]) -> list[Finding]:
    """What is odd about the types, cell, bonds and electrons of a frame that is sound."""
    from ase import Atoms
    from ase.data import atomic_numbers

    names = [type_map[t] for t in frame.atype]
    unknown = sorted({name for name in names if not atomic_numbers.get(name)})
    if unknown:
        text = f"types {' '.join(unknown)} are no elements: electrons are not checked, and predict "
        return [Finding("doubt", f"{text}takes structures of elements alone")]
    numbers = np.array([atomic_numbers[name] for name in names])
    atoms = Atoms(numbers, frame.coord, cell=frame.box, pbc=frame.pbc)
    findings = examine_cell(atoms) + examine_bonds(atoms)
    if frame.electrons is None or findings:
        return findings  # what else is odd follows from these
    return (
        examine_elements(frame.density, frame.electrons, numbers, frame.volume)
        or examine_spin(frame.density, frame.spin_density)
        or _examine_place(frame, atoms)
    )


def _examine_place(frame: Frame, atoms: Atoms) -> list[Finding]:
    if frame.grid_shape is None:
        return []
    return examine_place(atoms, np.reshape(frame.density, tuple(frame.grid_shape)))


def estimate_means(weight: np.ndarray) -> bool:
    """Whether sums with weights (npoints,) can be means over a frame."""
    total = float(np.sum(weight, dtype=np.float64))
    return np.min(weight) >= 0 and _LEAST_WEIGHT <= total <= _MOST_WEIGHT


def _check_weights(frame: Frame) -> None:
    if frame.weight is None:
        return
    if not estimate_means(frame.weight):
        total = float(np.sum(frame.weight, dtype=np.float64))
        raise InputError(
            f"{frame.label}: weight sums to {total:.4g} (least {np.min(frame.weight):.3g}), "
            "expected weights of 0 or more with a sum near 1, so that sums are means over the frame"
        )


def _check_finite(label: str, **arrays: np.ndarray | None) -> None:
    for name, array in arrays.items():
        # The sum is finite if and only if all entries are (they are far from overflow).
        if array is None:
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            total = np.sum(array, dtype=np.float64)
        if not np.isfinite(total):
            raise InputError(f"{label}: {name} holds NaN or infinity")
