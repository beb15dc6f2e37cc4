"""What a training writes for TensorBoard, read back."""

import json
from collections import defaultdict

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.main import main
from deepdensity_tf.train.summaries import Summaries
from deepdensity_tf.utils.errors import InputError


def curves(folder) -> dict[str, dict[int, float]]:
    """Tag, step: value, as TensorBoard shows them: a start drops what lies at its step or later."""
    found = defaultdict(dict)
    for path in sorted(folder.iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            if event.session_log.status == tf.compat.v1.SessionLog.START:
                for values in found.values():
                    for step in [step for step in values if step >= event.step]:
                        del values[step]
            for value in event.summary.value:
                found[value.tag][event.step] = value.simple_value
    return found


def test_a_start_drops_what_comes_later(tmp_path):
    first = Summaries(tmp_path / "log", 0)
    for step in (1, 2, 3, 4):
        first.add(step, {"a": step, "b": -step})
    first.flush()
    again = Summaries(tmp_path / "log", 2)
    again.add(3, {"a": 30.0})
    again.flush()
    assert curves(tmp_path / "log") == {"a": {1: 1, 2: 2, 3: 30}, "b": {1: -1, 2: -2}}


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "log").write_text("a file")
    with pytest.raises(InputError, match="log: cannot be written .*tensorboard_log_dir"):
        Summaries(tmp_path / "log", 0)


@pytest.mark.slow
def test_curves_of_a_training_and_its_restart(tmp_path, small_system, small_input, monkeypatch):
    """The numbers of lcurve.out, and single batches, in one row over the restart."""
    monkeypatch.chdir(tmp_path)
    run = small_input["training"]
    run |= {"disp_freq": 2, "save_freq": 4, "tensorboard": True, "tensorboard_freq": 3}
    run |= {"validation_data": {"systems": "data", "frames": "4:"}}
    for steps, options in ((7, []), (12, ["--restart"])):
        run["numb_steps"] = steps
        (tmp_path / "input.json").write_text(json.dumps(small_input))
        assert main(["train", "input.json", *options]) == 0
    curve, found = np.genfromtxt("lcurve.out", names=True), curves(tmp_path / "log")
    for name in curve.dtype.names[1:]:
        assert list(found[name]) == curve["step"].tolist()
        np.testing.assert_allclose(list(found[name].values()), curve[name], rtol=1e-5)
    for name in ("loss_batch", "nmae_batch"):
        assert list(found[name]) == [3, 6, 9, 12]


@pytest.mark.slow
def test_nothing_is_written_unasked(tmp_path, small_system, small_input, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_input["training"]["numb_steps"] = 1
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    assert main(["train", "input.json"]) == 0
    assert not (tmp_path / "log").exists()
