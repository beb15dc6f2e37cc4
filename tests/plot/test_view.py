"""Pages and pictures of densities: surfaces, levels, what a browser makes of them."""

import base64
import io
import json
import re
import time

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.formats import Grid
from deepdensity_tf.main import main
from deepdensity_tf.plot.sections import Structure
from deepdensity_tf.plot.surfaces import choose_levels, surfaces_at
from deepdensity_tf.plot.view import compared, page, picture, view
from deepdensity_tf.utils.errors import InputError
from tests.browser import chromium, errors
from tests.conftest import gaussian_density

pytest.importorskip("plotly")
pytest.importorskip("skimage")

WIDTH, CHARGE = 0.6, 4.0


def molecule(n=40, edge=6.0):
    """A Gaussian about the one atom of a box."""
    grid = Grid((n, n, n), edge * np.eye(3), np.array([1.0, -2.0, 0.5]))
    centre = grid.origin + edge / 2
    values = gaussian_density(grid.points(), [centre], [CHARGE], width=WIDTH)
    return Structure(["C"], centre[None], grid, False), values.reshape(grid.shape)


def crystal(n=24):
    """A Gaussian about the corner of a skew periodic cell."""
    cell = np.array([[5.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 1.5, 4.5]])
    grid = Grid((n, n, n), cell)
    values = gaussian_density(grid.points(), [np.zeros(3)], [CHARGE], cell, WIDTH)
    return Structure(["Al"], np.zeros((1, 3)), grid, True), values.reshape(grid.shape)


def scene_of(text):
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    return json.loads(found[1])


def test_surface_of_a_gaussian_is_a_sphere():
    structure, values = molecule()
    radius = 1.0
    level = CHARGE / (2 * np.pi * WIDTH**2) ** 1.5 * np.exp(-(radius**2) / (2 * WIDTH**2))
    (mesh,) = surfaces_at(structure, values, level)
    distance = np.linalg.norm(mesh.vertices - structure.coord[0], axis=1)
    # Linear interpolation along an edge of length h errs by h^2/8 f''/f', f''/f' = r/w^2 - 1/r.
    bound = (6 / 40) ** 2 / 8 * (radius / WIDTH**2 + 1 / radius)
    assert np.abs(distance - radius).max() < bound
    corners = mesh.vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.linalg.norm(cross, axis=1).sum() / 2 == pytest.approx(4 * np.pi, rel=0.02)


def test_periodic_surface_reaches_the_far_faces():
    structure, values = crystal()
    (mesh,) = surfaces_at(structure, values, 0.1)
    fractions = mesh.vertices @ np.linalg.inv(structure.grid.cell)
    assert fractions.min() == pytest.approx(0.0) and fractions.max() == pytest.approx(1.0)
    # Every vertex lies at the same distance from one of the corners.
    corners = np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), -1) @ structure.grid.cell
    nearest = np.linalg.norm(mesh.vertices[:, None] - corners, axis=2).min(1)
    assert np.ptp(nearest) < 0.1


def test_levels_enclose_what_they_say():
    _, values = molecule()
    for level in choose_levels(values):
        share = values[values >= level.value].sum() / values.sum()
        said = int(re.search(r"(\d+)%", level.note)[1]) / 100
        assert share == pytest.approx(said, abs=0.01)


def test_field_with_both_signs_has_surfaces_of_both():
    structure, values = molecule()
    moved = np.roll(values, 6, axis=0)
    meshes = surfaces_at(structure, values - moved, 0.05)
    assert [mesh.sign for mesh in meshes] == ["positive", "negative"]
    assert meshes[0].vertices[:, 0].mean() < meshes[1].vertices[:, 0].mean()


@pytest.mark.parametrize("values", [np.zeros((4, 4, 4)), np.full((4, 4, 4), np.nan)])
def test_nothing_to_show_is_one_line(values):
    structure, _ = molecule(4)
    with pytest.raises(InputError, match="0 everywhere|not finite"):
        page(structure, {"density": values})


def test_compared_densities_must_match():
    with pytest.raises(InputError, match="expected"):
        compared(np.zeros((2, 2, 2)), np.zeros((3, 2, 2)))


def test_large_grids_make_pages_that_load():
    structure, values = molecule(128)
    text = page(structure, compared(values, np.roll(values, 3, axis=1))).text
    assert len(text.encode()) < 15e6
    scene = scene_of(text)
    assert [field["name"] for field in scene["fields"]] == ["model", "reference", "difference"]
    kind, packed = scene["fields"][0]["values"]
    found = np.frombuffer(base64.b64decode(packed), np.dtype("<" + kind)).reshape(scene["shape"])
    # 64 points an edge: every second one of the grid.
    np.testing.assert_allclose(found, values[::2, ::2, ::2], rtol=1e-6, atol=1e-12)


def test_page_needs_no_network_and_is_safe():
    structure, values = molecule(12)
    text = page(structure, {"density": values}, title="</script><b>x & y").text
    assert "<b>x" not in text
    assert not re.search(r'<(script|link)[^>]*(src|href)="(?!data:)', text)


def test_notebook_shows_a_frame():
    structure, values = molecule(12)
    atoms = Atoms("C", structure.coord - structure.grid.origin, cell=structure.grid.cell)
    shown = view(atoms, values)
    assert shown._repr_html_().startswith("<iframe srcdoc=") and scene_of(shown.text)


def coloured_share(image):
    """Share of the pixels that are no shade of grey."""
    return np.mean(np.ptp(np.asarray(image)[..., :3].astype(int), axis=-1) > 30)


def test_picture_shows_the_surface():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for structure, values in (molecule(24), crystal()):
        figure = picture(structure, compared(values, np.roll(values, 3, 0)), "a title")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        assert coloured_share(canvas.buffer_rgba()) > 0.03


def test_command(tmp_path, capsys, small_system, make_frozen, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = str(make_frozen())
    assert main(["view", str(small_system), "-f", "1"]) == 0
    assert [f["name"] for f in scene_of((tmp_path / "data.html").read_text())["fields"]] == [
        "density"
    ]
    arguments = ["view", "-m", model, str(small_system), "-o", "m.html", "--png", "m.png"]
    assert main(arguments) == 0
    names = [field["name"] for field in scene_of((tmp_path / "m.html").read_text())["fields"]]
    assert names == ["model", "reference", "difference"] and (tmp_path / "m.png").stat().st_size
    capsys.readouterr()
    assert main(["view", str(small_system), "--grid", "4", "4", "4"]) == 2
    assert "--grid: goes with -m" in capsys.readouterr().err


def test_browser(tmp_path):
    from matplotlib.image import imread

    structure, values = molecule()
    path = tmp_path / "page.html"
    page(structure, compared(values, np.roll(values, 2, axis=0)), "a title").save(path)
    with chromium(tmp_path) as driver:
        start = time.monotonic()
        driver.get(path.as_uri())
        # 3 s on a machine at rest.
        assert time.monotonic() - start < 15
        drawn = "return graph.data.map(trace => [trace.type, trace.x.length])"
        before = driver.execute_script(drawn)
        assert ["mesh3d", "scatter3d"] == sorted({kind for kind, _ in before})
        image = imread(io.BytesIO(driver.get_screenshot_as_png())) * 255
        assert coloured_share(image[100:]) > 0.03
        change = "element(arguments[0]).value = arguments[1];"
        change += "element(arguments[0]).dispatchEvent(new Event(arguments[2]));" + drawn
        moved = driver.execute_script(change, "level", "3", "input")
        assert moved[0][0] == "mesh3d" and moved[0][1] != before[0][1]
        assert "40%" in driver.execute_script("return element('value').textContent")
        both = driver.execute_script(change, "field", "2", "change")
        assert [kind for kind, _ in both].count("mesh3d") == 2
        assert ["surface", 40] in driver.execute_script(change, "plane", "2", "change")
        profile = "pick(arguments[0]); pick(arguments[1]);"
        profile += "return document.getElementById('profile').data.map(line => Array.from(line.y))"
        ends = structure.coord[0], structure.coord[0] + [0.9, 0, 0]
        lines = driver.execute_script(profile, *(end.tolist() for end in ends))
        assert lines[0][0] == pytest.approx(values[20, 20, 20], rel=1e-5)
        assert lines[0][-1] == pytest.approx(values[26, 20, 20], rel=1e-5)
        assert errors(driver) == []
