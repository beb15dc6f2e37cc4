"""Atoms, bonds and cell of a structure, to be drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepdensity_tf.plot.sections import Structure


def skeleton(structure: Structure) -> dict:
    """Atoms, bonds and the edges of the cell as plotly's traces take them."""
    coord = coordinates(structure)
    colours, sizes = look(structure.symbols)
    return {
        "atoms": {
            "place": {axis: coord[:, column].tolist() for column, axis in enumerate("xyz")},
            "names": [f"{symbol}{index}" for index, symbol in enumerate(structure.symbols)],
            "marker": {"color": colours, "size": sizes, "opacity": 1},
        },
        "bonds": strokes(bonds_between(structure.symbols, coord)),
        "edges": strokes(edges(structure)),
    }


def coordinates(structure: Structure) -> np.ndarray:
    """Positions, (natoms, 3), Å; wrapped into the cell if periodic."""
    return structure.grid.origin + structure.fractional() @ structure.grid.cell


def look(symbols: Sequence[str]) -> tuple[list[str], list[float]]:
    """Colours and sizes (points) of atoms."""
    from ase.data.colors import jmol_colors

    hexadecimal = ("#" + "".join(f"{round(255 * x):02x}" for x in colour) for colour in jmol_colors)
    table = list(hexadecimal)
    colours = [table[number] for number in _numbers(symbols)]
    return colours, np.clip(14 * _radii(symbols), 5, 24).tolist()


def _numbers(symbols: Sequence[str]) -> list[int]:
    from ase.data import atomic_numbers

    return [atomic_numbers.get(symbol, 0) for symbol in symbols]


def _radii(symbols: Sequence[str]) -> np.ndarray:
    """Covalent radii, Å."""
    from ase.data import covalent_radii

    return covalent_radii[_numbers(symbols)]


def bonds_between(symbols: Sequence[str], coord: np.ndarray) -> np.ndarray:
    """Ends of the bonds within the cell, (nbonds, 2, 3), by the sum of covalent radii."""
    from scipy.spatial import cKDTree

    radii = _radii(symbols)
    pairs = cKDTree(coord).query_pairs(2.3 * radii.max(), output_type="ndarray")
    lengths = np.linalg.norm(coord[pairs[:, 0]] - coord[pairs[:, 1]], axis=1)
    return coord[pairs[lengths < 1.2 * radii[pairs].sum(1)]]


def corners(structure: Structure) -> np.ndarray:
    """Those of the grid's cell, (8, 3), Å."""
    unit = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), -1)
    return structure.grid.origin + unit @ structure.grid.cell


def edges(structure: Structure) -> np.ndarray:
    """Ends of the twelve edges of the grid's cell, (12, 2, 3)."""
    ends = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]
    return corners(structure)[np.array(ends)]


def strokes(ends: np.ndarray) -> dict[str, list]:
    """Coordinates of lines one after the other, with a gap (null) after each."""
    return {
        axis: [x for a, b in ends[:, :, column].tolist() for x in (a, b, None)]
        for column, axis in enumerate("xyz")
    }
