"""Surfaces of equal density, and the heights at which to show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepdensity_tf.plot.sections import Structure
from deepdensity_tf.utils.errors import InputError

# A surface of a density encloses these shares of its integral; one of a field with two signs lies
# at these shares of its largest value.
_ENCLOSED = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
_OF_LARGEST = (0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05)
_START = (0.9, 0.25)


@dataclass(frozen=True)
class Level:
    """Height of a surface, electrons/Å^3, what is said of it, and whether a view begins with it."""

    value: float
    note: str
    start: bool = False


@dataclass(frozen=True)
class Mesh:
    """A triangulated surface.

    Parameters
    ----------
    sign : str
        "density", or "positive" or "negative" part of a field with two signs.
    vertices : np.ndarray
        (n, 3), Å.
    faces : np.ndarray
        (m, 3) numbers of vertices.
    """

    sign: str
    vertices: np.ndarray
    faces: np.ndarray


def choose_levels(values: np.ndarray) -> list[Level]:
    """Heights of surfaces for a slider, from the highest to the lowest.

    A density's surfaces enclose from 10 to 98 % of its integral; those of a field with both signs
    lie at 70 to 5 % of its largest absolute value.
    """
    if not np.isfinite(values).all():
        raise InputError("the density has values that are not finite")
    largest = float(np.abs(values).max())
    if largest == 0.0:
        raise InputError("the density is 0 everywhere: there is no surface to show")
    if is_signed(values):
        return [
            Level(part * largest, f", {part:.0%} of the largest", part in _START)
            for part in _OF_LARGEST
        ]
    ordered = np.sort(values, axis=None)[::-1]
    total = np.cumsum(ordered, dtype=np.float64)
    places = np.searchsorted(total, np.array(_ENCLOSED) * total[-1])
    heights = ordered[np.minimum(places, ordered.size - 1)]
    return [
        Level(float(height), f", encloses {part:.0%} of the electrons", part in _START)
        for height, part in zip(heights, _ENCLOSED, strict=True)
        if height > 0
    ]


def is_signed(values: np.ndarray) -> bool:
    """Whether a field takes both signs: a little undershoot of a density is none."""
    return bool(values.min() < -0.05 * values.max())


def surfaces_at(structure: Structure, values: np.ndarray, level: float) -> list[Mesh]:
    """Surfaces of a field at a height, and at its negative if the field has both signs.

    Parameters
    ----------
    structure : Structure
        Its grid's cell and origin; the number of points is that of `values`.
    values : np.ndarray
        (nx, ny, nz), electrons/Å^3.
    level : float
        More than 0, electrons/Å^3.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError:
        raise missing("scikit-image") from None
    shape = np.array(values.shape)
    # The far faces of a periodic cell repeat the near ones.
    closed = np.pad(values, (0, 1), mode="wrap") if structure.pbc else values
    signs = {"positive": 1, "negative": -1} if is_signed(values) else {"density": 1}
    meshes = []
    for sign, factor in signs.items():
        signed = factor * closed
        if min(closed.shape) < 2 or not signed.min() < level < signed.max():
            continue
        vertices, faces, _, _ = marching_cubes(signed, level)
        vertices = structure.grid.origin + (vertices / shape) @ structure.grid.cell
        meshes.append(Mesh(sign, vertices, faces))
    return meshes


def first_shown(levels: list[Level]) -> int:
    """Place of the level to begin with."""
    return next((n for n, level in enumerate(levels) if level.start), len(levels) - 1)


def missing(name: str) -> InputError:
    return InputError(f"{name} is missing: pip install 'deepdensity_tf[view]'")
