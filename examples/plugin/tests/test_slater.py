"""The fitting of this package, with the tests that every fitting has to pass."""

import dd_slater.fitting  # noqa: F401

from deepdensity_tf.testing.plug_in import PlugInTests


class TestSlater(PlugInTests):
    sections = {"fitting_net": {"type": "slater", "neuron": [8]}}
