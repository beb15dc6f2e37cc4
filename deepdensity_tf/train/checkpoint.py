"""Checkpoints: a folder that says how to build the model and holds its latest states."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import tensorflow as tf

from deepdensity_tf import __version__
from deepdensity_tf.model import DensityModel
from deepdensity_tf.model.ensemble import check_members
from deepdensity_tf.schema import complete_input, complete_model_of_before
from deepdensity_tf.train.optimizer import AveragedMuon, BestWeights
from deepdensity_tf.train.window import window_variable
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

log = logging.getLogger(__name__)

_INPUT = "input.json"
# What TensorFlow raises on states that are damaged or of another model.
_UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, RuntimeError, LookupError)
_STATE = "state"
_STATE_FILE = re.compile(rf"({_STATE}-\d+)(\.index|\.data-\d+-of-\d+|_temp)[^/]*")
_UNKNOWN = "unknown"  # data of checkpoints written before checksums were kept


class TrainingState:
    """All that training changes: weights, optimizer, best weights, means to show, time spent.

    The models of an ensemble (`training.numb_models`) learn side by side, each from its own start.

    Parameters
    ----------
    config : dict
        The completed input; `training.numb_models` a number.
    data_checksum : str
        What identifies the training data.

    Attributes
    ----------
    models : list of DensityModel
        Those that are trained.
    optimizers : list of AveragedMuon
        One for each.
    """

    def __init__(self, config: dict, data_checksum: str = _UNKNOWN):
        self.config = config
        self.data_checksum = data_checksum
        run = config["training"]
        seeds = range(run["seed"], run["seed"] + run["numb_models"])
        self.models = [DensityModel(config["model"], seed) for seed in seeds]
        if len(seeds) > 1:
            check_members(self.models, [f"training.numb_models is {len(seeds)}"] * len(seeds))
        head_alone = run["trained"] == "augmentation"
        settings = [run[key] for key in ("ema_decay", "gradient_max_norm")]
        self.optimizers = [
            AveragedMuon(
                (model.augmentation if head_alone else model).trainable_variables, *settings
            )
            for model in self.models
        ]
        self.best = BestWeights(self.average)
        self.window = window_variable()
        self.elapsed = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    @property
    def model(self) -> DensityModel:
        """The first of the models, which says what all share."""
        return self.models[0]

    @property
    def optimizer(self) -> AveragedMuon:
        """That of the first model."""
        return self.optimizers[0]

    @property
    def trained(self) -> list[tf.Variable]:
        """The weights that `training.trained` names, of all models."""
        return [variable for optimizer in self.optimizers for variable in optimizer.trained]

    @property
    def average(self) -> list[tf.Variable]:
        """Their running averages."""
        return [variable for optimizer in self.optimizers for variable in optimizer.average]

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self.optimizer.step.numpy())

    def take_result(self, last: bool = False) -> int:
        """Make the weights what training ended with; the step they are of.

        Parameters
        ----------
        last : bool
            The averaged weights of the last step even where those of the least validation error
            are known.
        """
        best = self.best.known and not last
        weights = self.best.weights if best else self.average
        for variable, weight in zip(self.trained, weights, strict=True):
            variable.assign(weight)
        return int(self.best.step.numpy()) if best else self.step


class CheckpointFolder:
    """The folder `save_ckpt`: input.json, the last three states and the file `checkpoint`.

    TensorFlow writes a state under a temporary name and names it in `checkpoint` last, so a kill at
    any moment leaves the state before.
    """

    def __init__(self, path: str | Path, state: TrainingState):
        self.path = Path(path)
        self._checkpoint = tf.train.Checkpoint(
            model=state.model,
            optimizer=state.optimizer,
            **_numbered("model", state.models),
            **_numbered("optimizer", state.optimizers),
            best=state.best,
            window=state.window,
            elapsed=state.elapsed,
        )
        try:
            self._manager = tf.train.CheckpointManager(
                self._checkpoint, str(self.path), max_to_keep=3, checkpoint_name=_STATE
            )
        except (tf.errors.OpError, ValueError) as error:
            raise InputError(
                f"{self.path / 'checkpoint'}: damaged ({_reason(error)}), expected a line "
                f'model_checkpoint_path: "{_STATE}-N" that names a state of the folder'
            ) from None
        self._state = state
        self.saved_step: int | None = None  # of the last state in the folder
        self._begun = False

    def save(self) -> None:
        """Write the present state.

        Raises
        ------
        InputError
            The folder cannot be written, e.g. for want of space; the states before are intact.
        """
        try:
            if not self._begun:
                self._begin()
            self._manager.save(checkpoint_number=self._state.step)
            self._remove_leftovers()
            self.saved_step = self._state.step
        except (tf.errors.OpError, OSError) as error:
            reason = getattr(error, "message", None) or str(error)
            raise InputError(
                f"{self.path}: the checkpoint of step {self._state.step} cannot be written "
                f"({reason.splitlines()[0]}); those before are intact: make room or give the "
                "rights, then go on by dd-tf train --restart"
            ) from None

    def restore(self) -> None:
        """Take up the last state; where that is damaged, the one before it.

        Raises
        ------
        InputError
            No state there, or none that is whole and of this model.
        """
        states = list(reversed(self._manager.checkpoints))
        if not states:
            raise InputError(f"{self.path}: no checkpoint there, expected the folder of a training")
        problems = []
        for path in states:
            try:
                status = self._checkpoint.restore(path)
                status.assert_existing_objects_matched()
            except _UNREADABLE as error:
                problems.append(f"{path}: damaged or of another model ({_reason(error)})")
                continue
            if problems:
                log.warning("%s; taking %s, step %d", problems[0], path, self._state.step)
            self.saved_step = self._state.step
            return
        raise InputError(problems[0])

    def _begin(self) -> None:
        """Folder and input of this run: a restart may have changed all but the model."""
        self.path.mkdir(parents=True, exist_ok=True)
        state = self._state
        content = {"version": __version__, "data": state.data_checksum, "input": state.config}
        with atomic_path(self.path / _INPUT) as temporary:
            temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
        self._begun = True

    def _remove_leftovers(self) -> None:
        """What a killed run was writing: states that no `checkpoint` names."""
        known = {Path(path).name for path in self._manager.checkpoints}
        for path in self.path.iterdir():
            match = _STATE_FILE.fullmatch(path.name)
            if match is None or match[1] in known:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        for path in self.path.glob("checkpoint.tmp*"):
            path.unlink(missing_ok=True)


def _numbered(name: str, each: list) -> dict:
    """All but the first under names of their own: name_2 and so on."""
    return {f"{name}_{number}": one for number, one in enumerate(each[1:], 2)}


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def read_checkpoint_input(path: str | Path) -> tuple[dict, str]:
    """What is stored with checkpoints: the completed input and the checksum of the training data.

    Keys newer than the checkpoints get their defaults.

    Raises
    ------
    InputError
        `path` is not a checkpoint folder, or of another version of the format.
    """
    file = Path(path) / _INPUT
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        content["input"]["training"].setdefault("numb_models", 1)  # there was no other number
        complete_model_of_before(content["input"]["model"])
        return complete_input(content["input"], str(file)), str(content.get("data", _UNKNOWN))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{path}: found no {_INPUT} there, expected the checkpoint folder of a training "
            "(one that has none yet starts without --restart)"
        ) from None
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise InputError(f"{file}: damaged ({_reason(error)})") from None


def load_state(path: str | Path) -> TrainingState:
    """Rebuild a training's last state from its checkpoint folder alone."""
    state = TrainingState(*read_checkpoint_input(path))
    CheckpointFolder(path, state).restore()
    return state
