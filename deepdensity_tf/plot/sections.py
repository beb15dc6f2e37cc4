"""Planes and lines through a density on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepdensity_tf.formats import Grid
from deepdensity_tf.utils.errors import InputError


@dataclass(frozen=True)
class Structure:
    """Atoms on a grid.

    Parameters
    ----------
    symbols : list of str
        Chemical symbols, one an atom.
    coord : ndarray
        (natoms, 3), Å.
    grid : Grid
        Where the density is known.
    pbc : bool
        The grid's cell is the period; else it is a window on an isolated molecule.
    """

    symbols: list[str]
    coord: np.ndarray
    grid: Grid
    pbc: bool

    def fractional(self) -> np.ndarray:
        """Positions in units of the cell vectors, (natoms, 3); in [0, 1) if periodic."""
        fractions = np.linalg.solve(self.grid.cell.T, (self.coord - self.grid.origin).T).T
        return fractions % 1.0 if self.pbc else fractions


@dataclass(frozen=True)
class Plane:
    """A grid plane in its own coordinates.

    Parameters
    ----------
    x, y : ndarray
        Places of the grid points in the plane, Å: (n, m), or (n + 1, m + 1) if periodic, as the
        far edges repeat the near ones.
    height : float
        Distance of the plane from the grid's origin, Å.
    atoms : list of tuple
        (symbol, x, y, distance from the plane) of the atoms near it, Å.
    """

    x: np.ndarray
    y: np.ndarray
    height: float
    atoms: list[tuple[str, float, float, float]]

    def close(self, values: np.ndarray) -> np.ndarray:
        """Values (n, m) in the plane, with repeated edges where `x` and `y` have them."""
        missing = [(0, a - b) for a, b in zip(self.x.shape, values.shape, strict=True)]
        return np.pad(values, missing, mode="wrap")


def flattest_axis(structure: Structure) -> int:
    """The cell vector along which the atoms spread least: a plane across it holds most of them."""
    spread = np.ptp(structure.fractional(), axis=0) * np.linalg.norm(structure.grid.cell, axis=1)
    # Equal spreads (cubic crystals) go to the last axis, whatever the rounding.
    return int(max(np.flatnonzero(spread < spread.min() + 1e-6)))


def central_index(structure: Structure, axis: int) -> int:
    """Grid plane through the atom that is nearest, along `axis`, to the centre of mass."""
    from ase.data import atomic_masses, atomic_numbers

    fractions = structure.fractional()[:, axis]
    masses = [atomic_masses[atomic_numbers.get(symbol, 0)] for symbol in structure.symbols]
    centre = np.average(fractions, weights=masses)
    nearest = fractions[np.abs(fractions - centre).argmin()]
    npoints = structure.grid.shape[axis]
    index = round(nearest * npoints)
    return index % npoints if structure.pbc else int(np.clip(index, 0, npoints - 1))


def plane(structure: Structure, axis: int, index: int, reach: float = 1.0) -> Plane:
    """Grid plane `index` across cell vector `axis`, and the atoms within `reach` (Å) of it.

    Raises
    ------
    InputError
        The grid has no such plane.
    """
    grid = structure.grid
    npoints = grid.shape[axis]
    if not 0 <= index < npoints:
        raise InputError(f"plane {index} asked for, the grid has planes 0 to {npoints - 1}")
    others = [k for k in range(3) if k != axis]
    basis = _basis(grid.cell, axis)
    offset = index / npoints * grid.cell[axis]
    steps = [np.arange(n + structure.pbc) / n for n in (grid.shape[k] for k in others)]
    mesh = np.stack(np.meshgrid(*steps, indexing="ij"), -1)
    points = (offset + mesh @ grid.cell[others]) @ basis.T
    height = float((basis @ offset)[2])

    fractions = structure.fractional()[:, None] + _images(structure.pbc)
    local = fractions @ grid.cell @ basis.T
    distance = np.abs(local[..., 2] - height)
    in_plane = fractions[..., others]
    near = np.all((in_plane >= 0) & (in_plane <= 1), axis=-1) & (distance < reach)
    atoms = [
        (structure.symbols[i], float(x), float(y), float(distance[i, image]))
        for i, image in np.argwhere(near)
        for x, y in [local[i, image, :2]]
    ]
    return Plane(points[..., 0], points[..., 1], height, atoms)


def _basis(cell: np.ndarray, axis: int) -> np.ndarray:
    """Orthonormal rows: the first in-plane cell vector, its normal in the plane, the normal."""
    first, second = (cell[k] for k in range(3) if k != axis)
    x = first / np.linalg.norm(first)
    y = second - (second @ x) * x
    y /= np.linalg.norm(y)
    z = np.cross(x, y)
    return np.array([x, y, z if z @ cell[axis] > 0 else -z])


def _images(pbc: bool) -> np.ndarray:
    shifts = np.arange(-1, 2) if pbc else np.zeros(1)
    return np.stack(np.meshgrid(shifts, shifts, shifts, indexing="ij"), -1).reshape(-1, 3)


@dataclass(frozen=True)
class Line:
    """A straight line through the grid.

    Parameters
    ----------
    points : ndarray
        (n, 3), Å.
    distance : ndarray
        Along the line, (n,), Å.
    atoms : list of tuple
        (symbol, distance) of the atoms on it.
    name : str
        What it runs through.
    """

    points: np.ndarray
    distance: np.ndarray
    atoms: list[tuple[str, float]]
    name: str


def bond_line(structure: Structure, first: int, second: int, beyond: float = 1.5) -> Line:
    """The line through two atoms, `beyond` (Å) past each; distances count from the first.

    Periodic: to the nearest image of the second.

    Raises
    ------
    InputError
        No such atoms, or both at one place.
    """
    natoms = len(structure.symbols)
    for atom in (first, second):
        if not 0 <= atom < natoms:
            raise InputError(f"--bond: atom {atom} asked for, found atoms 0 to {natoms - 1}")
    bond = structure.coord[second] - structure.coord[first]
    if structure.pbc:
        from ase.geometry import find_mic

        bond = find_mic(bond, structure.grid.cell)[0]
    length = float(np.linalg.norm(bond))
    if length < 1e-6:
        raise InputError(f"--bond: atoms {first} and {second} lie at the same place")
    distance = np.linspace(-beyond, length + beyond, 401)
    points = structure.coord[first] + distance[:, None] * bond / length
    labels = [f"{structure.symbols[atom]}{atom}" for atom in (first, second)]
    atoms = list(zip(labels, (0.0, length), strict=True))
    return Line(points, distance, atoms, f"bond {labels[0]}-{labels[1]}")


def point_line(start: np.ndarray, end: np.ndarray) -> Line:
    """The line between two points (3,), Å.

    Raises
    ------
    InputError
        Both are the same.
    """
    length = float(np.linalg.norm(end - start))
    if not 1e-6 < length < np.inf:
        raise InputError(f"--line: its ends are {length:.3g} Å apart, expected two points")
    steps = np.linspace(0, 1, 401)
    return Line(start + steps[:, None] * (end - start), steps * length, [], "line")


def axis_line(structure: Structure, axis: int, atom: int) -> Line:
    """The grid line along cell vector `axis` that passes nearest to an atom.

    Raises
    ------
    InputError
        No such atom.
    """
    if not 0 <= atom < len(structure.symbols):
        raise InputError(
            f"--through: atom {atom} asked for, found atoms 0 to {len(structure.symbols) - 1}"
        )
    grid = structure.grid
    shape = np.array(grid.shape)
    fractions = structure.fractional()[atom]
    start = np.rint(fractions * shape) / shape
    start[axis] = 0.0
    steps = np.arange(grid.shape[axis]) / grid.shape[axis]
    points = grid.origin + start @ grid.cell + steps[:, None] * grid.cell[axis]
    length = float(np.linalg.norm(grid.cell[axis]))
    label = f"{structure.symbols[atom]}{atom}"
    name = f"cell vector {'abc'[axis]} through {label}"
    return Line(points, steps * length, [(label, float(fractions[axis] * length))], name)


def interpolate(structure: Structure, values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Values on the grid at other points, by cubic splines; exact at grid points.

    Parameters
    ----------
    structure : Structure
        Gives grid and periodicity. Outside the window of a molecule the result is 0.
    values : ndarray
        (nx, ny, nz).
    points : ndarray
        (n, 3), Å.
    """
    from scipy.ndimage import map_coordinates

    grid = structure.grid
    index = np.linalg.solve(grid.cell.T, (points - grid.origin).T) * np.array(grid.shape)[:, None]
    mode = "grid-wrap" if structure.pbc else "grid-constant"
    return map_coordinates(values, index, order=3, mode=mode)
