"""Odd mixed systems, weights and HDF5 files: read rightly, or refused by file and key."""

import json

import h5py
import numpy as np
import pytest

from deepdensity_tf.data.frames import FrameList, element_counts
from deepdensity_tf.data.layout import find_layouts
from deepdensity_tf.data.system import find_systems
from deepdensity_tf.main import main
from deepdensity_tf.utils.errors import InputError
from tests.conftest import write_small_system
from tests.data.test_layouts import make_mixed


def read(path):
    """All frames at a path, checked, and how many atoms there are of each element."""
    systems = find_systems(str(path), ["C", "H", "O"])
    frames = FrameList(systems, [range(system.nframes) for system in systems])
    counts = element_counts(frames)
    return list(frames), {name: count.atoms for name, count in counts.items() if count.atoms}


@pytest.mark.parametrize(("atom", "symbols"), [(0, "HH"), (1, "CH"), (2, "CH")])
def test_padding_in_any_place(small_system, atom, symbols):
    coord = np.load(small_system / "set.000/coord.npy").reshape(6, 3, 3)
    make_mixed(small_system)
    types = np.load(small_system / "set.000/real_atom_types.npy")
    types[0, atom] = -1
    np.save(small_system / "set.000/real_atom_types.npy", types.astype(float))
    left = np.delete(coord[0], atom, axis=0)
    # What stands for no atom may be anything.
    for filling in (np.nan, 1e9, left[0]):
        coord[0, atom] = filling
        np.save(small_system / "set.000/coord.npy", coord.reshape(6, 9))
        frames, counts = read(small_system)
        assert "".join("CHO"[t] for t in frames[0].atype) == symbols
        np.testing.assert_array_equal(frames[0].coord, left)
        assert sum(counts.values()) == 16


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-2, "holds -2 to 1, expected types 0 to 2 of type_map.raw, or -1"),
        (7, "holds -1 to 7"),
        (np.nan, "found nan, expected whole numbers"),
        (0.5, "found 0.5, expected whole numbers"),
    ],
)
def test_types_that_are_none(small_system, value, words):
    make_mixed(small_system)
    types = np.load(small_system / "set.000/real_atom_types.npy").astype(float)
    types[0, 1] = value
    np.save(small_system / "set.000/real_atom_types.npy", types)
    with pytest.raises(InputError, match=f"set.000: real_atom_types.npy:? {words}"):
        read(small_system)
    types[0] = -1
    np.save(small_system / "set.000/real_atom_types.npy", types)
    with pytest.raises(InputError, match="frame 0: has no atoms"):
        read(small_system)


def make_loose(folder, npoints=400):
    """The small system as points with weights."""
    part = folder / "set.000"
    density, shape = np.load(part / "density.npy"), np.load(part / "grid_shape.npy")
    index = np.random.default_rng(0).integers(0, density.shape[1], npoints)
    fractional = np.stack(np.unravel_index(index, shape[0]), -1) / shape[0]
    np.save(part / "grid.npy", np.tile(6 * fractional, (6, 1, 1)))
    np.save(part / "density.npy", density[:, index])
    (part / "grid_shape.npy").unlink()
    np.save(part / "weight.npy", np.full((6, npoints), 1 / npoints))
    return part


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (-0.01, r"weight sums to 0.98\d* \(least -0.01\), expected weights of 0 or more"),
        (np.nan, "weight holds NaN or infinity"),
        (np.inf, "weight holds NaN or infinity"),
        ([0.0] * 400, "weight sums to 0"),
        ([1.0] * 400, "weight sums to 400"),
    ],
)
def test_weights_that_are_none(small_system, row, words):
    part = make_loose(small_system)
    weight = np.load(part / "weight.npy")
    weight[2, 3 if np.isscalar(row) else slice(None)] = row
    np.save(part / "weight.npy", weight)
    with pytest.raises(InputError, match=f"frame 2: {words}"):
        read(small_system)


def test_electrons_that_are_none(small_system):
    part = make_loose(small_system)
    np.save(part / "electrons.npy", np.full((6, 1), 6.0))
    assert [frame.electrons for frame in read(small_system)[0]] == [6.0] * 6
    for values, words in (
        (np.full(6, np.nan), "frame 0: electrons holds NaN or infinity"),
        (np.full(6, -3.0), "frame 0: density integrates to -3 electrons"),
        (np.full(5, 6.0), r"electrons.npy: found shape \(5,\), expected \(6,\)"),
    ):
        np.save(part / "electrons.npy", values)
        with pytest.raises(InputError, match=words):
            read(small_system)


@pytest.fixture
def hdf5(small_system, tmp_path):
    """Writes an HDF5 file: ``hdf5(name, fill)``, and puts the small system into a group."""

    def put(group, **options):
        group["type.raw"], group["type_map.raw"] = [0, 1, 1], np.array(["C", "H"], dtype="S")
        group["nopbc"] = True
        for path in (small_system / "set.000").iterdir():
            group.create_dataset(f"set.000/{path.name}", data=np.load(path), **options)

    def write(name, fill):
        with h5py.File(tmp_path / name, "w") as file:
            fill(file, put)
        return tmp_path / name

    return write


def test_groups_in_groups_and_links(hdf5, small_system):
    expected = read(small_system)[0][3].density

    def nested(file, put):
        put(file.create_group("a/b/c"))
        put(file.create_group("a/b/d"), chunks=True, compression="gzip")
        file["a/up"] = file["/"]
        file["a/b/self"] = h5py.SoftLink("/a/b")

    def linked(file, put):
        file["there"] = h5py.ExternalLink("nested.hdf5", "/a/b/c")

    def virtual(file, put):
        put(file)
        layout = h5py.VirtualLayout((6, 4096), np.float32)
        layout[:] = h5py.VirtualSource(
            "nested.hdf5", "/a/b/c/set.000/density.npy", (6, 4096), np.float32
        )
        del file["set.000/density.npy"]
        file["set.000"].create_virtual_dataset("density.npy", layout)

    for name, fill, count in (
        ("nested.hdf5", nested, 2),
        ("linked.hdf5", linked, 1),
        ("virtual.hdf5", virtual, 1),
    ):
        path = hdf5(name, fill)
        assert len(find_layouts(path)) == count
        frames, _ = read(path)
        assert len(frames) == 6 * count
        np.testing.assert_array_equal(frames[3].density, expected)


def replaced(key, value):
    def fill(file, put):
        put(file)
        del file[key]
        file[key] = value

    return fill


def as_group(key):
    def fill(file, put):
        put(file)
        del file[key]
        file.create_group(key)

    return fill


def dangling(file, put):
    put(file.create_group("a"))
    file["b"] = h5py.ExternalLink("gone.hdf5", "/")


@pytest.mark.parametrize(
    ("fill", "words"),
    [
        (dangling, "#/b: is a link to what is not there"),
        (as_group("set.000/box.npy"), "#/set.000/box.npy: found a group, expected a dataset"),
        (as_group("type.raw"), "#/: type.raw or type_map.raw cannot be read"),
        (replaced("set.000", 1.0), "#/set.000: found a dataset, expected a group"),
        (replaced("set.000/box.npy", 3.0), r"box.npy: found shape \(\), expected \(6, 9\)"),
        (replaced("type.raw", [0, 1, 5]), "#/type.raw: found '5', expected types 0 to 1"),
    ],
)
def test_damaged_hdf5(hdf5, fill, words):
    with pytest.raises(InputError, match=f"damaged.hdf5{words}" if words[0] == "#" else words):
        read(hdf5("damaged.hdf5", fill))


def test_convert_of_many_grids_and_of_a_file_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        write_small_system(tmp_path / f"in/s{number}", nframes=1, seed=number)
    whole = np.load("in/s0/set.000/density.npy")
    files = ["in/s0", "in/s0", "./in/s1"]
    # More points than there are: all, each with the same weight.
    assert main(["convert", *files, "--points", "1000000", "-j", "2", "-o", "all.hdf5"]) == 0
    frames, _ = read("all.hdf5")
    assert len(frames) == 3
    for frame in frames[:2]:
        np.testing.assert_array_equal(frame.density, whole[0])
        np.testing.assert_allclose(frame.weight, 1 / 4096, rtol=1e-6)
    # Too few to be trained on: refused before they are written.
    assert main(["convert", "in", "--points", "1", "-o", "one"]) == 2
    assert "--points 1 are too few, their weights sum to" in capsys.readouterr().err
    assert not (tmp_path / "one").exists() and not (tmp_path / "one.parts").exists()


def test_training_data_that_do_not_go_together(small_system, small_input, tmp_path, monkeypatch):
    from deepdensity_tf.schema import complete_input
    from deepdensity_tf.train.training_data import TrainingData
    from deepdensity_tf.train.workers import find_workers

    def load(**changes):
        data = json.loads(json.dumps(small_input))
        data["model"]["type_map"] = ["C", "H", "O"]
        validation = changes.pop("validation", None)
        data["training"]["training_data"] |= changes
        if validation:
            data["training"]["validation_data"] = {"systems": validation}
        return TrainingData(complete_input(data), find_workers())

    monkeypatch.chdir(tmp_path)
    # More points a step than there are: all frames, none twice.
    assert load(batch_size="auto:1000000").batches.batch_size == 6
    with pytest.raises(InputError, match="sys_probs: found 2 numbers, expected one for each of"):
        load(sys_probs=[0.5, 0.5])
    other = write_small_system(tmp_path / "other")
    (other / "type_map.raw").write_text("O\nH\n")
    with pytest.raises(InputError, match="validation_data: other frame 0 holds O, which no frame"):
        load(validation="other")
    assert load(systems=["data", "other"], validation="other").validation is not None
