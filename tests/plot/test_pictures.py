"""Pictures: what is drawn, and what is refused."""

import numpy as np
import pytest

from deepdensity_tf.formats import Grid
from deepdensity_tf.plot.pictures import (
    learning_curve,
    parity,
    profile,
    read_lcurve,
    save_figure,
    slices,
)
from deepdensity_tf.plot.sections import Structure, axis_line, plane
from deepdensity_tf.utils.errors import InputError

HEADER = "#        step     nmae_val     nmae_trn     loss_trn           lr\n"


def test_lcurve_columns(tmp_path):
    path = tmp_path / "lcurve.out"
    path.write_text(HEADER + " 100 9.0 8.0 0.1 1e-3\n 200 4.0 3.0 0.05 5e-4\n 300 2.0 1.")
    columns = read_lcurve(path)
    assert list(columns) == ["step", "nmae_val", "nmae_trn", "loss_trn", "lr"]
    # The torn line of a killed run is left out.
    np.testing.assert_array_equal(columns["step"], [100, 200])
    np.testing.assert_array_equal(columns["nmae_trn"], [8, 3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no columns"),
        ("100 9.0\n", "names no columns"),
        (HEADER, "no lines of data yet"),
        (HEADER + " 1 2 3 x 5\n", "'x', expected numbers"),
    ],
)
def test_bad_lcurve(tmp_path, text, message):
    path = tmp_path / "lcurve.out"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"lcurve.out: .*{message}"):
        read_lcurve(path)


def test_missing_lcurve(tmp_path):
    with pytest.raises(InputError, match="nix.out: no such file, expected a learning curve"):
        read_lcurve(tmp_path / "nix.out")


def test_learning_curve_has_a_panel_a_quantity():
    step = np.arange(1.0, 31.0)
    columns = {name: 1 / step for name in ("nmae_val", "nmae_trn", "loss_trn", "lr")}
    figure = learning_curve({"step": step, **columns, "time": step})
    assert [a.get_ylabel() for a in figure.axes] == ["NMAE (%)", "loss", "learning rate"]
    assert [len(a.lines) for a in figure.axes] == [2, 1, 1]
    assert all(a.get_yscale() == "log" for a in figure.axes)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), columns["nmae_val"])


def test_learning_curve_of_zeros_is_not_logarithmic():
    figure = learning_curve({"step": np.arange(3.0), "loss_trn": np.zeros(3)})
    assert figure.axes[0].get_yscale() == "linear"


@pytest.fixture
def structure():
    return Structure(["O"], np.array([[2.0, 2.0, 2.0]]), Grid((8, 8, 8), 4 * np.eye(3)), True)


@pytest.fixture
def densities():
    rng = np.random.default_rng(0)
    ref = rng.random((8, 8, 8)) ** 8
    return ref + 0.01 * rng.standard_normal(ref.shape), ref


def test_parity_counts_every_point(densities):
    figure = parity(*densities, "title")
    (mesh,) = figure.axes[0].collections
    assert mesh.get_array().sum() == 512
    error = 100 * np.abs(densities[0] - densities[1]).sum() / densities[1].sum()
    assert f"NMAE {error:.2f} %" in figure.axes[0].texts[0].get_text()


def test_slices_show_what_they_say(structure, densities):
    pred, ref = densities
    section = plane(structure, 2, 4)
    figure = slices(section, pred[:, :, 4], ref[:, :, 4], "title")
    panels = [a for a in figure.axes if a.get_title()]
    assert [a.get_title() for a in panels] == ["reference", "model", "model $-$ reference"]
    error = np.asarray(panels[2].collections[0].get_array()).reshape(section.x.shape)
    np.testing.assert_allclose(error[:8, :8], (pred - ref)[:, :, 4], rtol=1e-12)
    limits = [a.collections[0].get_clim() for a in panels]
    assert limits[0] == limits[1] and limits[2][0] == -limits[2][1]


def test_profile_has_the_error_on_its_own_axis(structure, densities):
    line = axis_line(structure, 0, 0)
    pred, ref = (field[:, 4, 4] for field in densities)
    figure = profile(line, pred, ref, "title")
    axis, twin = figure.axes
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), ref)
    np.testing.assert_array_equal(axis.lines[1].get_ydata(), pred)
    np.testing.assert_array_equal(twin.lines[1].get_ydata(), pred - ref)


def test_perfect_model_in_vacuum_is_drawn(tmp_path, structure):
    nothing = np.zeros((8, 8))
    save_figure(slices(plane(structure, 2, 4), nothing, nothing, "title"), tmp_path / "a.png")
    zeros = np.zeros(8)
    save_figure(profile(axis_line(structure, 0, 0), zeros, zeros, "title"), tmp_path / "b.png")
    values = np.linspace(0, 1, 100)
    save_figure(parity(values, values, "title"), tmp_path / "c.png")


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")]
)
def test_format_by_name(tmp_path, name, start):
    figure = learning_curve({"step": np.arange(1.0, 4.0), "loss_trn": np.ones(3)})
    save_figure(figure, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_unknown_format(tmp_path):
    figure = learning_curve({"step": np.arange(1.0, 4.0), "loss_trn": np.ones(3)})
    with pytest.raises(InputError, match=r"a.xyz: unknown kind of picture, expected .png"):
        save_figure(figure, tmp_path / "a.xyz")
