"""dd-tf plot: every picture from the command line."""

import numpy as np
import pytest

from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.main import main
from tests.conftest import write_small_system


@pytest.fixture
def plot(capsys, frozen_model, tmp_path, monkeypatch):
    """Runs `dd-tf plot` in tmp_path beside a system `data` and a lcurve.out."""
    monkeypatch.chdir(tmp_path)
    write_small_system(tmp_path / "data", nframes=2)
    (tmp_path / "lcurve.out").write_text("# step nmae_trn loss_trn lr\n 1 9 1 0.1\n 2 8 0.5 0.1\n")

    def run(kind, *arguments):
        model = [] if kind == "lcurve" else ["-m", str(frozen_model), "-s", "data"]
        try:
            code = main(["plot", kind, *model, *arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        out, err = capsys.readouterr()
        assert out == ""
        return code, err

    return run


@pytest.mark.parametrize(
    ("kind", "arguments", "name"),
    [
        ("lcurve", [], "lcurve.png"),
        ("parity", ["--frames", ":2"], "parity.png"),
        ("slice", ["-f", "1"], "slice.png"),
        ("slice", ["--axis", "a", "--plane", "3", "-o", "a.pdf"], "a.pdf"),
        ("line", ["--bond", "0", "2"], "line.png"),
        ("line", ["--axis", "b", "--through", "1", "-o", "b.svg"], "b.svg"),
    ],
)
def test_pictures(plot, tmp_path, kind, arguments, name):
    code, err = plot(kind, *arguments)
    assert code == 0, err
    assert (tmp_path / name).stat().st_size > 5000
    assert f"{name}: written" in err


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("lcurve", ["nix.out"], "nix.out: no such file"),
        ("lcurve", ["-o", "x.doc"], "x.doc: unknown kind of picture"),
        ("slice", ["-f", "2"], "-f (data): frame 2 asked for, found 2 frames"),
        ("slice", ["--plane", "16"], "plane 16 asked for, the grid has planes 0 to 15"),
        ("line", ["--bond", "0", "3"], "--bond: atom 3 asked for, found atoms 0 to 2"),
        ("line", ["--axis", "a", "--through", "3"], "--through: atom 3 asked for"),
        ("line", [], "one of the arguments --bond --axis is required"),
        ("parity", ["-o", "nix/p.png"], "expected a file name in a folder that exists"),
    ],
)
def test_refused(plot, kind, arguments, message):
    code, err = plot(kind, *arguments)
    assert code == 2 and message in err and err.count("error:") == 1


def test_loose_points_have_no_slice(plot, tmp_path):
    part = tmp_path / "data" / "set.000"
    np.save(part / "grid.npy", np.array([f.points() for f in DensitySystem("data")]))
    (part / "grid_shape.npy").unlink()
    code, err = plot("slice")
    assert code == 2 and "frame 0 has loose points, expected a full grid" in err
    assert plot("parity")[0] == 0
