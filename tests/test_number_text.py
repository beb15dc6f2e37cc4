"""Numbers in text: as C and Fortran write them, with NumPy of either behaviour."""

import warnings

import numpy as np
import pytest

from deepdensity_tf.utils.number_text import parse_numbers, scientific_lines

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


def printed(rows, per_line):
    """What C's printf writes."""
    n = rows.shape[1]
    for row in rows:
        for k, value in enumerate(row):
            end = "\n" if k % per_line == per_line - 1 or k == n - 1 else ""
            yield f" {value:17.10E}{end}"


@pytest.mark.parametrize("n", [1, 5, 6, 7, 12, 160])
def test_lines_as_printf_writes_them(n):
    rng = np.random.default_rng(n)
    rows = rng.choice([-1, 1], (40, n)) * 10 ** rng.uniform(-98, 98, (40, n))
    special = [0.0, -0.0, 1.0, 9.99999999999, 99999999999.5, 1e10, 1e-10, 0.1, 123456789012]
    rows.flat[: len(special)] = special[: rows.size]
    found = b"".join(scientific_lines(rows, 6)).decode()
    assert found == "".join(printed(rows, 6))


def test_lines_of_numbers_with_long_exponents_or_none():
    rows = np.array([[1e-120, 1.0], [np.nan, -np.inf], [1e100, 5e-324]])
    assert b"".join(scientific_lines(rows, 6)).decode() == "".join(printed(rows, 6))


def test_long_tables_are_whole():
    rows = np.random.default_rng(0).normal(size=(3000, 100))
    text = b"".join(scientific_lines(rows, 6))
    np.testing.assert_allclose(np.fromstring(text, sep=" "), rows.ravel(), rtol=1e-10)
    assert text.count(b"\n") == 3000 * 17
