"""What no density calculation can have made is refused."""

from __future__ import annotations

import numpy as np

from deepdensity_tf.data.frame import Frame
from deepdensity_tf.utils.errors import InputError

# Bounds of electrons an atom: what lies outside is a density in other units than electrons/Å^3.
_FEWEST, _MOST = 0.05, 150.0
_CLOSEST = 0.1  # Å
_FARTHEST = 1e6  # Å
_FLAT = 1e-9  # Å^3
# Weights estimate means, so their sum is 1 but for the noise of the draw.
_LEAST_WEIGHT, _MOST_WEIGHT = 0.5, 2.0


def check_frame(frame: Frame) -> None:
    """Refuse a frame that no density calculation can have made.

    Raises
    ------
    InputError
        NaN or infinity, a box of no volume or left-handed, atoms on top of each other,
        a number of electrons that betrays wrong units, weights that estimate no mean.
    """
    _check_finite(frame.label, coord=frame.coord, box=frame.box)
    for name, array in (("coord", frame.coord), ("box", frame.box)):
        farthest = np.abs(array).max(initial=0)
        if farthest > _FARTHEST:
            raise InputError(
                f"{frame.label}: {name} holds {farthest:.3g} Å, expected at most {_FARTHEST:g} Å"
            )
    if frame.grid_shape is not None or frame.pbc:
        volume = float(np.linalg.det(frame.box))
        if volume <= _FLAT:
            kind = "left-handed" if volume < -_FLAT else "of no volume"
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
    )
    _check_weights(frame)
    distance, first, second = closest_atoms(frame, _CLOSEST)
    if distance < _CLOSEST:
        raise InputError(
            f"{frame.label}: coord has atoms {first} and {second} "
            f"{distance:.3g} Å apart, expected at least {_CLOSEST} Å"
        )
    electrons = frame.electrons
    natoms = len(frame.coord)
    if electrons is not None and not _FEWEST * natoms <= electrons <= _MOST * natoms:
        raise InputError(
            f"{frame.label}: density integrates to {electrons:.4g} electrons for {natoms} "
            "atoms; expected electrons/Å^3 (1 electron/bohr^3 = 6.7483 electrons/Å^3)"
        )


def closest_atoms(frame: Frame, cutoff: float) -> tuple[float, int, int]:
    """Distance (Å) and numbers of the two atoms closest to each other, images included.

    Pairs beyond `cutoff` (Å) need not be found: the distance is infinite where there is none.
    """
    if len(frame.coord) < 40 and not frame.pbc:  # all pairs: a tenth of the time of ASE's cells
        apart = np.linalg.norm(frame.coord[:, None] - frame.coord, axis=-1)
        np.fill_diagonal(apart, np.inf)
        first, second = np.unravel_index(np.argmin(apart), apart.shape) if apart.size else (0, 0)
        return float(apart.min(initial=np.inf)), int(first), int(second)
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    atoms = Atoms(numbers=frame.atype, positions=frame.coord, cell=frame.box, pbc=frame.pbc)
    first, second, distance = neighbor_list("ijd", atoms, cutoff)
    if not len(distance):
        return np.inf, 0, 0
    worst = int(np.argmin(distance))
    return float(distance[worst]), int(first[worst]), int(second[worst])


def _check_weights(frame: Frame) -> None:
    if frame.weight is None:
        return
    total = float(np.sum(frame.weight, dtype=np.float64))
    if np.min(frame.weight) < 0 or not _LEAST_WEIGHT <= total <= _MOST_WEIGHT:
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
