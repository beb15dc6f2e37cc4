"""Numbers in text: as C and Fortran write them, with NumPy of either behaviour."""

import warnings

import numpy as np
import pytest

from deepdensity_tf.utils.number_text import parse_numbers

_FROMSTRING = np.fromstring


def before_2_3(text, sep):
    """What NumPy before 2.3 does with text it cannot read to its end."""
    for end in range(len(text), -1, -1):
        try:
            values = _FROMSTRING(text[:end], sep=sep)
        except ValueError:
            continue
        if end < len(text):
            warnings.warn("string or file could not be read", DeprecationWarning, stacklevel=2)
        return values
    raise AssertionError


@pytest.fixture(params=["installed", "before 2.3"])
def numpy_version(request, monkeypatch):
    if request.param != "installed":
        monkeypatch.setattr(np, "fromstring", before_2_3)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1 -2.5\n 3e-7\t4E+10 ", [1, -2.5, 3e-7, 4e10]),
        ("0.2D-05", [0.2e-5]),
        ("1.0 0.2d-05 3", [1, 0.2e-5, 3]),
        (".5D0 5.D+01", [0.5, 50]),
        ("0.4 0.3-105", [0.4, 0.3e-105]),
        ("0.3-105 0.4", [0.3e-105, 0.4]),
        ("-1.5+100", [-1.5e100]),
        ("", []),
        (" \n", []),
        ("1 2", [1, 2]),
        ("1 2 3 4 5", [1, 2, 3, 4]),
        ("1 2 3 4 augmentation", [1, 2, 3, 4]),
        ("1 inf", [1, np.inf]),
    ],
)
def test_numbers(numpy_version, text, expected):
    found = parse_numbers(text, 4)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize("text", ["1 x", "1,2", "1_0", "1\0 2", "1.2.3", "0.3-10", "*****", "0x10"])
def test_words_that_are_no_numbers(numpy_version, text):
    with pytest.raises(ValueError):
        parse_numbers(text, 4)
