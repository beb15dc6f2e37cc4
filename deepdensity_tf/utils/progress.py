"""How far a long task is: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

# Log lines come no closer than this (s), nor than this part of the time gone by:
# a run of days does not fill its log file.
_INTERVAL = 10.0
_GROWTH = 0.1


@contextmanager
def track(total: int, label: str, unit: str) -> Iterator[Callable[..., None]]:
    """Show the progress of a task.

    Parameters
    ----------
    total : int
        Amount of work.
    label : str
        What is done, e.g. "training".
    unit : str
        What is counted, e.g. "points"; the rate is shown as unit/s.

    Yields
    ------
    advance : callable
        ``advance(n=1, **fields)``: n units are done; `fields` (name and text or number) are
        shown beside.

    Examples
    --------
    >>> with track(1000, "training", "steps") as advance:
    ...     for _ in range(10):
    ...         advance(100, nmae=2.31)
    """
    if not log.isEnabledFor(logging.INFO):
        yield lambda n=1, **fields: None
    elif sys.stderr.isatty():
        with _bar(total, label, unit) as advance:
            yield advance
    else:
        yield _lines(total, label, unit)


@contextmanager
def track_until(total: int, label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """As `track`, for tasks that say how far they are: yields ``progress(done, total)``."""
    before = 0
    with track(total, label, unit) as advance:

        def progress(done: int, _total: int) -> None:
            nonlocal before
            advance(done - before)
            before = done

        yield progress


@contextmanager
def _bar(total: int, label: str, unit: str) -> Iterator[Callable[..., None]]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[status]}"),
        progress.TimeRemainingColumn(),
    )
    start = time.monotonic()
    with progress.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, status="")

        def advance(n: int = 1, **fields) -> None:
            bar.advance(task, n)
            done = bar.tasks[task].completed
            bar.update(task, status=_status(done / (time.monotonic() - start), unit, fields))

        yield advance


def _lines(total: int, label: str, unit: str) -> Callable[..., None]:
    start = time.monotonic()
    done, due = 0, start + _INTERVAL

    def advance(n: int = 1, **fields) -> None:
        nonlocal done, due
        done += n
        now = time.monotonic()
        if now < due:
            return
        elapsed = now - start
        due = now + max(_INTERVAL, _GROWTH * elapsed)
        remaining = _duration(elapsed * (total - done) / done) if done else "?"
        status = _status(done / elapsed, unit, fields)
        log.info("%s: %d of %d %s, %s, %s remaining", label, done, total, unit, status, remaining)

    return advance


def _status(rate: float, unit: str, fields: dict) -> str:
    parts = [f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.2g} {unit}/s"]
    for name, value in fields.items():
        parts.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
