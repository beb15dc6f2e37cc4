"""A few seconds of both fuzzers; longer runs: native.py and readers.py."""

import pytest

from deepdensity_tf.utils.ops import LIBRARY
from tests.fuzz import native, readers


@pytest.mark.parametrize("seed", [1, 2])
def test_ops_answer_or_refuse(seed):
    counts = native.fuzz(str(LIBRARY), seconds=1.5, seed=seed)
    assert counts["refused"] and sum(counts.values()) > counts["refused"]


def test_readers_answer_or_refuse(tmp_path):
    counts = readers.fuzz(seconds=5, seed=1, keep=tmp_path / "failed")
    assert any(name.endswith("refused") for name in counts)
