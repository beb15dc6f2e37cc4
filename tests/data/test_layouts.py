"""Mixed systems, HDF5, weighted points, thousands of systems, how often each is drawn."""

import logging
import os
import resource
import shutil
import time

import h5py
import numpy as np
import pytest

from deepdensity_tf.data import index
from deepdensity_tf.data.frames import FrameList, element_counts, frames_of_all_elements
from deepdensity_tf.data.layout import find_layouts
from deepdensity_tf.data.probability import auto_probabilities, epoch_order, given_probabilities
from deepdensity_tf.data.sampler import SamplerConfig, draw_points
from deepdensity_tf.data.system import DensitySystem, find_systems
from deepdensity_tf.utils.errors import InputError
from tests.conftest import write_small_system


def make_mixed(folder):
    """The small system as a mixed one: frame 1 has lost an atom, types count otherwise."""
    part = folder / "set.000"
    types = np.tile([1, 0, 0], (6, 1))
    types[1, 2] = -1
    np.save(part / "real_atom_types.npy", types)
    (folder / "type.raw").write_text("0\n0\n0\n")
    (folder / "type_map.raw").write_text("H\nC\nO\n")


def test_mixed_system(small_system):
    coord = np.load(small_system / "set.000/coord.npy").reshape(6, 3, 3)
    make_mixed(small_system)
    system = DensitySystem(small_system, ["C", "H"])
    np.testing.assert_array_equal(system.frame(0).atype, [0, 1, 1])
    np.testing.assert_array_equal(system.frame(1).atype, [0, 1])
    np.testing.assert_array_equal(system.frame(1).coord, coord[1, :2])
    found = element_counts(FrameList([system], [range(6)]))
    assert (found["C"].atoms, found["H"].atoms, found["H"].frames) == (6, 11, 6)
    with pytest.raises(InputError, match="found C, expected elements of the model: H"):
        DensitySystem(small_system, ["H"]).frame(0)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_hdf5_is_read_as_npy_is(small_system, tmp_path, compression):
    with h5py.File(tmp_path / "data.hdf5", "w") as file:
        group = file.create_group("a/mol")
        group["type.raw"] = [0, 1, 1]
        group["type_map.raw"] = np.array(["C", "H"], dtype="S")
        group["nopbc"] = True
        for path in (small_system / "set.000").iterdir():
            group.create_dataset(
                f"set.000/{path.name}", data=np.load(path), compression=compression
            )
    (whole,) = find_systems(str(tmp_path / "data.hdf5"))
    part = DensitySystem(f"{tmp_path}/data.hdf5#/a/mol")
    for a, b, c in zip(DensitySystem(small_system), whole, part, strict=True):
        for other in (b, c):
            np.testing.assert_array_equal(a.density, other.density)
            np.testing.assert_array_equal(a.coord, other.coord)
            assert a.grid_shape == other.grid_shape and a.pbc == other.pbc
    with pytest.raises(InputError, match="found no group /b"):
        DensitySystem(f"{tmp_path}/data.hdf5#/b")


def test_weighted_points_estimate_the_whole_grid(small_system):
    frame = DensitySystem(small_system).frame(0)
    values = np.asarray(frame.density, dtype=np.float64) ** 1.5
    rng = np.random.default_rng(0)
    config, estimates = SamplerConfig(300, 0.5), []
    for _ in range(1500):
        first, weight = draw_points(frame.density, SamplerConfig(1200, 0.5), rng)
        index, again = draw_points(frame.density[first], config, rng, weight)
        estimates.append(again @ values[first][index])
    error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(np.mean(estimates) - values.mean()) < 5 * error


def test_weights_that_estimate_no_mean_are_refused(small_system):
    part = small_system / "set.000"
    (part / "grid_shape.npy").unlink()
    rng = np.random.default_rng(0)
    np.save(part / "grid.npy", rng.uniform(0, 6, (6, 50, 3)))
    np.save(part / "density.npy", np.full((6, 50), 6 / 216))
    np.save(part / "weight.npy", np.full((6, 50), 1 / 50))
    np.save(part / "electrons.npy", np.full(6, 6.5))
    system = DensitySystem(small_system)
    system.check()
    assert system.frame(0).electrons == 6.5 and system.frame(0).volume == pytest.approx(216)
    np.save(part / "weight.npy", np.ones((6, 50)))
    with pytest.raises(InputError, match="weight sums to 50"):
        system = DensitySystem(small_system)
        system.check()


def test_many_systems_with_few_files_open(tmp_path):
    for number in range(80):
        write_small_system(tmp_path / f"data/s{number:02d}", nframes=1, seed=number)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = len(os.listdir("/proc/self/fd"))  # of the tests before this one
    resource.setrlimit(resource.RLIMIT_NOFILE, (others + 100, limits[1]))
    try:
        systems = find_systems(str(tmp_path / "data"))
        frames = FrameList(systems, [range(1)] * 80)
        assert sum(frame.electrons for frame in frames) == pytest.approx(480, rel=0.01)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_folder_that_cannot_be_listed_is_named(tmp_path):
    for number in range(2):
        write_small_system(tmp_path / f"data/s{number}", nframes=1)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, limits[1]))
    try:
        with pytest.raises(InputError, match="data: cannot be opened, 1 files are open already"):
            find_systems(str(tmp_path / "data"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def indexed(tmp_path, monkeypatch):
    """A folder of three systems that gets an index, and a way to read that."""
    monkeypatch.setattr(index, "_MANY", 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "data"
    for number in range(3):
        write_small_system(root / f"s{number}", nframes=1, seed=number)
    (root / "later").mkdir()
    time.sleep(0.06)
    return root


def test_index_holds_until_something_changes(indexed):
    first = index.indexed_layouts(indexed)
    assert (indexed / ".deepdensity_index.json").exists()
    assert index._read(str(indexed)) == first == find_layouts(indexed)
    moved = indexed.rename(indexed.with_name("moved"))
    assert index._read(str(moved)) == find_layouts(moved)
    moved.rename(indexed)
    write_small_system(indexed / "later/s3", nframes=2)  # a folder without systems before
    assert index._read(str(indexed)) is None
    time.sleep(0.06)
    assert len(index.indexed_layouts(indexed)) == 4 == len(index._read(str(indexed)))
    np.save(indexed / "later/s3/set.000/box.npy", np.zeros((2, 9)))
    assert index._read(str(indexed)) is None


def test_index_is_not_believed_of_a_change_of_the_same_size_and_time(indexed):
    index.indexed_layouts(indexed)
    file = indexed / "s0/set.000/density.npy"
    before, values = file.stat(), np.load(file)
    with open(file, "r+b") as stream:  # in place
        stream.seek(before.st_size - values.nbytes)
        stream.write((2 * values).tobytes())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert index._read(str(indexed)) is None


def test_copied_data_are_read_anew(indexed):
    index.indexed_layouts(indexed)
    copy = indexed.with_name("copy")
    shutil.copytree(indexed, copy)  # with times and the index
    assert (copy / ".deepdensity_index.json").exists() and index._read(str(copy)) is None


def test_no_index_of_files_that_were_changed_a_moment_ago(indexed, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(index, "_TICK", 10**12)
        index.indexed_layouts(indexed)
    assert not (indexed / ".deepdensity_index.json").exists()
    # A file system whose times are whole seconds.
    for number in (9, 8):
        assert index.settled([number * 10**9], 10 * 10**9 + 1) == (number == 8)
    assert index.settled([9 * 10**9 + 1], 10 * 10**9)


def test_index_of_a_folder_that_cannot_be_written(indexed, monkeypatch, caplog):
    stale = indexed / ".deepdensity_index.json"
    index.indexed_layouts(indexed)
    text = stale.read_text().replace(".000", ".009")
    stale.write_text(text)
    writable = index.atomic_path

    def refused(path):
        if str(path).startswith(str(indexed)):
            raise InputError(f"{path}: cannot be written (Read-only file system)")
        return writable(path)

    monkeypatch.setattr(index, "atomic_path", refused)
    found = index.indexed_layouts(indexed)
    assert stale.read_text() == text and index._read(str(indexed)) == found  # from the cache
    assert len(list((indexed.parent / "cache/deepdensity_tf").iterdir())) == 1
    # Not there either.
    monkeypatch.setattr(index, "side_files", lambda root, name: [indexed / name])
    assert index.indexed_layouts(indexed) == found
    assert not [r for r in caplog.records if r.levelno > logging.INFO]


def test_probabilities():
    sizes = np.array([10, 30, 60])
    assert auto_probabilities("prob_sys_size", sizes, "key") is None
    np.testing.assert_allclose(auto_probabilities("prob_uniform", sizes, "key"), 1 / 3)
    blocks = auto_probabilities("prob_sys_size;0:1:0.5;1:3:0.5", sizes, "key")
    np.testing.assert_allclose(blocks, [0.5, 0.5 / 3, 1 / 3])
    given = given_probabilities([1, 3], [0, 1, 1], sizes, "key")
    np.testing.assert_allclose(given, [0.25, 0.25, 0.5])
    for wrong in ("prob_size", "prob_sys_size;0:4:1", "prob_sys_size;0:2:1;1:3:1"):
        with pytest.raises(InputError, match="key: "):
            auto_probabilities(wrong, sizes, "key")


def test_systems_are_drawn_as_often_as_asked():
    sizes, probability = np.array([10, 30, 60]), np.array([0.5, 0.3, 0.2])
    order = epoch_order(probability, sizes, seed=3)
    np.testing.assert_array_equal(order(4), epoch_order(probability, sizes, seed=3)(4))
    drawn = np.bincount(np.concatenate([order(epoch) for epoch in range(60)]), minlength=100)
    np.testing.assert_allclose(np.add.reduceat(drawn, [0, 10, 40]), 6000 * probability, atol=60)
    assert drawn[:10].std() < 3 and drawn[:10].min() > 280


def test_chosen_frames_hold_every_element():
    counts = np.zeros((1000, 3), dtype=int)
    counts[:, 0], counts[500, 1], counts[::100, 2] = 1, 4, 1
    chosen = frames_of_all_elements(counts, 3, 16, np.random.default_rng(0))
    assert len(chosen) == 16 and 500 in chosen and (counts[chosen, 2] > 0).sum() >= 3
