"""Training by several processes at once, on one machine or many.

Every worker draws its part of the global batch; gradients are averaged over workers. Workers are
described by TF_CONFIG, or by Slurm where `srun` starts several tasks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import numpy as np
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

    @property
    def part(self) -> slice:
        """What of a sequence is this worker's."""
        return slice(self.rank, None, self.count)

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum of the workers' values (n,) float64; all workers must ask."""
        if self.count == 1:
            return values
        return _sum_over_workers(self.strategy, tf.constant(values, tf.float64)).numpy()


def find_workers() -> Workers:
    """The workers that the environment describes; one process by itself otherwise.

    Must be called before any other use of TensorFlow in the process.

    Raises
    ------
    InputError
        TF_CONFIG is not what TensorFlow expects, or has tasks of another kind than workers.
    """
    resolver = None
    if int(os.environ.get("SLURM_NTASKS", 1)) > 1 and "SLURM_STEP_NUM_TASKS" in os.environ:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver()
    elif "TF_CONFIG" not in os.environ:
        return Workers(tf.distribute.get_strategy())
    else:
        _refuse_other_tasks(os.environ["TF_CONFIG"])
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"TF_CONFIG: does not describe workers ({reason[:200]})") from None
    resolver = strategy.cluster_resolver
    count = strategy.num_replicas_in_sync
    return Workers(strategy, _rank(resolver) if count > 1 else 0, count)


def _refuse_other_tasks(text: str) -> None:
    """Parameter servers and evaluators have no part in synchronous training."""
    try:
        config = json.loads(text)
        found = {*config.get("cluster", {}), config.get("task", {}).get("type", "worker")}
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"TF_CONFIG: does not describe workers ({error})") from None
    other = sorted(found - {"chief", "worker"})
    if other:
        raise InputError(
            f"TF_CONFIG: found tasks of type {', '.join(map(str, other))}, expected chief and "
            "worker alone: all processes train together"
        )


def _rank(resolver) -> int:
    """The chief, where there is one, comes before the workers."""
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", []))
    return (resolver.task_id or 0) + (0 if resolver.task_type == "chief" else chiefs)


@tf.function
def _sum_over_workers(strategy: tf.distribute.Strategy, values):
    def reduce(part):
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(part))

    return strategy.run(reduce, (values,))


def average_over_workers(values: list[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """Mean of each tensor over the workers; inside of a step that the strategy runs."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return values
    # Arguments of a function have no device, which the reduction asks for: hence the identity.
    present = [tf.identity(value) for value in values if value is not None]
    means = iter(context.all_reduce(tf.distribute.ReduceOp.MEAN, present))
    return [None if value is None else next(means) for value in values]
