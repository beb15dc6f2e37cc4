"""Density files, one or many thousands, to systems: by several processes, to be killed and resumed.

Each file becomes a part (`data.parts`), written by whichever process comes to it; when all are
there they are put together in the order of the files. So the result does not depend on how many
processes there were, nor on how often they were killed.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from deepdensity_tf.data.assembly import ConvertedFrame, assemble
from deepdensity_tf.data.conversion import ConvertOptions, read_frames
from deepdensity_tf.data.layout import system_paths
from deepdensity_tf.data.parts import Parts, Source
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import expect_new
from deepdensity_tf.utils.log import setup_logging
from deepdensity_tf.utils.mpi import World
from deepdensity_tf.utils.progress import track

log = logging.getLogger(__name__)

# Of a run that fails, parts are kept if there are so many: fewer are soon read again.
_WORTH_KEEPING = 100


@dataclass(frozen=True)
class BulkOptions:
    """How many files are worked through.

    Parameters
    ----------
    jobs : int
        Processes (of each of mpirun's).
    skip_faulty : bool
        Go on without files that cannot be used.
    """

    jobs: int = 1
    skip_faulty: bool = False


@dataclass(frozen=True)
class Conversion:
    """What became of the files.

    Parameters
    ----------
    frames : list of ConvertedFrame
        In the order of the files.
    faulty : dict
        Files left out, and what is wrong with them.
    """

    frames: list[ConvertedFrame]
    faulty: dict[str, str]


def convert(
    files: Sequence[str],
    added: Sequence[str],
    output: str | Path,
    options: ConvertOptions,
    bulk: BulkOptions | None = None,
    world: World | None = None,
) -> Conversion:
    """Read density files and write them as one system, or one for each formula.

    With `options.points` all frames go into one mixed system. A process holds one density at a
    time. What a killed run has read is in OUTPUT.parts; the same call goes on from there.

    Parameters
    ----------
    files : sequence of str
        Density files or systems; several densities in one file become several frames.
    added : sequence of str
        Nothing, or one further file for each, whose density is added.
    output : str or Path
        System to make, a folder or .hdf5 file; with several formulas one that holds systems.
    options : ConvertOptions
        Format, types, periodicity, unit, points.
    bulk : BulkOptions, optional
        Processes, what to do with faulty files.
    world : World, optional
        The processes of mpirun; the first one puts the parts together.

    Returns
    -------
    Conversion
        Empty in all but the first process.

    Raises
    ------
    InputError
        What a file lacks; files that do not go together.
    """
    bulk, world = bulk or BulkOptions(), world or World()
    parts = Parts(Path(f"{str(output).rstrip('/')}.parts"), options)

    def plan() -> list[_Task]:
        tasks = _tasks(files, added, output, parts)
        parts.forget_faults()
        left = [task for task in tasks if not task.part.exists()]
        if len(left) < len(tasks):
            log.info("%d of %d files are read already", len(tasks) - len(left), len(tasks))
        every[:] = tasks
        return left

    def collect() -> None:
        done.append(_collect(every, parts, output, options, bulk))

    every: list[_Task] = []
    done: list[Conversion] = []
    left = world.from_first(plan)
    try:
        with world.aborting():
            _read_all(left, parts, bulk, world)
        world.wait()
        world.from_first(collect)
    except Exception:
        if world.rank == 0:
            _keep_or_remove(every, parts)
        raise
    return done[0] if done else Conversion([], {})


class _Task(NamedTuple):
    """A source and its part."""

    source: Source
    part: Path


def _tasks(
    files: Sequence[str], added: Sequence[str], output: str | Path, parts: Parts
) -> list[_Task]:
    expect_new(output)
    if added and len(added) != len(files):
        raise InputError(f"--add: found {len(added)} files, expected one for each of {len(files)}")
    if added:
        sources = [Source(*pair) for pair in zip(files, added, strict=True)]
    elif parts.options.fmt is not None:
        sources = [Source(file) for file in files]
    else:
        sources = [Source(path) for file in files for path in system_paths(file) or [file]]
    return [_Task(source, parts.find(source)) for source in sources]


def _read_all(left: list[_Task], parts: Parts, bulk: BulkOptions, world: World) -> None:
    """Write all parts that are left; each process takes every n-th of them."""
    size = world.size * bulk.jobs
    first = world.rank * bulk.jobs
    mine, *others = (left[k::size] for k in range(first, first + bulk.jobs))
    context = multiprocessing.get_context("spawn")  # a fork may inherit a lock that is held
    level = log.getEffectiveLevel()
    children = [
        context.Process(target=_child, args=(share, parts, bulk.skip_faulty, level), daemon=True)
        for share in others
        if share
    ]
    for child in children:
        child.start()
    try:
        with track(len(left) if world.rank == 0 else 0, "reading", "files") as advance:
            for done, _ in enumerate(_read(mine, parts, bulk.skip_faulty)):
                advance(min(size, len(left) - done * size))  # the others are as far as this process
    except OSError as error:  # what is wrong with a source is an InputError
        reason = error.strerror or error
        raise InputError(f"{parts.path}: cannot be written ({reason})") from None
    for child in children:
        child.join()
        if child.exitcode:
            raise InputError(
                f"--jobs: a process ended with code {child.exitcode} (-9: killed, perhaps for want "
                f"of memory); what was read is in {parts.path}, the same command goes on from there"
            )


def _child(share: list[_Task], parts: Parts, skip_faulty: bool, level: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its children
    setup_logging()
    logging.getLogger("deepdensity_tf").setLevel(level)
    parent = os.getppid()
    try:
        for _ in _read(share, parts, skip_faulty):
            if os.getppid() != parent:
                return
    except (OSError, MemoryError) as error:
        log.error("%s", error)
        raise SystemExit(2) from None


def _read(share: list[_Task], parts: Parts, skip_faulty: bool) -> Iterator[_Task]:
    """Write the parts of a share, one after the other, until one process meets a fault."""
    for task in share:
        if parts.stopped:
            return
        try:
            parts.write(task.part, read_frames(*task.source, parts.options))
        except InputError as error:
            parts.write_fault(task.part, str(error), stop=not skip_faulty)
            if skip_faulty:
                log.warning("left out: %s", error)
        yield task


def _collect(
    tasks: list[_Task], parts: Parts, output: str | Path, options: ConvertOptions, bulk: BulkOptions
) -> Conversion:
    """Put the parts together, if all are there that must be."""
    faults = parts.faults
    messages = {task.source.file: faults[task.part] for task in tasks if task.part in faults}
    if messages and (not bulk.skip_faulty or len(faults) == len(tasks)):
        first, *more = messages.values()
        raise InputError(f"{first} (and {len(more)} more faulty files)" if more else first)
    sound = [task for task in tasks if task.part not in faults]
    files = [task.source.file for task in sound]
    frames = assemble(files, [task.part for task in sound], output, options)
    parts.remove()
    return Conversion(frames, messages)


def _keep_or_remove(tasks: list[_Task], parts: Parts) -> None:
    """What to do with the parts of a run that fails."""
    done = sum(task.part.exists() for task in tasks)
    if done < _WORTH_KEEPING:
        parts.remove()
        return
    log.info(
        "%d files are read and kept in %s: the same command goes on from there (--skip-faulty: "
        "without faulty files)",
        done,
        parts.path,
    )
