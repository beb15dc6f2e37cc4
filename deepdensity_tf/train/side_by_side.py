"""Models that learn in one process, each in a thread of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.eager import context

from deepdensity_tf.utils.op_library import obey_threads
from deepdensity_tf.utils.ops import num_threads

# Runs one operation after the other in one thread. To hand the small operations of a step from
# thread to thread, as is usual, takes a fifth of the time of two models.
_EXECUTOR = "SINGLE_THREADED_EXECUTOR"


def share_threads(count: int) -> None:
    """Make TensorFlow's threads ready for a number of models.

    Operations get their share of the cores, unless a number of threads was set. Nothing changes
    where TensorFlow has begun to compute.
    """
    if count == 1:
        return
    threading = tf.config.threading
    share = max(1, num_threads() // count)
    with contextlib.suppress(RuntimeError):
        # Each model waits in a thread for the parts of its step that have one of their own.
        threading.set_inter_op_parallelism_threads(_threads_needed(count))
        given = os.environ.get("TF_NUM_INTRAOP_THREADS")
        if not given and not threading.get_intra_op_parallelism_threads():
            threading.set_intra_op_parallelism_threads(share)
            obey_threads()


def threads_for(count: int) -> bool:
    """Whether several models can have a thread each (`share_threads`).

    One alone does without: it is faster where all threads take its operations.
    """
    made = tf.config.threading.get_inter_op_parallelism_threads()
    return count > 1 and made >= _threads_needed(count)


def _threads_needed(count: int) -> int:
    return 2 * count + 2


def apart(step: Callable) -> Callable:
    """A step as a graph that stays one operation within others and runs in one thread."""
    graph = tf.function(step, autograph=False, experimental_attributes={"_noinline": True})

    def run(*arguments):
        with context.function_executor_type(_EXECUTOR):
            return graph(*arguments)

    return run
