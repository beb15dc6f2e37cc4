"""Checkpoints: a folder that says how to build the model and holds its latest states."""

from __future__ import annotations

import json
from pathlib import Path

import tensorflow as tf

from deepdensity_tf import __version__
from deepdensity_tf.model import DensityModel
from deepdensity_tf.train.optimizer import AveragedAdam
from deepdensity_tf.utils.argcheck import complete_input
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

_INPUT = "input.json"


class TrainingState:
    """All that training changes: weights, optimizer, time spent.

    Parameters
    ----------
    config : dict
        The completed input.
    """

    def __init__(self, config: dict):
        self.config = config
        self.model = DensityModel(config["model"], config["training"]["seed"])
        self.optimizer = AveragedAdam(
            self.model.trainable_variables, config["training"]["ema_decay"]
        )
        self.elapsed = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.optimizer.step.numpy())


class CheckpointFolder:
    """The folder `save_ckpt`: input.json, the last three states and the file `checkpoint`.

    TensorFlow writes a state under a temporary name and names it in `checkpoint` last, so a kill at
    any moment leaves the state before.
    """

    def __init__(self, path: str | Path, state: TrainingState):
        self.path = Path(path)
        self._checkpoint = tf.train.Checkpoint(
            model=state.model, optimizer=state.optimizer, elapsed=state.elapsed
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self.path), max_to_keep=3, checkpoint_name="state"
        )
        self._state = state

    def save(self) -> None:
        """Write the present state."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (self.path / _INPUT).exists():
                content = {"version": __version__, "input": self._state.config}
                with atomic_path(self.path / _INPUT) as temporary:
                    temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
            self._manager.save(checkpoint_number=self._state.step)
        except (tf.errors.OpError, OSError) as error:
            reason = getattr(error, "message", None) or str(error)
            raise InputError(
                f"{self.path}: the checkpoint of step {self._state.step} cannot be written "
                f"({reason.splitlines()[0]})"
            ) from None

    def restore(self) -> None:
        """Take up the last state.

        Raises
        ------
        InputError
            No state there, or one of another model.
        """
        latest = tf.train.latest_checkpoint(str(self.path))
        if latest is None:
            raise InputError(f"{self.path}: no checkpoint there, expected the folder of a training")
        try:
            status = self._checkpoint.restore(latest)
            status.assert_existing_objects_matched()
        except (tf.errors.OpError, ValueError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{latest}: does not fit the model of {_INPUT} ({reason[:200]})"
            ) from None


def read_checkpoint_input(path: str | Path) -> dict:
    """The completed input stored with checkpoints; keys newer than it get their defaults.

    Raises
    ------
    InputError
        `path` is not a checkpoint folder, or of another version of the format.
    """
    file = Path(path) / _INPUT
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return complete_input(content["input"], str(file))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path}: found no {_INPUT} there, expected the checkpoint folder of a training"
        ) from None
    except (json.JSONDecodeError, KeyError, TypeError, OSError) as error:
        raise InputError(f"{file}: damaged ({error})") from None


def load_state(path: str | Path) -> TrainingState:
    """Rebuild a training's last state from its checkpoint folder alone."""
    state = TrainingState(read_checkpoint_input(path))
    CheckpointFolder(path, state).restore()
    return state
