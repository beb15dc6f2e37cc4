"""Errors of PAW occupancies against sums written out."""

from dataclasses import replace

import numpy as np
import pytest

from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.data.writer import write_system
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.frames import choose_frames
from deepdensity_tf.infer.occupancies import occupancy_errors
from deepdensity_tf.main import main
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import Channels

CHANNELS = Channels("gpaw", {"C": (0, 1), "H": (0, 1)})


def test_errors_of_a_known_difference(small_system, tmp_path, make_frozen, capsys):
    path = make_frozen(augmentation=CHANNELS.to_json())
    model, rng, frames, noise = DeepDensity(path), np.random.default_rng(0), [], []
    for frame in list(DensitySystem(small_system))[:3]:
        found = model.eval_augmentation(frame.coord, None, frame.atype).total
        noise.append(rng.normal(0, 0.1, found.shape))
        frames.append(replace(frame, augmentation=found + noise[-1]))
    bare = DensitySystem(small_system).frame(3)  # without occupancies: counts for nothing
    write_system(tmp_path / "s", [*frames, bare], ["C", "H"], channels=CHANNELS)
    result = occupancy_errors(model, choose_frames([str(tmp_path / "s")], model.type_map, ":"))
    atype, values = frames[0].atype, np.stack([frame.augmentation for frame in frames])
    for number, element in enumerate("CH"):
        mine = values[:, atype == number].reshape(-1, 10)
        mean = np.zeros(10)
        # L = 0 of s s, of s p none (three numbers of L = 1), of p p the first.
        mean[[0, 4]] = mine[:, [0, 4]].mean(0)
        wrong = (np.stack(noise)[:, atype == number] ** 2).sum()
        expected = 100 * np.sqrt(wrong / ((mine - mean) ** 2).sum())
        assert result[element]["error"] == pytest.approx(expected)
        assert result[element]["atoms"] == 3 * (1 + number)
    assert result["all"]["atoms"] == 9
    assert main(["test", "-m", str(path), "-s", str(tmp_path / "s")]) == 0
    assert f"C: {result['C']['error']:.2f} % (3 atoms)" in capsys.readouterr().out


def test_those_of_another_code(small_system, tmp_path, make_frozen):
    model = DeepDensity(make_frozen(augmentation=CHANNELS.to_json()))
    frame = replace(DensitySystem(small_system).frame(0), augmentation=np.ones((3, 10)))
    other = Channels("vasp", CHANNELS.of)
    write_system(tmp_path / "s", [frame], ["C", "H"], channels=other)
    with pytest.raises(InputError, match="PAW occupancies of vasp, expected those of gpaw"):
        occupancy_errors(model, choose_frames([str(tmp_path / "s")], model.type_map, ":"))
