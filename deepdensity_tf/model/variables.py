"""Variables of a model by name, and their way to a model of other elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from deepdensity_tf.model.density_model import DensityModel
from deepdensity_tf.utils.errors import InputError


def variables_by_path(model: tf.Module) -> dict[str, tf.Variable]:
    """All variables, named by the attributes that lead to them ("fitting/_gates/layers/0/bias")."""
    found = model._flatten(predicate=lambda x: isinstance(x, tf.Variable), with_path=True)
    return {"/".join(map(str, path)): variable for path, variable in found}


def variable_nodes(model: DensityModel, function) -> dict[str, str]:
    """Nodes of a frozen graph that hold the variables, by the variables' names.

    Parameters
    ----------
    model : DensityModel
        Whose variables they are.
    function : ConcreteFunction
        What is frozen: constants get the names of its captured inputs.
    """
    paths = {id(variable.handle): path for path, variable in variables_by_path(model).items()}
    return {
        paths[id(outer)]: inner.op.name
        for outer, inner in function.graph.captures
        if id(outer) in paths
    }


def assign_variables(
    model: DensityModel, values: Mapping[str, np.ndarray], type_map: Sequence[str], source: str
) -> None:
    """Give a model the variables of another one, which may know other elements.

    What belongs to an element follows it; what is of no element of the other model stays as in a
    fresh model that knows the elements of both.

    Parameters
    ----------
    model : DensityModel
        Changed in place.
    values : mapping
        Variables of the other model by name; those that are not there stay.
    type_map : sequence of str
        Its elements.
    source : str
        Where it came from, for messages.

    Raises
    ------
    InputError
        Another model than for its elements.
    """
    union = [*type_map, *(name for name in model.type_map if name not in type_map)]
    place = [union.index(name) for name in model.type_map]
    # One type more than both: what has another shape now is kept for each type.
    fresh = variables_by_path(_of_types(model, [*union, "?"]))
    for path, variable in variables_by_path(model).items():
        if path not in values:
            continue
        value, whole = values[path], fresh[path].numpy()
        if whole.shape != tuple(variable.shape):
            if value.shape != (len(type_map), *variable.shape[1:]):
                raise _other_model(source, path, value.shape, variable.shape)
            whole[: len(type_map)] = value
            value = whole[place]
        if value.shape != tuple(variable.shape):
            raise _other_model(source, path, value.shape, variable.shape)
        variable.assign(value)


def _of_types(model: DensityModel, type_map: list[str]) -> DensityModel:
    """A fresh model like another one, of other elements."""
    config = {**model.config, "type_map": type_map}
    if config["electrons"]:
        config["electrons"] = [1.0] * len(type_map)
    return DensityModel(config)


def _other_model(source: str, path: str, found, expected) -> InputError:
    return InputError(
        f"{source}: its model differs from section model of the input ({path} has shape "
        f"{tuple(found)}, expected {tuple(expected)})"
    )
