"""A few of the faults of run.py, in every run of the tests; `run.py --kills 50` for more."""

import pytest

from tests.faults import run


@pytest.mark.slow
def test_killed_starved_and_locked_out(tmp_path):
    counts = run.run(kills=4, seed=1, folder=tmp_path)
    assert not [problem for count in counts.values() for problem in count.problems]
    assert sum(count.faults for count in counts.values()) >= 7
