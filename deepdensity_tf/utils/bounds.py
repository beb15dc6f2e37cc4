"""Bounds of the input's values, which stand beside their keys: ``Argument(..., **POSITIVE)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def bound(test: Callable[[Any], Any], expected: str) -> dict[str, Any]:
    """What makes a `dargs.Argument` refuse values that its type allows.

    Parameters
    ----------
    test : callable
        Whether a value is right. Not asked of null, where the type allows it, nor of true and
        false, which Python takes for numbers: they are wrong.
    expected : str
        What a right value is, for the message.

    Returns
    -------
    dict
        Keyword arguments.
    """

    def check(value: Any) -> bool:
        return value is None or (not isinstance(value, bool) and bool(test(value)))

    return {"extra_check": check, "extra_check_errmsg": f"expected {expected}"}


POSITIVE = bound(lambda value: value > 0, "a positive number")
NOT_NEGATIVE = bound(lambda value: value >= 0, "0 or more")
SHARE = bound(lambda value: 0 < value <= 1, "more than 0 and at most 1")
LAYERS = bound(lambda value: value and min(value) > 0, "positive layer sizes")
NAME = bound(lambda value: value.strip(), "a name")
