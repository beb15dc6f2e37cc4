"""From a trained model to a frozen graph: the contract with other codes.

Inputs t_coord, t_type, t_box, t_point; outputs o_density, o_density_grad (with spin also
o_spin_density, with fitting type expansion o_electrons and the density on parts of grids, else
o_neighbors, the number of atoms within reach of each point; with several models o_deviation and
o_atom_deviation, percent; with PAW occupancies o_augmentation, with spin too o_spin_augmentation);
metadata under model_attr/ and train_attr/. The tensors under atom_state/ depend on the atoms alone:
whoever evaluates many points of one frame in chunks fetches them once and feeds them with every
chunk.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from deepdensity_tf import __version__
from deepdensity_tf.model.density_model import AtomState, Batch, DensityModel
from deepdensity_tf.model.ensemble import RADIUS, deviation, mean_state
from deepdensity_tf.model.variables import variable_nodes, variables_by_path
from deepdensity_tf.utils import graph_names, ops
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path
from deepdensity_tf.utils.foreign_graph import graph_fault
from deepdensity_tf.utils.signed_types import number_of_types

MODEL_VERSION = "1.0"

# Pairs of a point and an atom that fit in memory at once: a net for each pair needs some kB;
# without nets no pairs are held.
_MAX_PAIRS_NET = 60_000
_MAX_PAIRS_FUSED = 2**31 - 1
_GRID_POINTS = 2**20  # of a part of a grid, about


def freeze(
    models: DensityModel | Sequence[DensityModel],
    script: dict,
    path: str | Path,
    data_checksum: str = "unknown",
) -> None:
    """Write a model as one GraphDef file, variables folded in.

    Parameters
    ----------
    models : DensityModel or sequence of DensityModel
        With its final weights; several that `ensemble.check_members` takes become one, whose
        density is their mean.
    script : dict
        The completed input it was trained with.
    path : str or Path
        The file, e.g. frozen_model.pb; replaced only when complete.
    data_checksum : str
        What identifies the training data (`data.frames.data_checksum`).

    Raises
    ------
    InputError
        `path` cannot be written; a plug-in uses operations that no loader accepts.
    """
    models = [models] if isinstance(models, DensityModel) else models
    inputs = [
        tf.TensorSpec([None, None, 3], tf.float64, name="t_coord"),
        tf.TensorSpec([None], tf.int32, name="t_type"),
        tf.TensorSpec([None, 9], tf.float64, name="t_box"),
        tf.TensorSpec([None, None, 3], tf.float64, name="t_point"),
    ]
    if not models[0].fitting.per_pair:
        inputs += [
            tf.TensorSpec([3], tf.int32, name="t_grid_shape"),
            tf.TensorSpec([9], tf.float64, name="t_grid_box"),
            tf.TensorSpec([6], tf.int32, name="t_grid_part"),
        ]
    traced = tf.function(lambda *given: _outputs(models, *given), autograph=False)
    function = traced.get_concrete_function(*inputs)
    graph_def = convert_variables_to_constants_v2(function).graph.as_graph_def()
    graph_def.node.extend(constants(_attributes(models, script, data_checksum)))
    nodes = {"seen": graph_names.ELEMENTS_SEEN, **variable_nodes(models[0], function)}
    # What no output needs is pruned, and yet needed to train on.
    left = {node.name for node in graph_def.node}
    for name, variable in variables_by_path(models[0]).items():
        if nodes.get(name) not in left:
            nodes[name] = f"{graph_names.ATTRIBUTES}{name}"
            graph_def.node.extend(constants({nodes[name]: variable.numpy()}))
    graph_def.node.extend(constants({graph_names.VARIABLES: json.dumps(nodes)}))
    data = graph_def.SerializeToString(deterministic=True)
    fault = graph_fault(data)
    if fault:
        raise InputError(f"{path}: loading would say: {fault}; see utils/foreign_graph.py")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _outputs(models: Sequence[DensityModel], coord, atype, box, point, *grid):
    model = models[0]
    batch = flat_batch(coord, atype, box, point)
    ntypes = number_of_types(len(model.type_map), model.moments is not None)
    batch = batch._replace(atype=_checked_types(batch.atype, coord, ntypes))
    atoms = (batch.coord, batch.coord_splits, batch.atype, batch.box)
    states = [m.atom_state(*atoms) for m in models]
    state = mean_state(states) if len(states) > 1 else states[0]
    scope = graph_names.ATOM_STATE
    state = AtomState(*(tf.identity(x, name=f"{scope}/{n}") for n, x in state._asdict().items()))
    occupancies = _occupancy_outputs(models, states, batch.atype, coord)
    if model.fitting.per_pair:
        density = model.point_density(state, batch)
        gradient = tf.gradients(density[:, 0], batch.point)[0]
        neighbors = ops.neighbor_counts(batch, model.grid.rcut)
        neighbors = tf.reshape(neighbors, tf.shape(point)[:2], name="o_neighbors")
        return [*_named_outputs(density, gradient, point), neighbors, *occupancies]
    # One op, which holds no pairs, in place of pair lists and the sum over them.
    density = ops.density(batch, state.coef, model.grid.parameters)
    density = tf.ensure_shape(density, [None, model.ndensity])
    gradient = ops.density_gradient(batch, state.coef, model.grid.parameters)
    outputs = _named_outputs(density, gradient, point)
    outputs.append(tf.identity(state.electrons, name="o_electrons"))
    if len(states) > 1:
        names = ("o_deviation", "o_atom_deviation")
        spread = deviation(states, batch, model.grid.parameters)
        outputs += [tf.identity(x, name=n) for n, x in zip(names, spread, strict=True)]
    return outputs + occupancies + _grid_outputs(model, batch, state.coef, *grid)


def _occupancy_outputs(
    models: Sequence[DensityModel], states: Sequence[AtomState], atype, coord
) -> list[tf.Tensor]:
    """PAW occupancies (nframes, natoms, width), NaN behind the numbers of an element."""
    head = models[0].augmentation
    if head is None:
        return []
    members = [m.occupancies(s, atype).values for m, s in zip(models, states, strict=True)]
    mean = tf.ensure_shape(tf.add_n(members) / len(members), [None, head.nset, None])
    names = ("o_augmentation", "o_spin_augmentation")[: head.nset]
    shape = [*tf.unstack(tf.shape(coord)[:2]), head.width]
    sets = tf.unstack(mean, axis=1)
    return [tf.reshape(x, shape, name=name) for x, name in zip(sets, names, strict=True)]


def _grid_outputs(model: DensityModel, batch: Batch, coef, shape, box, part) -> list[tf.Tensor]:
    """Outputs on parts of a regular grid, whose points need not be listed; one frame at a time."""
    most = tf.constant(_GRID_POINTS, name="grid_points")
    parts = ops.grid_parts(shape, box, batch.coord, batch.box, model.grid.rcut, most)
    density = ops.density_on_grid(
        shape, part, box, batch.coord, batch.box, coef, model.grid.parameters
    )
    names = ("o_grid_density", "o_grid_spin_density")[: model.ndensity]
    outputs = [tf.identity(parts, name="o_grid_parts")]
    # Without spin a view of the same memory.
    columns = [density] if model.ndensity == 1 else tf.unstack(density, model.ndensity, axis=1)
    for name, column in zip(names, columns, strict=True):
        outputs.append(tf.reshape(column, [-1], name=name))
    return outputs


def flat_batch(coord, atype, box, point) -> Batch:
    """The graph's inputs as the model takes them: all frames one after the other."""
    nframes, natoms, npoints = tf.shape(coord)[0], tf.shape(coord)[1], tf.shape(point)[1]
    return Batch(
        coord=tf.reshape(coord, [-1, 3]),
        coord_splits=tf.range(nframes + 1) * natoms,
        atype=tf.tile(atype, [nframes]),
        box=box,
        point=tf.reshape(point, [-1, 3]),
        point_splits=tf.range(nframes + 1) * npoints,
    )


def _named_outputs(density, gradient, point) -> list[tf.Tensor]:
    """The graph's outputs from those of all points, in a row.

    Parameters
    ----------
    density, gradient : tf.Tensor
        (nframes npoints, ndensity) and (nframes npoints, 3).
    point : tf.Tensor
        t_point, (nframes, npoints, 3).
    """
    shape = tf.shape(point)
    outputs = [
        tf.reshape(density[:, 0], shape[:2], name="o_density"),
        tf.reshape(gradient, shape, name="o_density_grad"),
    ]
    if density.shape[1] == 2:
        outputs.append(tf.reshape(density[:, 1], shape[:2], name="o_spin_density"))
    return outputs


def _checked_types(atype, coord, ntypes: int):
    """The types of all frames' atoms; a wrong number or type is InvalidArgument."""
    checks = [
        tf.debugging.assert_equal(
            tf.shape(atype)[0],
            tf.shape(coord)[0] * tf.shape(coord)[1],
            message="t_type must hold one type for each atom of t_coord",
        ),
        tf.debugging.assert_non_negative(atype, message="t_type must not be negative"),
        tf.debugging.assert_less(
            atype, ntypes, message=f"t_type must be below the number of types, {ntypes}"
        ),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(atype)


def _attributes(models: Sequence[DensityModel], script: dict, data_checksum: str) -> dict:
    """The metadata by name."""
    model = models[0]
    attributes = {
        graph_names.TYPE_MAP: " ".join(model.type_map),
        graph_names.RCUT: float(max(m.rcut for m in models)),
        graph_names.RCUT_POINT: float(model.grid.rcut),
        graph_names.MODEL_TYPE: model.config["fitting_net"]["type"],
        graph_names.MODEL_VERSION: MODEL_VERSION,
        graph_names.PACKAGE_VERSION: __version__,
        graph_names.NPARAMETERS: sum(m.nparameters for m in models),
        # (ntypes, nspline)
        graph_names.BASELINE: np.mean([m.baseline.numpy()[:, 0] for m in models], axis=0),
        # (ntypes, 2), atoms and frames: what all members have seen
        graph_names.ELEMENTS_SEEN: np.min([m.seen.numpy() for m in models], axis=0),
        graph_names.MAX_PAIRS: _MAX_PAIRS_NET if model.fitting.per_pair else _MAX_PAIRS_FUSED,
        graph_names.TRAINING_SCRIPT: json.dumps(script),
        graph_names.DATA_CHECKSUM: data_checksum,
    }
    if model.augmentation is not None:
        attributes[graph_names.AUGMENTATION] = model.augmentation.channels.to_json()
    if model.moments is not None:
        attributes[graph_names.INITIAL_MAGMOM] = 1
    if len(models) > 1:
        attributes |= {graph_names.NMODELS: len(models), graph_names.DEVIATION_RADIUS: RADIUS}
    return attributes


def constants(values: dict) -> list:
    """Nodes of a graph that hold values by name; Python floats become float64."""
    graph = tf.Graph()
    with graph.as_default():
        for name, value in values.items():
            dtype = tf.float64 if isinstance(value, float) else None
            tf.constant(value, dtype, name=name)
    return list(graph.as_graph_def().node)
