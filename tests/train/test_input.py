"""The input: defaults and formats; messages are in tests/bad_input."""

import json

from deepdensity_tf.schema import complete_input, describe_input, read_input

MINIMAL = {
    "model": {"type_map": ["H"]},
    "training": {"training_data": {"systems": "data"}, "numb_steps": 10},
}


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


def test_json_and_yaml_read_alike(tmp_path):
    import yaml

    (tmp_path / "a.json").write_text(json.dumps(MINIMAL))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(MINIMAL))
    assert read_input(tmp_path / "a.json") == read_input(tmp_path / "a.yaml") == MINIMAL


def test_every_key_is_documented():
    text = describe_input()
    for key in ("rcut_point", "uniform_fraction", "pref_charge", "nradial", "smoothness"):
        assert key in text
