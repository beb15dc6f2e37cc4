"""Several processes started by mpirun; without mpirun mpi4py is never imported."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deepdensity_tf.utils.errors import InputError

# What Open MPI, MPICH (and Intel MPI), MVAPICH and Slurm's srun tell a process of its job.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


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
