"""Densities to look at: isosurfaces, atoms, planes and profiles in one HTML page, or a picture."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.plot.sections import Structure
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure

# What a page may hold: points of the grid (4 bytes each, and for each field), vertices of all
# surfaces (about 24 bytes each), both a third more as text. Two fields with their difference then
# stay below 15 MB with plotly's own 5 MB.
_MAX_POINTS = 64**3
_MAX_VERTICES = 100_000

# A surface of a density encloses these shares of its integral; one of a field with two signs lies
# at these shares of its largest value.
_ENCLOSED = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
_OF_LARGEST = (0.7, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05)
_START = (0.9, 0.25)

_COLOURS = {"positive": "#d6604d", "negative": "#4393c3", "density": "#5ab4ac"}


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


class Page:
    """A page, as text; notebooks show it.

    Parameters
    ----------
    text : str
        HTML that needs no other file and no network.
    """

    def __init__(self, text: str):
        self.text = text

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.text, encoding="utf-8")

    def _repr_html_(self) -> str:
        content = html.escape(self.text, quote=True)
        return f'<iframe srcdoc="{content}" width="100%" height="600" frameborder="0"></iframe>'


def view(atoms: Atoms, density: np.ndarray, reference: np.ndarray | None = None, **options) -> Page:
    """A density as an interactive page; in a notebook the result shows itself.

    Parameters
    ----------
    atoms : ase.Atoms
        The cell spans the grid; periodic or not by its `pbc`.
    density : np.ndarray
        (nx, ny, nz), electrons/Å^3.
    reference : np.ndarray, optional
        Another density on the same grid: the page switches between both and their difference.
    **options
        `origin` of the grid, (3,) Å, and those of `page`.

    Examples
    --------
    >>> from ase import Atoms
    >>> helium = Atoms("He", [[2.0, 2.0, 2.0]], cell=[4, 4, 4])
    >>> x = np.stack(np.meshgrid(*[np.arange(16) / 4] * 3, indexing="ij"))
    >>> density = np.exp(-((x - 2.0) ** 2).sum(0))
    >>> view(helium, density).save("helium.html")  # doctest: +SKIP
    """
    from deepdensity_tf.formats import Grid

    origin = np.asarray(options.pop("origin", np.zeros(3)), dtype=np.float64)
    grid = Grid(np.shape(density), np.array(atoms.cell), origin)
    structure = Structure(
        atoms.get_chemical_symbols(), atoms.positions, grid, bool(atoms.pbc.any())
    )
    return page(structure, compared(density, reference), **options)


def compared(density: np.ndarray, reference: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Fields by name: a density alone, or model, reference and difference.

    Raises
    ------
    InputError
        Arrays of different shapes.
    """
    if reference is None:
        return {"density": density}
    if np.shape(density) != np.shape(reference):
        raise InputError(
            f"the reference has {np.shape(reference)} points, expected {np.shape(density)}"
        )
    return {"model": density, "reference": reference, "difference": density - reference}


def page(structure: Structure, fields: dict[str, np.ndarray], title: str = "density") -> Page:
    """The page of fields on the grid of a structure.

    Parameters
    ----------
    structure : Structure
        Atoms and grid.
    fields : dict
        (nx, ny, nz) electrons/Å^3 by name; those with both signs get surfaces of both.
    title : str
        Said at the top.

    Raises
    ------
    InputError
        plotly or scikit-image is missing.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise _missing("plotly") from None
    coarse = _reduced(structure, fields, _MAX_POINTS)
    levels = {name: choose_levels(values) for name, values in fields.items()}
    surfaces = _fitting_surfaces(structure, fields, levels)
    shape = next(iter(coarse.values())).shape
    cell, origin = structure.grid.cell, structure.grid.origin
    scene = {
        "colours": _COLOURS,
        "shape": shape,
        "cell": cell.tolist(),
        "inverse": np.linalg.inv(cell).tolist(),
        "origin": origin.tolist(),
        "pbc": structure.pbc,
        "middle": _middle(structure, shape),
        "fields": [_field(n, coarse[n], levels[n], surfaces[n]) for n in fields],
        **_skeleton(structure),
    }
    # In a script "</" would end it.
    text = json.dumps(scene, allow_nan=False).replace("</", "<\\/")
    here = Path(__file__).parent
    parts = {
        "@TITLE@": html.escape(title),
        "@PLOTLY@": get_plotlyjs(),
        "@SCENE@": text,
        "@SCRIPT@": (here / "view.js").read_text(encoding="utf-8"),
    }
    out = (here / "view.html").read_text(encoding="utf-8")
    for key, value in parts.items():
        out = out.replace(key, value)
    return Page(out)


def picture(
    structure: Structure, fields: dict[str, np.ndarray], title: str, level: float | None = None
) -> Figure:
    """The same scene without a browser: one panel a field, at the level the page starts with.

    Parameters
    ----------
    level : float, optional
        Another level, electrons/Å^3.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(fields), 6), layout="constrained")
    figure.suptitle(title)
    for number, (name, values) in enumerate(
        _reduced(structure, fields, _MAX_POINTS).items(), start=1
    ):
        axis = figure.add_subplot(1, len(fields), number, projection="3d", computed_zorder=False)
        levels = choose_levels(values)
        chosen = levels[_start(levels)] if level is None else Level(level, "")
        axis.set_title(f"{name}: {chosen.value:.3g} e/Å³{chosen.note}", fontsize=10)
        _draw_scene(axis, structure, surfaces_at(structure, values, chosen.value))
    return figure


def _draw_scene(axis, structure: Structure, meshes: list[Mesh]) -> None:
    """Atoms, bonds, cell and surfaces on a three-dimensional axis of matplotlib."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

    coord = _coord(structure)
    colours, sizes = _look(structure.symbols)
    axis.scatter(*coord.T, s=np.square(sizes), c=colours, edgecolors="k", depthshade=False)
    bonds = _bonds(structure.symbols, coord)
    if len(bonds):
        axis.add_collection3d(Line3DCollection(bonds, colors="0.4", lw=3))
    shown = [coord, *(mesh.vertices for mesh in meshes)]
    # The box of a molecule is a window, most of it empty.
    if structure.pbc:
        axis.add_collection3d(Line3DCollection(_edges(structure), colors="k", lw=0.8))
        shown.append(_corners(structure))
    for mesh in meshes:
        triangles = mesh.vertices[mesh.faces]
        colour = _COLOURS[mesh.sign]
        axis.add_collection3d(Poly3DCollection(triangles, facecolors=colour, alpha=0.5, shade=True))
    low, high = np.concatenate(shown).min(0), np.concatenate(shown).max(0)
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axis.set_box_aspect(np.maximum(high - low, 1e-3), zoom=0.9 if structure.pbc else 1.2)
    axis.set_axis_off()


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
        raise _missing("scikit-image") from None
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


def _fitting_surfaces(
    structure: Structure, fields: dict[str, np.ndarray], levels: dict[str, list[Level]]
) -> dict[str, list[list[Mesh]]]:
    """Surfaces of all fields and levels, on as fine a grid as the page has room for."""
    npoints = min(_MAX_POINTS, structure.grid.npoints)
    while True:
        coarse = _reduced(structure, fields, npoints)
        found = {
            name: [surfaces_at(structure, values, level.value) for level in levels[name]]
            for name, values in coarse.items()
        }
        meshes = (mesh for lists in found.values() for meshes in lists for mesh in meshes)
        total = sum(len(mesh.vertices) for mesh in meshes)
        if total <= _MAX_VERTICES or npoints < 1000:
            return found
        # Vertices go with the square of the points along an edge.
        npoints = int(0.9 * npoints * (_MAX_VERTICES / total) ** 1.5)


def _reduced(
    structure: Structure, fields: dict[str, np.ndarray], npoints: int
) -> dict[str, np.ndarray]:
    """Fields interpolated linearly on a coarser grid if theirs has more than `npoints` points."""
    from scipy.ndimage import map_coordinates

    shape = np.array(structure.grid.shape)
    if structure.grid.npoints <= npoints:
        return {name: np.asarray(values, dtype=np.float64) for name, values in fields.items()}
    fewer = np.maximum(shape * (npoints / structure.grid.npoints) ** (1 / 3), 2).astype(int)
    places = np.meshgrid(*(np.arange(m) * n / m for m, n in zip(fewer, shape, strict=True)),
                         indexing="ij")  # fmt: skip
    mode = "grid-wrap" if structure.pbc else "nearest"
    return {
        name: map_coordinates(np.asarray(values, dtype=np.float64), places, order=1, mode=mode)
        for name, values in fields.items()
    }


def _field(name: str, values: np.ndarray, levels: list[Level], meshes: list[list[Mesh]]) -> dict:
    return {
        "name": name,
        "signed": is_signed(values),
        "start": _start(levels),
        "values": _packed(values.ravel().astype(np.float32)),
        "levels": [
            {"value": level.value, "note": level.note, "meshes": [_packed_mesh(m) for m in found]}
            for level, found in zip(levels, meshes, strict=True)
        ],
    }


def _start(levels: list[Level]) -> int:
    """Place of the level to begin with."""
    return next((n for n, level in enumerate(levels) if level.start), len(levels) - 1)


def _packed_mesh(mesh: Mesh) -> dict:
    small = np.uint16 if len(mesh.vertices) <= 65536 else np.uint32
    arrays = [*mesh.vertices.T.astype(np.float32), *mesh.faces.T.astype(small)]
    return {"sign": mesh.sign, "arrays": [_packed(array) for array in arrays]}


def _packed(array: np.ndarray) -> tuple[str, str]:
    """Kind and little-endian bytes as base64: a third of the length of digits."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return array.dtype.str[1:], base64.b64encode(little.tobytes()).decode()


def _skeleton(structure: Structure) -> dict:
    """Atoms, bonds and the edges of the cell as plotly's traces take them."""
    coord = _coord(structure)
    colours, sizes = _look(structure.symbols)
    return {
        "atoms": {
            "place": {axis: coord[:, column].tolist() for column, axis in enumerate("xyz")},
            "names": [f"{symbol}{index}" for index, symbol in enumerate(structure.symbols)],
            "marker": {"color": colours, "size": sizes, "opacity": 1},
        },
        "bonds": _strokes(_bonds(structure.symbols, coord)),
        "edges": _strokes(_edges(structure)),
    }


def _coord(structure: Structure) -> np.ndarray:
    """Positions, (natoms, 3), Å; wrapped into the cell if periodic."""
    return structure.grid.origin + structure.fractional() @ structure.grid.cell


def _look(symbols: Sequence[str]) -> tuple[list[str], list[float]]:
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


def _bonds(symbols: Sequence[str], coord: np.ndarray) -> np.ndarray:
    """Ends of the bonds within the cell, (nbonds, 2, 3), by the sum of covalent radii."""
    from scipy.spatial import cKDTree

    radii = _radii(symbols)
    pairs = cKDTree(coord).query_pairs(2.3 * radii.max(), output_type="ndarray")
    lengths = np.linalg.norm(coord[pairs[:, 0]] - coord[pairs[:, 1]], axis=1)
    return coord[pairs[lengths < 1.2 * radii[pairs].sum(1)]]


def _corners(structure: Structure) -> np.ndarray:
    unit = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), -1)
    return structure.grid.origin + unit @ structure.grid.cell


def _edges(structure: Structure) -> np.ndarray:
    """Ends of the twelve edges of the grid's cell, (12, 2, 3)."""
    corners = _corners(structure)
    ends = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]
    return corners[np.array(ends)]


def _strokes(ends: np.ndarray) -> dict[str, list]:
    """Coordinates of lines one after the other, with a gap (null) after each."""
    return {
        axis: [x for a, b in ends[:, :, column].tolist() for x in (a, b, None)]
        for column, axis in enumerate("xyz")
    }


def _middle(structure: Structure, shape: Sequence[int]) -> list[int]:
    """Grid planes through the middle of the atoms."""
    centre = structure.fractional().mean(axis=0)
    return [int(np.clip(round(c * n), 0, n - 1)) for c, n in zip(centre, shape, strict=True)]


def _missing(name: str) -> InputError:
    return InputError(f"{name} is missing: pip install 'deepdensity_tf[view]'")
