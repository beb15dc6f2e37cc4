"""Training that starts from a model: its weights, its section of the input, its learning rate."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deepdensity_tf.infer.graph_def import read_graph
from deepdensity_tf.model.augmentation import AugmentationHead
from deepdensity_tf.model.variables import assign_variables, variables_by_path
from deepdensity_tf.schema import complete_model_of_before
from deepdensity_tf.train.checkpoint import TrainingState, load_state
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.graph_names import COMPRESSION, TRAINING_SCRIPT, VARIABLES
from deepdensity_tf.utils.shipped import model_path

log = logging.getLogger(__name__)

# A model that is nearly right already is not shaken as a fresh one is.
FINETUNE_RATE = {"start_lr": 1e-3, "stop_lr": 1e-4}

_HEAD = "augmentation/"  # where the variables of PAW occupancies are in a model


@dataclass(frozen=True)
class Pretrained:
    """A trained model.

    Parameters
    ----------
    name : str
        Where it came from.
    model : dict
        Its section of the input, completed.
    values : dict
        Its variables by name (`model.variables`).
    """

    name: str
    model: dict
    values: dict[str, np.ndarray]

    @property
    def elements_seen(self) -> set[str]:
        """Elements it was trained on."""
        pairs = zip(self.model["type_map"], self.values["seen"], strict=True)
        return {name for name, (atoms, _) in pairs if atoms}

    def assign_to(self, state: TrainingState) -> None:
        """Make its weights, baseline and statistics the start of a training.

        Raises
        ------
        InputError
            Another model than for its elements.
        """
        values = self.values
        head = state.model.augmentation
        if head is not None and self.model["augmentation"] and not self._fits(head):
            log.warning(
                "%s: its PAW occupancies have other channels than those of the input; they are "
                "learned anew",
                self.name,
            )
            values = {name: v for name, v in values.items() if not name.startswith(_HEAD)}
        assign_variables(state.model, values, self.model["type_map"], self.name)
        pairs = zip(state.average, state.trained, strict=True)
        for average, variable in pairs:
            average.assign(variable)

    def _fits(self, head: AugmentationHead) -> bool:
        """Whether a head for PAW occupancies has this model's shapes but for its elements."""
        return all(
            self.values[f"{_HEAD}{name}"].shape[1:] == tuple(variable.shape[1:])
            for name, variable in variables_by_path(head).items()
        )

    def join_channels(self, model: dict) -> None:
        """To the PAW occupancies that a section `model` takes from the data: this model's too."""
        if model["augmentation"] is True and self.model["augmentation"]:
            model["augmentation"] = self.model["augmentation"]

    def complete(self, data: dict) -> dict:
        """An input with this model, of the elements that the input names, to be fine-tuned.

        Parameters
        ----------
        data : dict
            What the user wrote; its section `model` counts for type_map and electrons alone, and
            for augmentation where this model has none.

        Raises
        ------
        InputError
            Elements without a number of electrons, where the model conserves electrons.
        """
        given = data.get("model", {})
        if not isinstance(given, dict):
            return data
        model = {**self.model, "type_map": given.get("type_map", self.model["type_map"])}
        if self.model["electrons"]:
            model["electrons"] = given.get("electrons") or self._electrons(model["type_map"])
        if not self.model["augmentation"] and given.get("augmentation"):
            model["augmentation"] = given["augmentation"]  # a head that is new
        others = [key for key in _differences(given, model) if not key.startswith("_")]
        if others:
            log.warning("model.%s: as in %s, not as in the input", ", ".join(others), self.name)
        rate = data.get("learning_rate", {})
        if isinstance(rate, dict):
            rate = {**FINETUNE_RATE, **rate}
        run = data.get("training", {})
        if isinstance(run, dict):
            # What it knows and the few frames do not ask for is not to be forgotten.
            run = {"weight_decay": 0.0, **run}
        return {**data, "model": model, "learning_rate": rate, "training": run}

    def _electrons(self, type_map: list[str]) -> list[float]:
        known = dict(zip(self.model["type_map"], self.model["electrons"], strict=True))
        unknown = [name for name in type_map if name not in known]
        if unknown:
            raise InputError(
                f"{self.name}: conserves electrons and does not know {', '.join(unknown)}; give "
                "model.electrons, a number for each type of model.type_map"
            )
        return [known[name] for name in type_map]


def load_pretrained(path: str) -> Pretrained:
    """A model from a checkpoint folder, with the weights that would be frozen, or a frozen one.

    Of a frozen ensemble the first member is taken; a model of the package goes by its name.

    Raises
    ------
    InputError
        Neither; a frozen model that is compressed or does not name its variables.
    """
    file = model_path(path)
    if file.is_file():
        return _frozen(str(file))
    state = load_state(path)
    state.take_result()
    values = {name: v.numpy() for name, v in variables_by_path(state.model).items()}
    return Pretrained(path, dict(state.model.config), values)


def _frozen(path: str) -> Pretrained:
    nodes = {node.name: node for node in read_graph(Path(path)).node}
    if COMPRESSION in nodes:
        raise InputError(f"{path}: is compressed, expected the model that it was made of")

    def value(name: str) -> Any:
        return tf.make_ndarray(nodes[name].attr["value"].tensor)

    try:
        script = json.loads(value(TRAINING_SCRIPT).item())
        named = json.loads(value(VARIABLES).item())
        values = {variable: value(node) for variable, node in named.items()}
        complete_model_of_before(script["model"])
        # They had radial functions of each type, too, and no key to say so.
        fitting = script["model"]["fitting_net"]
        if fitting["type"] == "expansion":
            fitting.setdefault("radial_per_type", "fitting/_radial/weight" in values)
        return Pretrained(path, script["model"], values)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be trained further ({error} missing or damaged), expected a model of "
            "this version's dd-tf freeze, or a checkpoint folder"
        ) from None


def _differences(given: dict, taken: dict, path: str = "") -> Iterator[str]:
    """Keys that were given and have another value in what is taken."""
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(taken.get(key), dict):
            yield from _differences(value, taken[key], f"{path}{key}.")
        elif key not in taken or taken[key] != value:
            yield f"{path}{key}"
