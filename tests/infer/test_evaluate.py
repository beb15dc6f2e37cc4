"""dd-tf test and show, on a frozen model with random weights."""

import json

import numpy as np
import pytest

from deepdensity_tf.data.system import DensitySystem, find_systems
from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.evaluate import evaluate
from deepdensity_tf.infer.frames import choose_frames, predict_frame, structure_of
from deepdensity_tf.main import main
from tests.conftest import write_small_system


@pytest.fixture(scope="module")
def model(frozen_model):
    return DeepDensity(frozen_model)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A molecule and a crystal whose folders have the same last name."""
    root = tmp_path_factory.mktemp("systems")
    for name, pbc in (("molecule", False), ("crystal", True)):
        (root / name).mkdir()
        write_small_system(root / name / "data", nframes=3, seed=len(name), pbc=pbc)
    return root


def loosen(folder, npoints):
    """The same system with the first `npoints` points of its grid as loose points."""
    frames = list(DensitySystem(folder))
    part = folder / "set.000"
    np.save(part / "grid.npy", np.array([f.points()[1000 : 1000 + npoints] for f in frames]))
    np.save(part / "density.npy", np.array([f.density[1000 : 1000 + npoints] for f in frames]))
    (part / "grid_shape.npy").unlink()


def test_names_tell_systems_apart(folders):
    chosen = choose_frames([str(folders)], ["C", "H"], "1:", limit=1)
    assert [entry.name for entry in chosen] == ["crystal_data", "molecule_data"]
    assert [list(entry.indices) for entry in chosen] == [[1], [1]]
    (only,) = choose_frames([str(folders / "crystal")], ["C", "H"], ":")
    assert only.name == "data"


@pytest.mark.parametrize("kind", ["molecule", "crystal"])
def test_grid_and_points_of_a_frame_agree(model, folders, kind):
    (system,) = find_systems([str(folders / kind)], model.type_map)
    frame = system.frame(2)
    box = frame.box if frame.pbc else None
    expected = model.eval(frame.coord, box, frame.atype, frame.points())
    found = predict_frame(model, frame)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * expected.max())


def test_structure_of_a_frame(folders):
    (system,) = find_systems([str(folders / "crystal")], ["H", "C"])
    structure = structure_of(system.frame(0), ["H", "C"])
    assert structure.symbols == ["C", "H", "H"] and structure.pbc
    assert structure.grid.shape == (16, 16, 16)


def test_report_and_details(model, folders, tmp_path):
    chosen = choose_frames([str(folders)], model.type_map, ":2")
    report = evaluate(model, chosen, str(tmp_path / "detail"))
    assert [(f["system"], f["frame"]) for f in report["frames"]] == [
        ("crystal_data", 0),
        ("crystal_data", 1),
        ("molecule_data", 0),
        ("molecule_data", 1),
    ]
    with np.load(tmp_path / "detail.molecule_data.npz") as detail:
        assert sorted(detail) == ["pred_0", "pred_1", "ref_0", "ref_1"]
        pred, ref = detail["pred_1"], detail["ref_1"].astype(np.float64)
    assert pred.shape == ref.shape == (16, 16, 16)
    entry = report["frames"][3]
    nmae = 100 * np.abs(pred - ref).sum() / np.abs(ref).sum()
    assert entry["nmae"] == pytest.approx(nmae, rel=1e-12)
    frame = chosen[1].system.frame(1)
    # The exact integral over all space: the frame's grid is too coarse and too small for it.
    box = 12 * np.eye(3)
    fine = model.eval_grid(frame.coord + 3, box, frame.atype, (96, 96, 96), pbc=False)
    assert entry["electrons_pred"] == pytest.approx(fine.mean() * 12**3, rel=1e-4)
    assert report["systems"][1]["nframes"] == 2
    mean = np.mean([f["nmae"] for f in report["frames"]])
    assert report["all"]["nmae"] == pytest.approx(mean, rel=1e-12)
    assert len(report["deciles"]) == 10
    assert sum(row["npoints"] for row in report["deciles"]) == 4 * 16**3
    json.dumps(report, allow_nan=False)


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_command_prints_tables(capsys, frozen_model, folders, tmp_path):
    code, out, err = run(
        capsys, "test", "-m", frozen_model, "-s", folders, "--json", tmp_path / "test.json"
    )
    assert code == 0, err
    report = json.loads((tmp_path / "test.json").read_text())
    for frame in report["frames"]:
        assert f"{frame['nmae']:.3f}" in out
    assert "all" in out and f"{report['all']['nmae']:.3f}" in out
    assert "NMAE = 100 sum|rho_model - rho_ref| / sum|rho_ref|" in out
    assert "estimate" not in out
    assert "test.json" in err and "test.json" not in out


@pytest.mark.parametrize(
    "faulty, reason",
    [
        (lambda density: 1e4 * density, "frame 1: density integrates to"),
        (lambda density: density - 1.2 * density.mean(), "is no electron density"),
        (lambda density: np.full_like(density, np.nan), "density holds NaN"),
    ],
)
def test_command_examines_frames(capsys, caplog, frozen_model, tmp_path, faulty, reason):
    folder = write_small_system(tmp_path / "data", nframes=2, seed=5)
    path = folder / "set.000/density.npy"
    density = np.load(path)
    density[1] = faulty(density[1])
    np.save(path, density)
    arguments = ["test", "-m", frozen_model, "-s", folder]
    code, _, err = run(capsys, *arguments)
    assert code == 2 and reason in err and len(err.strip().splitlines()) == 1
    code, _, _ = run(capsys, *arguments, "--force")
    assert code == (2 if "NaN" in reason else 0)
    assert run(capsys, *arguments, "--frames", ":1")[0] == 0


def test_command_examines_structures(capsys, caplog, frozen_model, tmp_path):
    folder = write_small_system(tmp_path / "data", nframes=3, seed=5)
    for name in ("coord", "box"):  # as if Å had been taken for bohr
        path = folder / f"set.000/{name}.npy"
        np.save(path, np.load(path) * BOHR)
    run(capsys, "test", "-m", frozen_model, "-s", folder, "--force")
    assert caplog.text.count("are the lengths in another unit?") == 1


def test_command_labels_estimates(capsys, frozen_model, folders, tmp_path):
    loosen(write_small_system(tmp_path / "loose"), npoints=500)
    code, out, err = run(capsys, "test", "-m", frozen_model, "-s", tmp_path / "loose", "-n", 2)
    assert code == 0, err
    assert "(estimate)" in out and "the points are a sample" in out


def test_many_frames_are_listed_when_asked(capsys, frozen_model, tmp_path):
    write_small_system(tmp_path / "many", nframes=21)
    arguments = ["test", "-m", frozen_model, "-s", tmp_path / "many"]
    assert "frame 20" not in run(capsys, *arguments, "-q")[1].replace("worst: many frame 20", "")
    assert "\nmany       20" in run(capsys, *arguments, "-v")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "3:"], "--frames (*data): '3:' takes no frame of 3"),
        (["--frames", "x"], "'x', expected a slice such as '0:32'"),
        (["-n", "0"], "found '0', expected a whole number above 0"),
        (["--json", "nix/x.json"], "found 'nix/x.json', expected a file name in a folder"),
        (["-d", "nix/x"], "found 'nix/x', expected a file name in a folder"),
        (["-m", "nix.pb"], "nix.pb: no such file, expected a frozen model"),
        (["-s", "nix"], "nix: no such folder, expected a system"),
    ],
)
def test_command_refuses(capsys, frozen_model, folders, arguments, message):
    base = ["test", "-m", frozen_model, "-s", folders / "molecule"]
    try:
        code, out, err = run(capsys, *base, *arguments)
    except SystemExit as stop:  # argparse
        code, (out, err) = stop.code, capsys.readouterr()
    assert (code, out) == (2, "")
    for part in message.split("*"):
        assert part in err
    assert err.count("error:") == 1


def test_unknown_element(capsys, frozen_model, tmp_path):
    folder = write_small_system(tmp_path / "data")
    (folder / "type_map.raw").write_text("N\nH\n")
    code, _, err = run(capsys, "test", "-m", frozen_model, "-s", folder)
    assert code == 2 and "type_map.raw: found N, expected elements of the model: C H" in err


def test_show(capsys, frozen_model, model):
    code, out, _ = run(capsys, "show", frozen_model)
    assert code == 0
    facts = dict(line.split(":", 1) for line in out.splitlines())
    facts = {name: value.strip() for name, value in facts.items()}
    assert facts["elements"] == "C H"
    assert facts["cut-off between atoms"] == "3.5 Å"
    assert facts["cut-off of the density"] == "3 Å"
    assert facts["fitting type"] == "expansion" and facts["descriptor"] == "equivariant"
    assert facts["parameters"] == f"{model.info['nparameters']:,}"


def test_show_json_and_script(capsys, frozen_model, model):
    import yaml

    facts = json.loads(run(capsys, "show", frozen_model, "--json")[1])
    assert facts["type_map"] == ["C", "H"] and facts["rcut_point"] == 3.0
    assert facts["size"] == frozen_model.stat().st_size
    assert facts["training_script"] == model.training_script
    out = run(capsys, "show", frozen_model, "--script")[1]
    assert yaml.safe_load(out.split("\n\n", 1)[1]) == model.training_script


@pytest.mark.parametrize("content", [b"", b"not a graph at all", b"\x0a\x03abc"])
def test_show_refuses_other_files(capsys, tmp_path, content):
    path = tmp_path / "other.pb"
    path.write_bytes(content)
    code, out, err = run(capsys, "show", path)
    assert (code, out) == (2, "") and err.startswith(f"dd-tf: error: {path}: ")
    assert "expected a" in err and err.count("\n") == 1
