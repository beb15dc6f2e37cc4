"""What every descriptor and fitting has to hold: a line each."""

import pytest
import tensorflow as tf

from deepdensity_tf.descriptor import DESCRIPTORS
from deepdensity_tf.fit import FITTINGS
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.testing.plug_in import PlugInTests
from deepdensity_tf.testing.small import SMALL_INPUT, freeze_random

SE_E2_A = {"type": "se_e2_a", "rcut": 3.5, "rcut_smth": 0.5, "neuron": [8, 8], "axis_neuron": 4}
PAIR = {"type": "pair", "neuron": [12, 12], "nradial": 6}
EXPONENTIAL = {"type": "exponential", "neuron": [12, 12]}


class TestEquivariantExpansion(PlugInTests):
    sections: dict = {}


class TestRadialPerType(PlugInTests):
    sections = {"fitting_net": {**SMALL_INPUT["model"]["fitting_net"], "radial_per_type": True}}
    # Both parts have it in other pairings; a training takes longer than all else here.
    test_restart_gives_the_weights_of_one_run = None


class TestOfBefore(PlugInTests):
    descriptor = {**SMALL_INPUT["model"]["descriptor"], "bounded": False, "crossed": False}
    sections = {"descriptor": descriptor}
    test_restart_gives_the_weights_of_one_run = None


class TestEquivariantPair(PlugInTests):
    sections = {"fitting_net": PAIR}
    test_restart_gives_the_weights_of_one_run = None


class TestSeE2APair(PlugInTests):
    sections = {"descriptor": SE_E2_A, "fitting_net": PAIR}


class TestSeE2AExponential(PlugInTests):
    sections = {"descriptor": SE_E2_A, "fitting_net": EXPONENTIAL}


class TestSpin(PlugInTests):
    sections = {"spin": True}


@pytest.mark.parametrize("key, registry", [("descriptor", DESCRIPTORS), ("fitting_net", FITTINGS)])
def test_no_type_is_left_out(key, registry):
    tested = {
        {**SMALL_INPUT["model"], **kind.sections}[key]["type"]
        for kind in PlugInTests.__subclasses__()
    }
    default = SMALL_INPUT["model"][key]["type"]
    assert tested >= registry.variant(default).choice_dict.keys()


@pytest.fixture
def lopsided():
    """A fitting whose density has a direction: known while the test runs."""
    pair = FITTINGS["pair"]

    class Lopsided(pair):
        def contributions(self, features, species, pairs):
            values = super().contributions(features, species, pairs)
            return values * tf.cast(1 + 0.1 * tf.tanh(pairs.disp[:, :1]), values.dtype)

    FITTINGS.register("lopsided")(Lopsided)
    yield {"fitting_net": {**PAIR, "type": "lopsided"}}
    del FITTINGS._classes["lopsided"]


def test_the_tests_can_fail(lopsided, tmp_path):
    model = DeepDensity(freeze_random(tmp_path / "lopsided.pb", **lopsided))
    tests = PlugInTests()
    tests.test_translation(model, None)
    tests.test_permutation_of_atoms(model)
    for mirror in (1, -1):
        with pytest.raises(AssertionError):
            tests.test_rotation_of_atoms_cell_and_points(model, None, mirror)
