"""PAW occupancies as labels of systems: written, read, converted, refused."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from deepdensity_tf.data.augmentation import common_channels, frame_occupancies, read_channels
from deepdensity_tf.data.bulk import convert
from deepdensity_tf.data.conversion import ConvertOptions
from deepdensity_tf.data.system import DensitySystem, find_systems
from deepdensity_tf.data.writer import write_system
from deepdensity_tf.formats import read_density
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import Channels

CHANNELS = Channels("gpaw", {"C": (0, 1), "H": (0,)})


def labelled(frame, seed=0, spin=False):
    """A frame of C H H with occupancies."""
    values = np.random.default_rng(seed).normal(size=(3, 10))
    values[1:, 1:] = np.nan
    return replace(frame, augmentation=values, spin_augmentation=0.1 * values if spin else None)


@pytest.mark.parametrize("mixed", [None, 5])
@pytest.mark.parametrize("spin", [False, True])
def test_written_and_read(small_system, tmp_path, mixed, spin):
    frames = [labelled(f, k, spin) for k, f in enumerate(DensitySystem(small_system))]
    write_system(tmp_path / "copy", frames, ["C", "H"], mixed, CHANNELS)
    system = DensitySystem(tmp_path / "copy", ["H", "C"])
    assert read_channels(system.files) == CHANNELS == common_channels([system.files])
    for before, after in zip(frames, system, strict=True):
        found = frame_occupancies(after, CHANNELS, system.type_map)
        np.testing.assert_array_equal(found.total, before.augmentation)
        assert (found.spin is None) == (not spin)


def test_frames_without_them_share_a_system(small_system, tmp_path):
    frames = list(DensitySystem(small_system))
    write_system(tmp_path / "c", [labelled(frames[0]), frames[1]], ["C", "H"], channels=CHANNELS)
    system = DensitySystem(tmp_path / "c")
    assert [frame.augmentation is None for frame in system] == [False, True]
    assert read_channels(DensitySystem(small_system).files) is None


def test_hdf5(small_system, tmp_path):
    frame = labelled(DensitySystem(small_system).frame(0))
    write_system(tmp_path / "s", [frame], ["C", "H"], channels=CHANNELS)
    with h5py.File(tmp_path / "s.hdf5", "w") as file:
        for path in (tmp_path / "s/set.000").iterdir():
            file[f"a/set.000/{path.name}"] = np.load(path)
        file["a/type.raw"], file["a/type_map.raw"] = [0, 1, 1], ["C", "H"]
        file["a/nopbc"] = True
        file["a/augmentation.json"] = CHANNELS.to_json()
    system = DensitySystem(f"{tmp_path}/s.hdf5#/a")
    found = frame_occupancies(system.frame(0), read_channels(system.files), system.type_map)
    np.testing.assert_array_equal(found.total, frame.augmentation)


def test_messages(small_system, tmp_path):
    frame = labelled(DensitySystem(small_system).frame(0))
    write_system(tmp_path / "s", [frame], ["C", "H"], channels=CHANNELS)
    part = tmp_path / "s/set.000"
    (tmp_path / "s/augmentation.json").unlink()
    with pytest.raises(InputError, match=r"s/augmentation.json: cannot be read .* beside"):
        read_channels(DensitySystem(tmp_path / "s").files)
    np.save(part / "augmentation.npy", np.zeros((1, 2, 10)))
    with pytest.raises(InputError, match=r"augmentation.npy: found shape \(1, 2, 10\), expected"):
        DensitySystem(tmp_path / "s")
    np.save(part / "spin_augmentation.npy", np.zeros((1, 3, 10)))
    (part / "augmentation.npy").unlink()
    with pytest.raises(InputError, match="found spin_augmentation.npy, expected augmentation.npy"):
        DensitySystem(tmp_path / "s")


def npz(path, channels=CHANNELS, **changes):
    """A file as interfaces.gpaw writes it: H C H, which becomes C H H."""
    values = np.random.default_rng(0).normal(size=(3, 10))
    values[[0, 2], 1:] = np.nan
    data = {
        "symbols": np.array(["H", "C", "H"]),
        "coord": np.array([[0.0, 0, 0], [1.1, 0, 0], [2.2, 0, 0]]),
        "box": 6 * np.eye(3),
        "density": np.full((8, 8, 8), 6 / 216),
        "augmentation": values,
        "augmentation_channels": np.array(channels.to_json()),
    }
    np.savez(path, **{**data, **changes})
    return values


@pytest.mark.parametrize("code", ["gpaw", "vasp"])
def test_only_gpaw_has_a_density_that_lacks_electrons(tmp_path, code):
    npz(tmp_path / "a.npz", Channels(code, CHANNELS.of))
    assert read_density(tmp_path / "a.npz")[0].pseudo == (code == "gpaw")


@pytest.mark.parametrize("name, points", [("s", None), ("s", 100), ("s.hdf5", 100)])
def test_converted_in_the_order_of_types(tmp_path, name, points):
    values = npz(tmp_path / "a.npz")
    convert([str(tmp_path / "a.npz")], [], tmp_path / name, ConvertOptions(points=points))
    (system,) = find_systems(tmp_path / name)
    assert read_channels(system.files) == CHANNELS
    np.testing.assert_array_equal(system.frame(0).augmentation, values[[1, 0, 2]])


def test_other_data_sets_are_refused(tmp_path):
    npz(tmp_path / "a.npz")
    npz(tmp_path / "b.npz", Channels("vasp", CHANNELS.of))
    files = [str(tmp_path / name) for name in ("a.npz", "b.npz")]
    with pytest.raises(InputError, match="b.npz: PAW occupancies of vasp, expected those of gpaw"):
        convert(files, [], tmp_path / "s", ConvertOptions())
    assert not (tmp_path / "s").exists()
    npz(tmp_path / "a.npz", augmentation=np.zeros((3, 10)))
    with pytest.raises(InputError, match=r"atom 0 \(H\) has 10 numbers, expected 1"):
        convert(files[:1], [], tmp_path / "s", ConvertOptions())
