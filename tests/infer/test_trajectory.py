"""dd-tf predict --frames: trajectories, kills, changes, MPI ranks."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.structures import read_structures
from deepdensity_tf.main import main
from deepdensity_tf.utils import mpi
from deepdensity_tf.utils.files import atomic_path
from tests.conftest import write_small_system

GRID = ("--grid", "6", "7", "8")


def write_trajectory(path, nframes, seed=0):
    rng = np.random.default_rng(seed)
    rest = np.array([[1.0, 1.0, 1.0], [2.0, 1.2, 1.0], [0.6, 1.9, 1.3]])
    images = [
        Atoms("CHH", rest + rng.normal(0, 0.1, (3, 3)), cell=[4, 4.5, 5], pbc=True)
        for _ in range(nframes)
    ]
    ase.io.write(path, images)
    return images


@pytest.fixture
def predict(capsys, frozen_model, tmp_path, monkeypatch):
    """Runs `dd-tf predict` in tmp_path; gives exit code and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model=frozen_model):
        code = main(["predict", "-m", str(model), *map(str, arguments)])
        return code, capsys.readouterr().err

    return run


def contents(folder, pattern="*"):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob(pattern))}


@pytest.mark.parametrize("name", ["md.traj", "md.extxyz", "XDATCAR"])
def test_files_are_those_of_single_frames(predict, tmp_path, name):
    write_trajectory(tmp_path / name, 5)
    code, err = predict(name, "--frames", "1::2", *GRID, "-o", "rho.npy", "CHGCAR", "rho.cube")
    assert code == 0, err
    made = ["CHGCAR.000001", "CHGCAR.000003"]
    made += ["rho.000001.cube", "rho.000001.npy", "rho.000003.cube", "rho.000003.npy"]
    assert sorted(os.listdir()) == sorted([*made, name, "rho.npy.predict.json"])
    assert "2 frames in" in err and "frames/s" in err
    for index in (1, 3):
        assert predict(name, "-f", index, *GRID, "-o", "one.npy", "one.cube")[0] == 0
        assert Path("one.npy").read_bytes() == Path(f"rho.{index:06d}.npy").read_bytes()
        assert Path("one.cube").read_bytes() == Path(f"rho.{index:06d}.cube").read_bytes()


def test_frames_of_a_system_with_spin_and_gradient(predict, make_frozen, tmp_path):
    write_small_system(tmp_path / "data")
    model = make_frozen(spin=True)
    arguments = ["data", "--frames=-2:", *GRID, "--spin", "--gradient", "-o", "rho.npy"]
    code, err = predict(*arguments, model=model)
    assert code == 0, err
    names = [f"rho.{i:06d}{kind}.npy" for i in (4, 5) for kind in (".gradient", "", ".spin")]
    assert sorted(path.name for path in tmp_path.glob("rho*.npy")) == names
    assert np.load("rho.000005.gradient.npy").shape == (6, 7, 8, 3)


def test_what_another_process_is_writing_stays(predict, tmp_path):
    """Left by a killed run, and in use by one that goes on at the same time."""
    write_trajectory(tmp_path / "md.extxyz", 2)
    left = tmp_path / ".rho.000000.cube.unfinished-ab12cd34"
    left.mkdir()
    with atomic_path(tmp_path / "rho.000001.cube") as temporary:
        temporary.write_text("half")
        code, err = predict("md.extxyz", "--frames", "0:", *GRID, "-o", "rho.cube")
        assert code == 0, err
        assert temporary.read_text() == "half" and not left.exists()


def command(model, *arguments):
    return [sys.executable, "-m", "deepdensity_tf", "predict", "-m", str(model), *arguments]


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_files(predict, frozen_model, tmp_path, monkeypatch):
    """200 frames; SIGKILL strikes while files are written."""
    write_trajectory(tmp_path / "md.extxyz", 200)
    arguments = ["../md.extxyz", "--frames", ":", *GRID, "-o", "rho.cube"]
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    assert predict(*arguments)[0] == 0
    whole = contents(tmp_path / "whole")
    assert len(whole) == 201

    folder = tmp_path / "killed"
    monkeypatch.chdir(folder)
    process = subprocess.Popen(command(frozen_model, *arguments), stderr=subprocess.DEVNULL)
    while len(list(folder.glob("rho.*.cube"))) < 60 and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    # A kill in the middle of a file leaves its scratch folder behind.
    (folder / ".rho.000199.cube.unfinished-ab12cd34").mkdir()
    (folder / ".rho.000199.cube.unfinished-ab12cd34" / "rho.000199.cube").write_text("half")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("rho.*.cube")}
    assert 60 <= len(before) < 200
    code, err = predict(*arguments)
    assert code == 0 and "of 200 frames are finished already" in err
    assert contents(folder) == whole
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in before.items())


# find_spec: once mpi4py is imported, ASE starts MPI in this process, and mpirun fails below it.
@pytest.mark.skipif(
    shutil.which("mpirun") is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpirun and mpi4py",
)
@pytest.mark.slow
def test_two_mpi_ranks_give_the_same_files(predict, frozen_model, tmp_path, monkeypatch):
    write_trajectory(tmp_path / "md.traj", 9)
    arguments = ["../md.traj", "--frames", "0:", *GRID, "-o", "rho.cube", "CHGCAR"]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    assert predict(*arguments)[0] == 0
    call = command(frozen_model, *arguments)
    mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2"]
    done = subprocess.run([*mpirun, *call], cwd=tmp_path / "two", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert done.stderr.count("9 frames in") == 1

    # What is wrong is said once, and all processes end.
    write_trajectory(tmp_path / "md.traj", 9, seed=1)
    done = subprocess.run([*mpirun, *call], cwd=tmp_path / "two", capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("was made for another structure") == 1


def test_a_failing_rank_ends_all(capsys):
    class Comm:
        def Abort(self, code):  # noqa: N802
            raise SystemExit(code)

    with pytest.raises(SystemExit), mpi.World(1, 2, Comm()).aborting():
        raise OSError("disk full")
    assert "disk full (process 1)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cores", "threads"),
    [([{0, 1, 2, 3}] * 2, 2), ([{0}, {1}], 1), ([{0, 1}] * 3, 1), ([{0, 1, 2, 3}], 4)],
)
def test_threads_of_a_rank(cores, threads):
    assert mpi._threads(cores, 0) == threads


def test_without_mpirun_mpi4py_is_not_imported(frozen_model, tmp_path):
    write_trajectory(tmp_path / "md.traj", 2)
    code = (
        "import sys; from deepdensity_tf.main import main; code = main(sys.argv[1:]);"
        "sys.exit(code or 'mpi4py' in sys.modules)"
    )
    call = command(frozen_model, "md.traj", "--frames", ":", *GRID)[3:]
    subprocess.run(
        [sys.executable, "-c", code, *call], cwd=tmp_path, check=True, capture_output=True
    )


def test_mpirun_without_mpi4py(predict, tmp_path, monkeypatch):
    write_trajectory(tmp_path / "md.traj", 2)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    code, err = predict("md.traj", "--frames", ":", *GRID)
    assert code == 2 and "deepdensity_tf[mpi]" in err


def test_finished_frames_are_not_computed_again(predict, tmp_path, monkeypatch):
    images = write_trajectory(tmp_path / "md.extxyz", 4)
    arguments = ["md.extxyz", "--frames", ":3", *GRID, "-o", "rho.npy"]
    assert predict(*arguments)[0] == 0
    # A trajectory that has grown, and more frames of it: only the new ones are computed.
    ase.io.write("md.extxyz", images[0], append=True)
    seen = []
    whole = DeepDensity.eval_grid
    monkeypatch.setattr(
        DeepDensity, "eval_grid", lambda *a, **k: (seen.append(a[1]), whole(*a, **k))[1]
    )
    code, err = predict("md.extxyz", "--frames", ":", *GRID, "-o", "rho.npy")
    assert code == 0 and "3 of 5 frames are finished already" in err
    np.testing.assert_allclose(seen, [images[3].positions, images[0].positions], atol=1e-7)
    assert sorted(json.loads(Path("rho.npy.predict.json").read_text())["frames"]) == list("01234")


def test_changes_are_noticed(predict, make_frozen, tmp_path):
    images = write_trajectory(tmp_path / "md.extxyz", 3)
    arguments = ["md.extxyz", "--frames", ":"]
    assert predict(*arguments, *GRID, "-o", "rho.npy")[0] == 0
    before = contents(tmp_path, "rho*")

    def refused(message, *changed, **options):
        code, err = predict(*arguments, *changed, **options)
        assert code == 2 and message in err and "--overwrite" in err, err
        assert contents(tmp_path, "rho*") == before

    refused("another grid ([6, 7, 8], now [6, 7, 9])", "--grid", 6, 7, 9, "-o", "rho.npy")
    refused("another electrons (None, now 7.0)", *GRID, "-o", "rho.npy", "--electrons", 7)
    refused("another outputs", *GRID, "-o", "rho.npy", "rho.cube")
    refused("another model", *GRID, "-o", "rho.npy", model=make_frozen(nspline=20))
    images[1].positions[0, 0] += 0.01
    ase.io.write("md.extxyz", images)
    refused("rho.000001.npy: was made for another structure", *GRID, "-o", "rho.npy")
    Path("rho.npy.predict.json").write_text("{")
    before = contents(tmp_path, "rho*")
    refused("not a record of dd-tf predict", *GRID, "-o", "rho.npy")
    Path("rho.npy.predict.json").unlink()
    before = contents(tmp_path, "rho*")
    refused("rho.000000.npy: exists, but rho.npy.predict.json does not", *GRID, "-o", "rho.npy")

    code, err = predict(*arguments, *GRID, "-o", "rho.npy", "--overwrite")
    assert code == 0 and "3 frames in" in err
    after = contents(tmp_path, "rho*.npy")
    assert [name for name in after if after[name] != before[name]] == ["rho.000001.npy"]


def test_a_bad_frame_is_found_before_the_first_is_computed(predict, tmp_path):
    images = write_trajectory(tmp_path / "md.extxyz", 3)
    images[2].symbols[0] = "N"
    ase.io.write("md.extxyz", images)
    code, err = predict("md.extxyz", "--frames", ":", *GRID, "-o", "rho.npy")
    assert code == 2 and "md.extxyz frame 2:" in err and "knows C H, found N" in err
    assert os.listdir() == ["md.extxyz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "7:"], "has no frame 7:"),
        (["--frames", "-9"], "frame -9 asked for, found 3 frames"),
        (["--frames", "a"], "expected a slice such as '0:32'"),
        (["--overwrite"], "--overwrite: goes with --frames"),
    ],
)
def test_refused(predict, tmp_path, arguments, message):
    write_trajectory(tmp_path / "md.extxyz", 3)
    code, err = predict("md.extxyz", *GRID, *arguments)
    assert code == 2 and message in err


@pytest.mark.parametrize("name", ["md.traj", "md.extxyz", "XDATCAR"])
@pytest.mark.parametrize("frames", [":", "2", "-1", "1:4:2", "::-2", "-3:"])
def test_slices_mean_what_python_means(tmp_path, name, frames):
    images = write_trajectory(tmp_path / name, 6)
    found = list(read_structures(str(tmp_path / name), frames))
    index = [int(word) if word else None for word in frames.split(":")]
    chosen = range(6)[slice(*index)] if len(index) > 1 else [range(6)[index[0]]]
    assert [frame.index for frame in found] == sorted(chosen)
    for frame in found:
        np.testing.assert_allclose(
            frame.atoms.positions, images[frame.index].positions, rtol=0, atol=1e-7
        )
