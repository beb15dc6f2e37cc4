"""Inputs written for dp: what is taken, what is refused, and that all is said at once."""

import copy
import logging

import pytest

from deepdensity_tf.deepmd_input import _KEYS, _VALUES, take_deepmd_input
from deepdensity_tf.schema import complete_input, training_input
from deepdensity_tf.utils.errors import InputError

# The water example of DeePMD-kit's manual, in its keys.
WATER = {
    "model": {
        "type_map": ["O", "H"],
        "descriptor": {
            "type": "se_e2_a",
            "sel": [46, 92],
            "rcut_smth": 0.5,
            "rcut": 6.0,
            "neuron": [25, 50, 100],
            "resnet_dt": False,
            "axis_neuron": 16,
            "seed": 1,
        },
        "fitting_net": {"neuron": [240, 240, 240], "resnet_dt": True, "seed": 1},
    },
    "learning_rate": {"type": "exp", "decay_steps": 5000, "start_lr": 1e-3, "stop_lr": 3.51e-8},
    "loss": {"type": "ener", "start_pref_e": 0.02, "limit_pref_e": 1},
    "training": {
        "training_data": {"systems": ["a", "b"], "batch_size": "auto"},
        "validation_data": {"systems": ["c"], "batch_size": 1, "numb_btch": 3},
        "numb_steps": 1000000,
        "seed": 10,
        "disp_file": "lcurve.out",
        "disp_freq": 100,
        "save_freq": 1000,
        "tensorboard": True,
        "tensorboard_log_dir": "log",
    },
}


def test_all_differences_in_one_message():
    with pytest.raises(InputError) as caught:
        complete_input(WATER, "input.json")
    message = str(caught.value)
    assert message.startswith("input.json: written for dp train; ")
    for part in (
        "loss.type ('ener'): leave it out",
        "loss.start_pref_e (0.02)",
        "loss.limit_pref_e (1)",
        "training.validation_data.numb_btch (3): leave it out, batch_size of validation_data",
    ):
        assert part in message
    assert "sel" not in message and "\n" not in message


def test_what_has_no_effect_is_taken_with_a_warning(caplog):
    data = copy.deepcopy(WATER)
    del data["loss"], data["training"]["validation_data"]["numb_btch"]
    with caplog.at_level(logging.WARNING, logger="deepdensity_tf"):
        taken = complete_input(data, "input.json")
    assert taken["training"]["training_data"]["batch_size"] == 1
    assert taken["model"]["descriptor"]["axis_neuron"] == 16
    assert taken["training"]["tensorboard"] and taken["training"]["tensorboard_log_dir"] == "log"
    said = [record.getMessage().split()[1] for record in caplog.records]
    assert sorted(said) == sorted(
        [
            "model.descriptor.sel",
            "model.descriptor.resnet_dt",
            "model.descriptor.seed",
            "model.fitting_net.resnet_dt",
            "model.fitting_net.seed",
            "learning_rate.type",
            "learning_rate.decay_steps",
            "training.training_data.batch_size",
        ]
    )
    assert data["model"]["descriptor"]["sel"] == [46, 92]


@pytest.mark.parametrize(
    ("section", "key", "value", "advice"),
    [
        ("learning_rate", "type", "cosine", "falls exponentially"),
        ("learning_rate", "decay_rate", 0.95, "write stop_lr"),
        ("training", "stop_batch", 10, "write numb_steps"),
        ("model", "fitting_net", {"type": "ener"}, "fits no density"),
        ("model", "descriptor", {"type": "se_atten"}, "write equivariant or se_e2_a"),
        ("model", "descriptor", {"type_one_side": True}, "know both types"),
    ],
)
def test_other_meanings_are_refused(section, key, value, advice):
    with pytest.raises(InputError, match=advice):
        take_deepmd_input({section: {key: value}})


def test_own_inputs_are_left_alone(caplog):
    data = {"model": {"type_map": ["H"], "descriptor": 3}, "training": None}
    assert take_deepmd_input(data) == data and not caplog.records


def test_no_rule_hides_a_key_of_the_schema():
    def paths(argument, above=""):
        fields = dict(argument.sub_fields)
        for variant in argument.sub_variants.values():
            for choice in variant.choice_dict.values():
                fields.update(choice.sub_fields)
        for name, field in fields.items():
            yield above + name
            yield from paths(field, f"{above}{name}.")

    known = set(paths(training_input())) | {"model.descriptor.type", "model.fitting_net.type"}
    assert not known & set(_KEYS)
    assert set(_VALUES) <= known
