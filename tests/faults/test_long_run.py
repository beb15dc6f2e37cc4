"""Memory stays flat; long_run.py does it for 10^5 steps and 10^4 predictions."""

import pytest

from tests.faults import long_run


@pytest.mark.slow
def test_memory_is_flat(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert long_run.growth(long_run.train(1000)) < long_run.ALLOWED
    assert long_run.growth(long_run.predict(250)) < long_run.ALLOWED
