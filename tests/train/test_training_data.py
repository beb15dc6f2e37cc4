"""What a training takes from its data."""

import pytest

from deepdensity_tf.schema import complete_input
from deepdensity_tf.testing.small import write_small_system
from deepdensity_tf.train.training_data import TrainingData
from deepdensity_tf.train.workers import find_workers


@pytest.mark.parametrize(
    "given, frames, expected",
    [(None, 6, 0.2), (None, 500, 200 / 1500), (0.0, 6, 0.0), (0.7, 500, 0.7)],
)
def test_weight_decay(tmp_path, small_input, given, frames, expected):
    """Three atoms a frame; a number that is given counts as it is."""
    system = write_small_system(tmp_path / "data", nframes=frames)
    small_input["training"]["training_data"]["systems"] = str(system)
    if given is not None:
        small_input["training"]["weight_decay"] = given
    config = complete_input(small_input)
    TrainingData(config, find_workers())
    assert config["training"]["weight_decay"] == pytest.approx(expected)
