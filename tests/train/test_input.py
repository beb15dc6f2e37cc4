"""The input: defaults, messages."""

import json

import pytest

from deepdensity_tf.utils.argcheck import complete_input, describe_input, read_input
from deepdensity_tf.utils.errors import InputError

MINIMAL = {
    "model": {"type_map": ["H"]},
    "training": {"training_data": {"systems": "data"}, "numb_steps": 10},
}


def changed(path, value):
    """The minimal input with one entry set; path is dotted."""
    data = json.loads(json.dumps(MINIMAL))
    section = data
    *parents, last = path.split(".")
    for name in parents:
        section = section.setdefault(name, {})
    section[last] = value
    return data


def test_defaults_are_filled_in():
    data = complete_input(MINIMAL)
    assert data["model"]["descriptor"]["type"] == "equivariant"
    assert data["model"]["fitting_net"]["type"] == "expansion"
    assert data["model"]["baseline"]["type"] == "atomic"
    assert data["loss"]["pref_abs"] == 1.0
    assert data["learning_rate"]["start_lr"] > data["learning_rate"]["stop_lr"]
    assert data["training"]["max_time"] is None
    assert complete_input(data) == data


def test_comments_are_dropped():
    data = complete_input({**MINIMAL, "_comment": "hello"})
    assert "_comment" not in data


BAD = {
    "model.fiting_net": ({}, "unknown key model.fiting_net: did you mean 'fitting_net'"),
    "model.descriptor.rcutt": (3.0, "unknown key model.descriptor.rcutt: did you mean 'rcut'"),
    "model.sel": ([4], "unknown key model.sel"),
    "training.numb_step": (5, "unknown key training.numb_step: did you mean 'numb_steps'"),
    "trainin": ({}, "unknown key trainin: did you mean 'training'"),
    "model.descriptor.type": ("se_e2_b", "model.descriptor.type is 'se_e2_b', expected one of"),
    "model.descriptor.rcut": (-1.0, "model.descriptor.rcut is -1.0, expected a positive number"),
    "model.descriptor.rcut_smth": (9.0, "rcut_smth is 9.0, expected less than"),
    "model.descriptor.lmax": (9, "lmax is 9, expected 1 to 8"),
    "model.precision": ("float16", "model.precision is 'float16', expected float32 or float64"),
    "model.type_map": (["H", "H"], "type_map is"),
    "model.nspline": (3, "nspline is 3, expected at least 8"),
    "model.rcut_point": ("far", "rcut_point"),
    "model.descriptor.neuron": ([0], "model.descriptor.neuron is"),
    "learning_rate.start_lr": (0.0, "learning_rate.start_lr is 0.0, expected a positive number"),
    "training.numb_steps": (0, "training.numb_steps is 0"),
    "training.max_time": (-5.0, "training.max_time is -5.0"),
    "training.ema_decay": (1.0, "training.ema_decay is 1.0"),
    "training.training_data.uniform_fraction": (0.0, "uniform_fraction is 0.0"),
    "training.training_data.batch_size": (0, "training.training_data.batch_size is 0"),
}


@pytest.mark.parametrize("path", BAD)
def test_wrong_entries_are_named(path):
    value, message = BAD[path]
    with pytest.raises(InputError) as caught:
        complete_input(changed(path, value), "input.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("input.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", ["model", "training"])
def test_missing_sections_are_named(section):
    data = {k: v for k, v in MINIMAL.items() if k != section}
    with pytest.raises(InputError, match=section):
        complete_input(data)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.json", '{"model": ', "a.json: Expecting value"),
        ("a.json", '{"model": 1, "model": 2}', "'model' stands twice"),
        ("a.yaml", "model: 1\nmodel: 2\n", "'model' stands twice"),
        ("a.yaml", "model: [1\n", "a.yaml: "),
        ("a.json", "[1]", "found list at the top"),
        ("a.json", "", "a.json: "),
    ],
)
def test_broken_files(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_input(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_input(tmp_path / "input.json")


def test_json_and_yaml_read_alike(tmp_path):
    import yaml

    (tmp_path / "a.json").write_text(json.dumps(MINIMAL))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(MINIMAL))
    assert read_input(tmp_path / "a.json") == read_input(tmp_path / "a.yaml") == MINIMAL


def test_every_key_is_documented():
    text = describe_input()
    for key in ("rcut_point", "uniform_fraction", "pref_charge", "nradial", "smoothness"):
        assert key in text
