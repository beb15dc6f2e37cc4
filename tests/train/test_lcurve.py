"""The learning curve file over restarts."""

import numpy as np
import pytest

from deepdensity_tf.train.lcurve import LearningCurve
from deepdensity_tf.utils.errors import InputError


def test_other_columns_keep_the_lines_before(tmp_path):
    """By their names; what one of the runs lacks is nan."""
    path = tmp_path / "lcurve.out"
    curve = LearningCurve(path, ["step", "nmae_trn", "lr"], 0)
    for step in (1, 2, 3):
        curve.add(step, {"nmae_trn": 10.0 / step, "lr": 0.1 * step})
    curve = LearningCurve(path, ["step", "nmae_val", "nmae_trn"], 2)
    curve.add(3, {"nmae_trn": 1.5, "nmae_val": 2.5})
    found = np.genfromtxt(path, names=True)
    assert found.dtype.names == ("step", "nmae_val", "nmae_trn", "lr")
    np.testing.assert_allclose(found["step"], [1, 2, 3])
    np.testing.assert_allclose(found["nmae_trn"], [10, 5, 1.5])
    np.testing.assert_allclose(found["nmae_val"], [np.nan, np.nan, 2.5])
    np.testing.assert_allclose(found["lr"], [0.1, 0.2, np.nan])


def test_a_line_cut_by_a_kill_is_dropped(tmp_path):
    path = tmp_path / "lcurve.out"
    path.write_text("#  step  nmae_trn\n  1  3.0\n  2")
    LearningCurve(path, ["step", "nmae_trn"], 2)
    assert path.read_text().splitlines()[1:] == [f" {1:>12} {'3.0':>12}"]


def test_a_file_of_another_kind_is_not_overwritten(tmp_path):
    path = tmp_path / "lcurve.out"
    path.write_text("my notes\n")
    with pytest.raises(InputError, match="found 'my notes' as first line"):
        LearningCurve(path, ["step", "lr"], 5)
    assert path.read_text() == "my notes\n"
