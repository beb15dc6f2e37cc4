"""Fixtures: small systems with a known density, small models."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pathlib import Path

import pytest

from deepdensity_tf.testing import small
from deepdensity_tf.testing.small import (
    SMALL_INPUT,
    assign_baseline,
    freeze_random,
    gaussian_density,
    random_weights,
    write_small_system,
)

__all__ = [
    "SMALL_INPUT",
    "assign_baseline",
    "gaussian_density",
    "random_weights",
    "write_small_system",
]

pytest.register_assert_rewrite(
    "deepdensity_tf.testing.plug_in", "deepdensity_tf.testing.symmetries"
)


@pytest.fixture
def small_input():
    """A fresh copy of the small input."""
    return small.small_input()


@pytest.fixture
def small_system(tmp_path):
    """Folder of a small molecular system."""
    return write_small_system(tmp_path / "data")


def completed_model(**changes) -> dict:
    """The `model` section of the small input with changes, completed."""
    from deepdensity_tf.schema import complete_input

    return complete_input(small.small_input(**changes))["model"]


@pytest.fixture(scope="session")
def make_frozen(tmp_path_factory):
    """Factory: the file of a frozen model with random weights, for changes to the small input.

    `seed` gives other weights.
    """
    made = {}

    def make(seed: int = 3, **model_changes) -> Path:
        key = repr((seed, sorted(model_changes.items())))
        if key not in made:
            path = tmp_path_factory.mktemp("frozen") / "frozen_model.pb"
            made[key] = freeze_random(path, seed, **model_changes)
        return made[key]

    return make


@pytest.fixture(scope="session")
def frozen_model(make_frozen) -> Path:
    """File of a frozen model of C and H with random weights."""
    return make_frozen()
