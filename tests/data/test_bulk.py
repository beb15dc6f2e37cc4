"""Many files to systems: points drawn once, processes, kills, faulty files."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from deepdensity_tf.analysis.subjects import stored_density
from deepdensity_tf.data.bulk import BulkOptions, convert
from deepdensity_tf.data.conversion import ConvertOptions
from deepdensity_tf.data.system import DensitySystem, find_systems
from deepdensity_tf.data.thinning import draw_distinct, thin
from deepdensity_tf.main import main
from deepdensity_tf.utils.errors import InputError
from tests.conftest import gaussian_density, write_small_system


def write_files(folder, count, shape=(12, 12, 12)):
    """Densities of molecules of changing elements and grids as .npz."""
    folder.mkdir()
    box = np.diag([5.0, 5.0, 5.0])
    for k in range(count):
        grid = (*shape[:2], shape[2] + k % 3)
        rng = np.random.default_rng(k)
        symbols = ["O", "H", "H", "N"][: 2 + k % 3]
        coord = np.array([[2.0, 2, 2], [2.9, 2.2, 2], [1.5, 2.8, 2.1], [3, 3, 3.5]])[: len(symbols)]
        coord = coord + rng.normal(0, 0.05, coord.shape)
        points = np.stack(np.unravel_index(np.arange(np.prod(grid)), grid), -1) / grid @ box
        charges = [{"O": 6, "H": 1, "N": 5}[s] for s in symbols]
        density = gaussian_density(points, coord, charges).reshape(grid)
        arrays = {"coord": coord, "box": box, "density": density, "symbols": symbols}
        np.savez(folder / f"{k:03d}.npz", pbc=[False] * 3, **arrays)
    return [f"{folder.name}/{k:03d}.npz" for k in range(count)]


def contents(path):
    """Bytes of all files at or below a path."""
    paths = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): p.read_bytes() for p in paths}


def test_distinct_points_are_unbiased(small_system):
    density = np.asarray(DensitySystem(small_system).frame(0).density)
    values = density.astype(np.float64) ** 1.5
    rng = np.random.default_rng(0)
    own = rng.uniform(0, 2 / len(values), len(values))  # weights of points drawn before
    own[::7] = 0
    for weight, mean in ((None, values.mean()), (own, own @ values)):
        estimates = []
        for _ in range(400):
            index, drawn = draw_distinct(density, 300, rng, weight)
            assert len(np.unique(index)) == len(index) == 300
            estimates.append(drawn @ values[index])
        error = np.std(estimates) / np.sqrt(len(estimates))
        assert abs(np.mean(estimates) - mean) < 5 * error
        assert np.std(estimates) < 0.05 * mean
    index, drawn = draw_distinct(density, 10**6, rng)
    assert len(index) == len(density) and drawn.sum() == pytest.approx(1)


def test_thinned_frame(small_system):
    frame = DensitySystem(small_system).frame(0)
    few = thin(frame, 500, np.random.default_rng(0))
    assert few.electrons == frame.electrons
    assert few.mean(few.density) == pytest.approx(frame.mean(frame.density), rel=0.02)
    place = np.round(few.points() / 6 * 16).astype(int)
    np.testing.assert_array_equal(few.density, frame.density.reshape(16, 16, 16)[tuple(place.T)])


@pytest.mark.parametrize("output", ["all", "all.hdf5"])
def test_points_of_all_files_in_one_mixed_system(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    files = write_files(tmp_path / "in", 5)
    found = convert(files, [], output, ConvertOptions(points=400))
    assert {row.system for row in found.frames} == {output} and not found.faulty
    (system,) = find_systems(output)
    assert system.mixed and not system.pbc and list(system.type_map) == ["H", "N", "O"]
    for row, frame in zip(found.frames, system, strict=True):
        with np.load(row.file) as source:
            symbols, density = list(source["symbols"]), source["density"]
            assert sorted(system.type_map[t] for t in frame.atype) == sorted(symbols)
            full = density.mean() * 125
        assert len(frame.density) == 400 and frame.electrons == pytest.approx(full)
        assert frame.mean(frame.density) * 125 == pytest.approx(full, rel=0.02)
        system_arrays = system.files.sets[0].arrays
        assert system_arrays["weight"].dtype == system_arrays["grid"].dtype == "<f4"
    assert sorted(os.listdir()) == sorted(["in", output])


def test_periodic_frames_have_a_system_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_small_system(tmp_path / "in/molecule", 2)
    write_small_system(tmp_path / "in/crystal", 2, pbc=True)
    convert(["in"], [], "points.hdf5", ConvertOptions(points=400))
    found = {system.files.path: system for system in find_systems("points.hdf5")}
    assert {path: (s.pbc, s.nframes) for path, s in found.items()} == {
        "points.hdf5#/pbc": (True, 2),
        "points.hdf5#/nopbc": (False, 2),
    }
    convert(["in"], [], "full", ConvertOptions())
    assert sorted(os.listdir("full")) == ["CH2_nopbc", "CH2_pbc"]
    again = DensitySystem("full/CH2_pbc").frame(1)
    np.testing.assert_array_equal(
        again.density, DensitySystem(tmp_path / "in/crystal").frame(1).density
    )
    with pytest.raises(InputError, match="expected full grids or weighted"):
        part = tmp_path / "in/molecule/set.000"
        (part / "grid_shape.npy").unlink()
        np.save(part / "grid.npy", np.ones((2, 4096, 3)))
        convert(["in/molecule"], [], "new", ConvertOptions(points=10))


def test_jobs_and_kills_change_no_byte(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path / "in", 30, (24, 24, 24))
    arguments = ["convert", *(f"in/{k:03d}.npz" for k in range(30)), "--points", "500", "-o"]
    assert main([*arguments, "one.hdf5"]) == 0
    assert main([*arguments, "two.hdf5", "--jobs", "2"]) == 0
    assert contents(tmp_path / "two.hdf5") == contents(tmp_path / "one.hdf5")

    process = subprocess.Popen(
        [sys.executable, "-m", "deepdensity_tf", *arguments, "three.hdf5"],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    parts = tmp_path / "three.hdf5.parts"
    while len(list(parts.glob("*.npz"))) < 3 and process.poll() is None:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("*.npz")}
    assert 3 <= len(kept) < 30
    monkeypatch.setattr("deepdensity_tf.data.parts.Parts.remove", lambda _: None)
    assert main([*arguments, "three.hdf5", "-j", "2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert contents(tmp_path / "three.hdf5") == contents(tmp_path / "one.hdf5")


# find_spec: once mpi4py is imported, ASE starts MPI in this process, and mpirun fails below it.
@pytest.mark.skipif(
    shutil.which("mpirun") is None or importlib.util.find_spec("mpi4py") is None,
    reason="needs mpirun and mpi4py",
)
@pytest.mark.slow
def test_two_mpi_ranks_make_the_same_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = write_files(tmp_path / "in", 5)
    convert(files, [], "one.hdf5", ConvertOptions(points=300))
    mpirun = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", sys.executable, "-m"]
    call = [*mpirun, "deepdensity_tf", "convert", *files, "--points", "300", "-o"]
    done = subprocess.run([*call, "two.hdf5"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "two.hdf5") == contents(tmp_path / "one.hdf5")
    assert done.stdout.count("two.hdf5") == 5
    done = subprocess.run([*call, "two.hdf5"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("exists already") == 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_faulty_files(tmp_path, monkeypatch, capsys, jobs):
    monkeypatch.chdir(tmp_path)
    files = write_files(tmp_path / "in", 4)
    (tmp_path / "in/001.npz").write_text("no archive")
    before = sorted(os.listdir())
    command = ["convert", *files, "in/missing.npz", "-o", "new", "--jobs", str(jobs)]
    assert main(command) == 2
    assert f"in/{'001' if jobs == 1 else ''}" in capsys.readouterr().err  # which came first
    assert sorted(os.listdir()) == before
    assert main([*command, "--skip-faulty", "--points", "50", "--json", "rows.json"]) == 0
    said = capsys.readouterr()
    assert "2 of 5 files left out" in said.out and "in/missing.npz: no such file" in said.out
    assert DensitySystem("new").nframes == 3
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [entry["file"] for entry in rows["faulty"]] == ["in/001.npz", "in/missing.npz"]
    with pytest.raises(InputError, match="in/001.npz"):
        convert(["in/001.npz"], [], "none", ConvertOptions(), BulkOptions(skip_faulty=True))
    assert not (tmp_path / "none.parts").exists()


def test_parts_are_kept_when_they_are_many(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deepdensity_tf.data.bulk._WORTH_KEEPING", 2)
    files = write_files(tmp_path / "in", 3)
    with pytest.raises(InputError, match="no such file"):
        convert([*files, "in/late.npz"], [], "new", ConvertOptions())
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "new.parts").glob("*.npz")}
    assert len(parts) == 3
    (tmp_path / "in/000.npz").rename(tmp_path / "in/late.npz")
    write_files(tmp_path / "more", 1)
    os.replace("more/000.npz", "in/000.npz")  # of another time: read again
    found = convert([*files, "in/late.npz"], [], "new", ConvertOptions())
    assert len(found.frames) == 4 and not (tmp_path / "new.parts").exists()


def test_hdf5_output_is_compressed(tmp_path, monkeypatch, small_system):
    monkeypatch.chdir(tmp_path)
    convert([str(small_system)], [], "new.hdf5", ConvertOptions())
    with h5py.File("new.hdf5") as file:
        assert file["set.000/density.npy"].compression == "gzip"
    (again,) = find_systems("new.hdf5")
    for one, other in zip(DensitySystem(small_system), again, strict=True):
        np.testing.assert_array_equal(one.density, other.density)
        np.testing.assert_array_equal(one.coord, other.coord)
    np.testing.assert_array_equal(
        stored_density("new.hdf5", 2).density, stored_density(str(small_system), 2).density
    )
    with pytest.raises(InputError, match="exists already"):
        convert([str(small_system)], [], "new.hdf5", ConvertOptions())
