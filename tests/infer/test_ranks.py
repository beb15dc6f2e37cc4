"""data, test and model-devi over the processes of mpirun: as one process."""

import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import write_small_system
from tests.data.test_layouts import make_mixed

pytestmark = [
    pytest.mark.slow,
    # find_spec: once mpi4py is imported, ASE starts MPI in this process, and mpirun fails below it.
    pytest.mark.skipif(
        shutil.which("mpirun") is None or importlib.util.find_spec("mpi4py") is None,
        reason="needs mpirun and mpi4py",
    ),
]


@pytest.fixture
def data(tmp_path):
    for number in range(2):
        write_small_system(tmp_path / f"data/s{number}", seed=number, nframes=3)
    make_mixed(write_small_system(tmp_path / "data/mixed", seed=5))
    return tmp_path / "data"


def dd_tf(folder, ranks, *arguments):
    """The command in a folder of its own, by so many processes."""
    folder.mkdir(exist_ok=True)
    start = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)]
    call = [*(start if ranks > 1 else []), sys.executable, "-m", "deepdensity_tf", *arguments]
    # Sums over points of one thread and of several differ in the last bits.
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1"}
    return subprocess.run(
        list(map(str, call)), cwd=folder, capture_output=True, text=True, env=environment
    )


def expect_the_same(tmp_path, *arguments):
    alone = dd_tf(tmp_path / "alone", 1, *arguments)
    assert alone.returncode == 0, alone.stderr
    shared = dd_tf(tmp_path / "shared", 2, *arguments)
    assert shared.returncode == 0, shared.stderr
    assert shared.stdout == alone.stdout
    assert sorted(os.listdir(tmp_path / "shared")) == sorted(os.listdir(tmp_path / "alone"))
    for path in (tmp_path / "alone").iterdir():
        if path.suffix == ".npz":
            with np.load(path) as one, np.load(tmp_path / "shared" / path.name) as other:
                assert one.files == other.files
                assert all(np.array_equal(one[key], other[key]) for key in one.files)
        else:
            assert (tmp_path / "shared" / path.name).read_text() == path.read_text()
    return shared


def expect_one_line(done, words):
    assert done.returncode == 2
    assert done.stderr.count("dd-tf: error:") == 1 and words in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_test(tmp_path, data, make_frozen):
    arguments = ["test", "-m", make_frozen(), "-s", data, "--frames", "0:", "--json", "test.json"]
    expect_the_same(tmp_path, *arguments)
    expect_the_same(tmp_path, *arguments, "-d", "detail")
    density = np.load(data / "s1/set.000/density.npy")
    density[2, 5] = np.nan
    np.save(data / "s1/set.000/density.npy", density)
    done = dd_tf(tmp_path / "faulty", 2, *arguments)
    expect_one_line(done, "s1/set.000 frame 2: density holds NaN")
    assert not list((tmp_path / "faulty").iterdir())
    expect_one_line(dd_tf(tmp_path / "faulty", 2, "test", "-m", "no.pb", "-s", data), "no.pb")


def test_data(tmp_path, data):
    arguments = ["data", data, "--rcut", "3", "--json", "data.json"]
    expect_the_same(tmp_path, *arguments)
    expect_one_line(dd_tf(tmp_path / "faulty", 2, "data", "missing"), "missing: no such folder")


def test_model_devi(tmp_path, data, make_frozen):
    models = [make_frozen(), make_frozen(seed=7)]
    arguments = ["model-devi", "-m", *models, "-s", data, "--lo", "1", "--hi", "1e9"]
    expect_the_same(tmp_path, *arguments, "--atomic", "--json", "devi.json")
    assert len((tmp_path / "shared/model_devi.out").read_text().splitlines()) == 16
    arguments[arguments.index(data)] = "missing.xyz"
    expect_one_line(dd_tf(tmp_path / "faulty", 2, *arguments), "missing.xyz")
    assert not list((tmp_path / "faulty").iterdir())
