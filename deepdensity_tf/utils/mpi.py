"""Several processes started by mpirun; without mpirun mpi4py is never imported."""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.progress import track

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# What Open MPI, MPICH (and Intel MPI), MVAPICH and Slurm's srun tell a process of its job.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")

_STOP = 1  # tag of the message of a process that cannot go on
_NONE = object()


@dataclass(frozen=True)
class World:
    """The processes that work together.

    Parameters
    ----------
    rank, size : int
        Place of this process, number of all.
    comm : mpi4py.MPI.Comm, optional
        None if it is alone.
    """

    rank: int = 0
    size: int = 1
    comm: Any = None

    def from_first(self, function: Callable[[], Any]) -> Any:
        """What `function` returns on the first process; all wait for it.

        An exception of the first process is raised there; the others end with exit code 2.
        """
        if self.comm is None:
            return function()
        if self.rank > 0:
            failed, result = self.comm.bcast(None)
            if failed:
                raise SystemExit(2)
            return result
        try:
            result = function()
        except Exception:
            self.comm.bcast((True, None))
            raise
        self.comm.bcast((False, result))
        return result

    def together(self, function: Callable[[], _Result]) -> _Result:
        """What `function` returns here, once it has returned in all processes.

        What goes wrong in several is said by one: the exception of the first of them is raised
        there, the others end with exit code 2.
        """
        if self.comm is None:
            return function()
        fault = None
        try:
            result = function()
        except Exception as error:
            fault = error
        failed = self.comm.allgather(fault is not None)
        if not any(failed):
            return result
        if failed.index(True) == self.rank and fault is not None:
            raise fault
        raise SystemExit(2)

    def spread(
        self,
        work: Callable[[_Item], _Result],
        items: Iterable[_Item],
        total: int,
        label: str,
        shown: Callable[[_Result], dict] = lambda result: {},
    ) -> list[_Result]:
        """Work on items, each process on every n-th; a fault of one process ends all.

        Parameters
        ----------
        work : callable
            ``work(item)`` gives a result that can be pickled.
        items : iterable
            The same in all processes.
        total : int
            Their number, for the progress that the first process shows.
        label : str
            What is done, for the progress.
        shown : callable, optional
            Fields of the progress of a result.

        Returns
        -------
        list
            The results in the order of the items; empty in all but the first process.
        """

        def share() -> list[_Result]:
            mine: list[_Result] = []
            with track(total if self.rank == 0 else 0, label, "frames") as advance:
                for item in itertools.islice(items, self.rank, None, self.size):
                    if self._told_to_stop():
                        break
                    mine.append(work(item))
                    left = total - (len(mine) - 1) * self.size
                    advance(min(self.size, left), **shown(mine[-1]))  # the others are as far
            return mine

        def share_or_stop() -> list[_Result]:
            try:
                return share()
            except Exception:
                self._tell_to_stop()
                raise

        if self.comm is None:
            return share()
        with _warnings_said_once(self):
            mine = self.together(share_or_stop)
            shares = self.comm.gather(mine)
        rows = itertools.zip_longest(*(shares or []), fillvalue=_NONE)
        return [result for row in rows for result in row if result is not _NONE]

    def _tell_to_stop(self) -> None:
        for rank in range(self.size):
            if rank != self.rank:
                self.comm.isend(None, rank, _STOP)

    def _told_to_stop(self) -> bool:
        return self.comm is not None and self.comm.iprobe(tag=_STOP)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.comm is not None:
            self.comm.Barrier()

    @contextmanager
    def aborting(self) -> Iterator[None]:
        """An exception of one process ends all: the others would wait for it for ever."""
        try:
            yield
        except Exception as error:
            if self.comm is None:
                raise
            logging.getLogger(__name__).debug("raised here:", exc_info=error)
            print(f"dd-tf: error: {error} (process {self.rank})", file=sys.stderr, flush=True)
            self.comm.Abort(2)


class _Heard(logging.Handler):
    """Keeps the messages of warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.messages[record.getMessage()] = record.levelno


@contextmanager
def _warnings_said_once(world: World) -> Iterator[None]:
    """Warnings of the other processes are those of the first, which says each once.

    Of a block that raises they are not told: its fault is.
    """
    logger = logging.getLogger("deepdensity_tf")
    before, heard = list(logger.handlers), _Heard()
    logger.handlers = [*(before if world.rank == 0 else []), heard]
    try:
        yield
    finally:
        logger.handlers = before
    for messages in world.comm.gather(heard.messages) or []:
        for message, level in messages.items():
            if message not in heard.messages:
                heard.messages[message] = level
                logger.log(level, "%s", message)


def start_world() -> World:
    """Join the other processes of mpirun, if there are any.

    Limits this process's threads (TF_NUM_INTRAOP_THREADS, where it is not set) to its share of
    the cores: to be called before TensorFlow is imported. Only the first process logs what is
    less than a warning.

    Raises
    ------
    InputError
        mpi4py is missing, or does not see the processes mpirun started.
    """
    size = max(int(os.environ.get(name, "1")) for name in _SIZES)
    if size == 1:
        return World()
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise InputError(
            f"started as {size} MPI processes, but mpi4py cannot be imported ({error}); "
            "pip install 'deepdensity_tf[mpi]'"
        ) from None
    comm = MPI.COMM_WORLD
    if comm.size != size:
        raise InputError(
            f"started as {size} MPI processes, mpi4py sees {comm.size}: "
            "it was built for another MPI than that of mpirun"
        )
    local = comm.Split_type(MPI.COMM_TYPE_SHARED)
    cores = local.allgather(os.sched_getaffinity(0))
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(_threads(cores, local.rank)))
    if comm.rank > 0:
        logging.getLogger("deepdensity_tf").setLevel(logging.WARNING)
    return World(comm.rank, comm.size, comm)


def _threads(cores: list[set[int]], rank: int) -> int:
    """Threads of a process: its share of the cores of this machine, no more than it may use.

    >>> _threads([{0, 1, 2, 3}] * 2, 0), _threads([{0}, {1}], 0), _threads([{0, 1}] * 3, 1)
    (2, 1, 1)
    """
    share = len(set.union(*cores)) // len(cores)
    return max(1, min(share, len(cores[rank])))
