"""A page of a learning curve that a browser keeps up to date while a training runs."""

from __future__ import annotations

import html
import io
import time
from pathlib import Path

from deepdensity_tf.plot.pictures import learning_curve, read_lcurve
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="{interval:g}">
<link rel="icon" href="data:,"><title>{title}</title></head>
<body style="font: 14px sans-serif"><p>{text}</p>{picture}</body>
</html>
"""


def follow(curve: str | Path, output: str | Path, interval: float = 5.0) -> None:
    """Draw a learning curve into a page again and again as it grows, until interrupted.

    Parameters
    ----------
    curve : str or Path
        lcurve.out; need not exist yet.
    output : str or Path
        The page.
    interval : float
        Seconds between two looks, also those of the browser.
    """
    seen = None
    while True:
        path = Path(curve)
        state = path.stat().st_mtime_ns if path.is_file() else 0
        if state != seen:
            write_page(curve, output, interval)
            seen = state
        time.sleep(interval)


def write_page(curve: str | Path, output: str | Path, interval: float) -> None:
    """One page: the last line in words and the curves, or that there is nothing yet."""
    try:
        columns = read_lcurve(curve)
    except InputError as error:
        text, picture = str(error), ""
    else:
        last = (f"{name} {values[-1]:g}" for name, values in columns.items())
        text, picture = ", ".join(last), _svg(columns)
    page = _PAGE.format(
        interval=interval, title=html.escape(str(curve)), text=html.escape(text), picture=picture
    )
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _svg(columns: dict) -> str:
    """The picture as an element of a page."""
    stream = io.StringIO()
    learning_curve(columns).savefig(stream, format="svg", bbox_inches="tight")
    text = stream.getvalue()
    return text[text.index("<svg") :]
