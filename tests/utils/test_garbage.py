"""The search for garbage is off within the block alone."""

from __future__ import annotations

import gc

import pytest

from deepdensity_tf.utils.garbage import uncollected


def test_off_within_and_on_again():
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_on_again_after_an_error():
    with pytest.raises(ValueError), uncollected():
        raise ValueError
    assert gc.isenabled()


def test_stays_off_where_it_was_off():
    with uncollected():
        with uncollected():
            pass
        assert not gc.isenabled()
