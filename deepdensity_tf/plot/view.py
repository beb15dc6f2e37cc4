"""Densities to look at: isosurfaces, atoms, planes and profiles in one HTML page, or a picture."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.plot.sections import Structure
from deepdensity_tf.plot.skeleton import (
    bonds_between,
    coordinates,
    corners,
    edges,
    look,
    skeleton,
)
from deepdensity_tf.plot.surfaces import (
    Level,
    Mesh,
    choose_levels,
    first_shown,
    is_signed,
    missing,
    surfaces_at,
)
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

_COLOURS = {"positive": "#d6604d", "negative": "#4393c3", "density": "#5ab4ac"}


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
        raise missing("plotly") from None
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
        **skeleton(structure),
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
        chosen = levels[first_shown(levels)] if level is None else Level(level, "")
        axis.set_title(f"{name}: {chosen.value:.3g} e/Å³{chosen.note}", fontsize=10)
        _draw_scene(axis, structure, surfaces_at(structure, values, chosen.value))
    return figure


def _draw_scene(axis, structure: Structure, meshes: list[Mesh]) -> None:
    """Atoms, bonds, cell and surfaces on a three-dimensional axis of matplotlib."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

    coord = coordinates(structure)
    colours, sizes = look(structure.symbols)
    axis.scatter(*coord.T, s=np.square(sizes), c=colours, edgecolors="k", depthshade=False)
    bonds = bonds_between(structure.symbols, coord)
    if len(bonds):
        axis.add_collection3d(Line3DCollection(bonds, colors="0.4", lw=3))
    shown = [coord, *(mesh.vertices for mesh in meshes)]
    # The box of a molecule is a window, most of it empty.
    if structure.pbc:
        axis.add_collection3d(Line3DCollection(edges(structure), colors="k", lw=0.8))
        shown.append(corners(structure))
    for mesh in meshes:
        triangles = mesh.vertices[mesh.faces]
        colour = _COLOURS[mesh.sign]
        axis.add_collection3d(Poly3DCollection(triangles, facecolors=colour, alpha=0.5, shade=True))
    low, high = np.concatenate(shown).min(0), np.concatenate(shown).max(0)
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axis.set_box_aspect(np.maximum(high - low, 1e-3), zoom=0.9 if structure.pbc else 1.2)
    axis.set_axis_off()


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
        "start": first_shown(levels),
        "values": _packed(values.ravel().astype(np.float32)),
        "levels": [
            {"value": level.value, "note": level.note, "meshes": [_packed_mesh(m) for m in found]}
            for level, found in zip(levels, meshes, strict=True)
        ],
    }


def _packed_mesh(mesh: Mesh) -> dict:
    small = np.uint16 if len(mesh.vertices) <= 65536 else np.uint32
    arrays = [*mesh.vertices.T.astype(np.float32), *mesh.faces.T.astype(small)]
    return {"sign": mesh.sign, "arrays": [_packed(array) for array in arrays]}


def _packed(array: np.ndarray) -> tuple[str, str]:
    """Kind and little-endian bytes as base64: a third of the length of digits."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return array.dtype.str[1:], base64.b64encode(little.tobytes()).decode()


def _middle(structure: Structure, shape: Sequence[int]) -> list[int]:
    """Grid planes through the middle of the atoms."""
    centre = structure.fractional().mean(axis=0)
    return [int(np.clip(round(c * n), 0, n - 1)) for c, n in zip(centre, shape, strict=True)]
