"""Training by several processes at once, on one machine or many.

Every worker draws its part of the global batch; gradients are averaged over workers. Workers are
described by TF_CONFIG, or by Slurm where `srun` starts several tasks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import tensorflow as tf

from deepdensity_tf.utils.errors import InputError


@dataclass(frozen=True)
class Workers:
    """This process among those that train together.

    Parameters
    ----------
    strategy : tf.distribute.Strategy
        Its scope must hold when variables are made.
    rank, count : int
        Number of this worker, and how many there are.
    """

    strategy: tf.distribute.Strategy
    rank: int = 0
    count: int = 1

    @property
    def chief(self) -> bool:
        """The worker that writes files and tells of progress."""
        return self.rank == 0


def find_workers() -> Workers:
    """The workers that the environment describes; one process by itself otherwise.

    Must be called before any other use of TensorFlow in the process.

    Raises
    ------
    InputError
        TF_CONFIG is not what TensorFlow expects.
    """
    resolver = None
    if int(os.environ.get("SLURM_NTASKS", 1)) > 1 and "SLURM_STEP_NUM_TASKS" in os.environ:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    elif "TF_CONFIG" not in os.environ:
        return Workers(tf.distribute.get_strategy())
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"TF_CONFIG: does not describe workers ({reason[:200]})") from None
    resolver = strategy.cluster_resolver
    count = strategy.num_replicas_in_sync
    return Workers(strategy, resolver.task_id or 0 if count > 1 else 0, count)


def average_over_workers(values: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """Mean of each tensor over the workers; inside of a step that the strategy runs."""
    context = tf.distribute.get_replica_context()
    # Arguments of a function have no device, which the reduction asks for: hence the identity.
    present = [tf.identity(value) for value in values if value is not None]
    means = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, present))
    return [None if value is None else next(means) for value in values]
