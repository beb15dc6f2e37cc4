"""The native code at its limits: dimensions, memory, threads, instruction sets, copies."""

import ctypes
import os
import shutil
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.utils import ops
from deepdensity_tf.utils.native import C_LIBRARY
from tests.ops.test_density import CELLS, GRID, grid_points, make_batch, make_coef, on_grid
from tests.ops.test_density import reference as by_pairs


def run(script: str, *arguments, **environment) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thousands_of_channels(dtype):
    """More channels times points of a block than single precision counts exactly."""
    rng, nchannel = np.random.default_rng(0), 2051
    points = rng.uniform(0, 1, (8200, 3))
    batch = make_batch(CELLS["none"], natoms=(1,), npoints=(len(points),))
    batch = batch._replace(
        point=tf.constant(points), coord=tf.constant([[0.5, 0.5, 0.5]], tf.float64)
    )
    coef = np.zeros((1, nchannel, GRID.nspline, 1), dtype)
    coef[:] = np.arange(1, nchannel + 1)[:, None, None]
    found = ops.density(batch, tf.constant(coef), GRID.parameters).numpy()
    # All splines the same: they add up to one, but near the cut-off.
    expected = np.broadcast_to(np.arange(1, nchannel + 1), found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


TOO_LARGE = {
    "splines": ((0, 1, 2**20, 1), "in place 2"),
    "channels": ((0, 2**20, 4, 1), "in place 1"),
    "beyond int32": ((0, 1, 2**33, 1), "in place 2"),
    "harmonics": ((0, 1, 4, 2**32 + 1), "in place 3"),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_dimensions_of_empty_arrays(case):
    shape, message = TOO_LARGE[case]
    batch = make_batch(CELLS["cubic"], natoms=(0,))
    coef = tf.zeros(shape, tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.density(batch, coef, GRID.parameters)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ops.expansion(np.zeros((0, 3)), [], [], coef, GRID.parameters, 3)


def test_outputs_that_no_memory_holds():
    """TensorFlow ends the process where a shape overflows: that is seen before it is asked."""
    script = """
        import numpy as np, tensorflow as tf
        from deepdensity_tf.utils import ops
        most, box = 2**31 - 1, 9.0 * np.eye(3)
        none, coef, radial = np.zeros((0, 3)), tf.zeros((0, 65536, 4, 1)), np.array([3.0, 0.3])
        for call in (
            lambda: ops.expansion(none, [], [], coef, radial, most),
            lambda: ops.density_on_grid([most, 400, 600], [0, 0, 0, most, 400, 600], box.ravel(),
                                        none, box.reshape(1, 9), coef, radial),
        ):
            try:
                call()
            except tf.errors.ResourceExhaustedError:
                print("refused")
    """
    assert run(script) == "refused\nrefused\n"


def test_one_far_atom_and_the_search():
    """As many pairs, in the same order, as without it; places are hashed then."""
    rng = np.random.default_rng(1)
    coord = rng.uniform(0, 25, (2000, 3))
    far = np.concatenate([coord, [[3e6, -4e6, 5e6]]])
    found = []
    for atoms in (coord, far):
        splits = [0, len(atoms)]
        found.append(
            ops.neighbor_list(coord, [0, len(coord)], atoms, splits, np.zeros((1, 9)), 3.0)
        )
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(found[0][0]) > 20000


def test_time_of_one_far_atom():
    script = """
        import time, sys
        import numpy as np
        from deepdensity_tf.utils import ops
        coord = np.random.default_rng(1).uniform(0, 60, (20000, 3))
        coord[0] = float(sys.argv[1])
        times = []
        for _ in range(3):
            start = time.perf_counter()
            ops.neighbor_list(coord, [0, 20000], coord, [0, 20000], np.zeros((1, 9)), 3.0, True)
            times.append(time.perf_counter() - start)
        print(min(times))
    """
    near, far = float(run(script, 30)), float(run(script, 1e7))
    assert far < 10 * near  # quadratic: 60 times


def test_counts_are_those_of_the_list():
    batch = make_batch(np.stack([CELLS["small triclinic"], CELLS["none"]]), (5, 7), (40, 60))
    center, _, _ = ops.neighbor_list(
        batch.point, batch.point_splits, batch.coord, batch.coord_splits, batch.box, 3.0
    )
    counts = ops.neighbor_counts(batch, 3.0)
    np.testing.assert_array_equal(counts, np.bincount(center, minlength=100))


@pytest.mark.parametrize("cell", ["cubic", "small triclinic"])
@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("most", [200, 4000])
def test_parts_cover_what_is_not_zero(cell, periodic, most):
    shape, box = (50, 41, 30), CELLS[cell] * (1 if periodic else 4)
    batch = make_batch(box if periodic else CELLS["none"], natoms=(2,))
    if not periodic:
        batch = batch._replace(coord=tf.constant([[2.0, 2.0, 2.0], [2.5, 2.0, 2.0]], tf.float64))
    coef = make_coef(batch, 2)
    whole = on_grid(batch, coef, shape, box).reshape(*shape, 2)
    parts = ops.grid_parts(shape, box.ravel(), batch.coord, batch.box, GRID.rcut, most).numpy()
    found = np.zeros_like(whole)
    for part in parts:
        values = ops.density_on_grid(
            shape, part, box.ravel(), batch.coord, batch.box, coef, GRID.parameters
        )
        where = tuple(slice(*ends) for ends in part.reshape(2, 3).T)
        found[where] = np.reshape(values, (*(part[3:] - part[:3]), 2))
    np.testing.assert_array_equal(found, whole)
    if not periodic:
        covered = sum(int(np.prod(part[3:] - part[:3])) for part in parts)
        assert covered < 0.8 * np.prod(shape)


def test_a_part_may_cut_through_blocks():
    shape, box = (30, 31, 32), CELLS["cubic"]
    batch = make_batch(box)
    coef = make_coef(batch, 2, dtype=np.float32)
    whole = on_grid(batch, coef, shape, box).reshape(*shape, 2)
    for part in ([3, 4, 5, 17, 5, 31], [0, 0, 0, 30, 31, 32], [29, 30, 31, 30, 31, 32]):
        values = ops.density_on_grid(
            shape, part, box.ravel(), batch.coord, batch.box, coef, GRID.parameters
        )
        where = tuple(slice(a, b) for a, b in zip(part[:3], part[3:], strict=True))
        np.testing.assert_array_equal(np.reshape(values, whole[where].shape), whole[where])
    for part in ([0, 0, 0, 31, 1, 1], [-1, 0, 0, 1, 1, 1], [2, 0, 0, 1, 1, 1]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="part must hold first points"):
            ops.density_on_grid(
                shape, part, box.ravel(), batch.coord, batch.box, coef, GRID.parameters
            )


@pytest.mark.parametrize("shape", [(1, 4000, 4000), (2000, 2000, 2000), (1, 1, 10**8)])
def test_parts_of_huge_grids_are_bounded(shape):
    box, coord = np.diag([200.0, 200.0, 200.0]), np.random.default_rng(0).uniform(0, 9, (20, 3))
    parts = ops.grid_parts(shape, box.ravel(), coord, box.reshape(1, 9), 4.0, 2**20).numpy()
    sizes = np.prod((parts[:, 3:] - parts[:, :3]).astype(np.int64), axis=1)
    assert 0 < sizes.max() <= 2**20
    assert sizes.sum() < 0.2 * np.prod(shape, dtype=np.int64)  # all else is empty


def test_plan_of_a_grid_within_reach_of_many_images():
    """One image that reaches all of a brick stands for the others: 70 000 times as long else."""
    box, coord = 5 * np.eye(3), np.full((1, 3), 2.0)
    start = time.monotonic()
    with pytest.raises(tf.errors.ResourceExhaustedError):
        ops.grid_parts([2**31 - 1, 40, 40], box.ravel(), coord, box.reshape(1, 9), 100.0, 2**20)
    assert time.monotonic() - start < 60


def test_instruction_sets_agree():
    """Every path that this machine has, against the others."""
    script = """
        import sys
        import numpy as np, tensorflow as tf
        from deepdensity_tf.utils import ops
        from tests.ops.test_density import CELLS, GRID, make_batch, make_coef
        batch = make_batch(CELLS["cubic"], npoints=(3000,))
        out = {}
        for dtype in (np.float32, np.float64):
            for lmax in (1, 4):
                coef = make_coef(batch, lmax, dtype=dtype)
                key = f"{np.dtype(dtype).name} {lmax}"
                out[f"d {key}"] = ops.density(batch, coef, GRID.parameters)
                out[f"g {key}"] = ops.density_gradient(batch, coef, GRID.parameters)
        np.savez(sys.argv[1], name=np.array(ops.instruction_set()), **out)
    """
    results = {}
    for name in ("baseline", "avx2", "avx512"):
        path = f"/tmp/isa-{os.getpid()}-{name}.npz"
        try:
            run(script, path, DEEPDENSITY_ISA=name)
        except AssertionError as error:
            assert f"DEEPDENSITY_ISA is {name}, this machine has" in str(error)
            continue
        with np.load(path) as data:
            results[name] = dict(data)
        os.unlink(path)
        assert str(results[name].pop("name")) == name
    assert "baseline" in results
    for name, values in results.items():
        for key, found in values.items():
            tolerance = 2e-3 if "float32" in key else 1e-11
            expected = results["baseline"][key]
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance, err_msg=name + key)


def test_no_symbol_of_a_kernel_is_shared():
    """The linker must not take one instruction set's function for another's; nor may others see."""
    if not shutil.which("nm"):
        pytest.skip("needs nm")
    command = ["nm", "-D", "--defined-only", str(ops.LIBRARY)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines and all(line.split()[-1].startswith("deepdensity_") for line in lines)


@pytest.mark.parametrize("library", [ops.LIBRARY, C_LIBRARY], ids=["op", "c"])
def test_nothing_of_the_runtime_comes_from_outside(library):
    """Libraries of some TensorFlows offer parts of a C++ runtime, which do not go with others."""
    if not shutil.which("nm"):
        pytest.skip("needs nm")
    command = ["nm", "-DC", "--undefined-only", str(library)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines and not [line for line in lines if "std::" in line]


def test_a_second_copy_is_refused_in_a_line(tmp_path):
    copy = tmp_path / "libdeepdensity_op.so"
    shutil.copy(ops.LIBRARY, copy)
    script = """
        import sys
        import numpy as np, tensorflow as tf
        from pathlib import Path
        from deepdensity_tf.utils import ops
        from deepdensity_tf.utils.errors import InputError
        tf.load_op_library(sys.argv[1])
        try:
            ops.library()
        except InputError as error:
            print(error)
        # The copy's own ops still work.
        print(tf.load_op_library(sys.argv[1]).dd_harmonics(vec=np.ones((1, 3)), lmax=1).shape)
    """
    refused, shape = run(script, copy).splitlines()
    assert "another copy of the op library is in this process" in refused and str(copy) in refused
    assert shape == "(1, 4)"


def native():
    library = ctypes.CDLL(str(ops.LIBRARY))
    library.deepdensity_quota_of_cgroup.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    return library


GROUPS = {
    "version 2": ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 2),
    "at the root": ("0::/\n", {"cpu.max": "100000 100000\n"}, 1),
    "no limit": ("0::/a\n", {"a/cpu.max": "max 100000"}, 0),
    "version 1": (
        "5:cpu,cpuacct:/x\n1:name=systemd:/\n",
        {"cpu,cpuacct/x/cpu.cfs_quota_us": "250000", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
        3,
    ),
    "version 1 without": (
        "5:cpu,cpuacct:/x\n",
        {"cpu,cpuacct/x/cpu.cfs_quota_us": "-1", "cpu,cpuacct/x/cpu.cfs_period_us": "100000"},
        0,
    ),
    "no file": ("0::/a\n", {}, 0),
    "nonsense": ("what\n::\n", {}, 0),
}


@pytest.mark.parametrize("case", GROUPS)
def test_quota_of_control_groups(case, tmp_path):
    membership, files, cores = GROUPS[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = native().deepdensity_quota_of_cgroup(membership.encode(), str(tmp_path).encode())
    assert found == cores


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_threads_as_tensorflow_is_told():
    script = """
        import tensorflow as tf
        tf.config.threading.set_intra_op_parallelism_threads(1)
        from deepdensity_tf.utils import ops
        print(ops.num_threads())
    """
    assert run(script, TF_NUM_INTRAOP_THREADS="2") == "1\n"
    assert (
        run(
            "from deepdensity_tf.utils import ops; print(ops.num_threads())",
            TF_NUM_INTRAOP_THREADS="1",
        )
        == "1\n"
    )


NO_THREADS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
typedef int (*create_t)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int pthread_create(pthread_t* t, const pthread_attr_t* a, void* (*f)(void*), void* x) {
  Dl_info info;
  if (dladdr(__builtin_return_address(0), &info) && strstr(info.dli_fname, "deepdensity")) {
    fprintf(stderr, "refused a thread\\n");
    return EAGAIN;
  }
  return ((create_t)dlsym(RTLD_NEXT, "pthread_create"))(t, a, f, x);
}
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_threads_that_cannot_be_started(tmp_path):
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    (tmp_path / "shim.c").write_text(NO_THREADS)
    shim = tmp_path / "shim.so"
    subprocess.run(["gcc", "-shared", "-fPIC", tmp_path / "shim.c", "-o", shim, "-ldl"], check=True)
    script = """
        import numpy as np
        from deepdensity_tf.utils import ops
        print(ops.num_threads(), float(np.sum(ops.harmonics(np.ones((10**6, 3)), 1))))
    """
    found = run(script, LD_PRELOAD=str(shim), TF_NUM_INTRAOP_THREADS="2")
    assert found == "2 4000000.0\n"


def test_inputs_are_not_kept():
    """The pairs of the last call are gone with it, in every thread."""
    script = """
        import gc, os, threading
        import numpy as np, tensorflow as tf
        from deepdensity_tf.utils import ops
        def resident():
            return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        def call():
            n = 2 * 10**6
            disp, index = tf.zeros((n, 3), tf.float64), tf.zeros(n, tf.int32)
            coef = tf.zeros((1, 1, 4, 1))
            ops.expansion(disp, index, index, coef, np.array([3.0, 1.0]), 1)
        tf.zeros(3)
        ops.library()
        before = resident()
        call()
        gc.collect()
        print((resident() - before) / 2**20)
    """
    # 64 MB of inputs. With oneDNN TensorFlow keeps all that it ever asked the system for.
    assert float(run(script, TF_ENABLE_ONEDNN_OPTS="0")) < 30


def test_grids_and_points_are_one_density_on_every_path():
    """Fused points, grids and pair lists, once more with images left out beyond a part."""
    shape, box = (12, 9, 80), CELLS["small triclinic"] * 3
    points = grid_points(shape, box)
    batch = make_batch(box, natoms=(30,), npoints=(len(points),))
    batch = batch._replace(point=tf.constant(points))
    coef = make_coef(batch, 3)
    density, _ = by_pairs(batch, coef)
    np.testing.assert_allclose(on_grid(batch, coef, shape, box), density, rtol=0, atol=1e-12)
