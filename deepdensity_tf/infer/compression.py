"""Compression of a frozen model: tables in place of the nets of distances."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.graph_def import read_graph
from deepdensity_tf.infer.session import start_session
from deepdensity_tf.model.frozen import constants
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path
from deepdensity_tf.utils.graph_names import COMPRESSION, DISTANCE, EMBEDDING, KEPT, VALUES
from deepdensity_tf.utils.ops import interpolate
from deepdensity_tf.utils.shipped import model_path
from deepdensity_tf.utils.tf_graph import Graph

_BESIDE = 2  # nodes of a polynomial of degree five before the interval in which it is used
_RADIAL = 2  # place of the radial weights among the inputs of op/messages.cc
_WIDEST, _FINEST = 1 / 16, 1 / 1024  # Å; powers of two are exact in any precision


@dataclass(frozen=True)
class Compression:
    """What was done, and how large its errors are.

    Parameters
    ----------
    step : float
        Between the tables' nodes, Å.
    table_error : float
        Largest error of a tabulated net half-way between nodes, relative to its largest value.
    fused : bool
        The points are evaluated by one native op; only with fitting type expansion.
    """

    step: float
    table_error: float
    fused: bool


def compress(
    source: str | Path, target: str | Path, step: float | None = None, tolerance: float = 1e-6
) -> Compression:
    """Write a compressed copy of a frozen model, with the same tensors.

    Parameters
    ----------
    source, target : str or Path
        Frozen models; `target` is replaced only when complete.
    step : float, optional
        Width of the tables' intervals, Å. By default the widest power of two whose table error is
        below `tolerance`, or that which narrower ones improve no more (single precision).
    tolerance : float
        Relative error of the tables.

    Raises
    ------
    InputError
        `source` is not a frozen model or compressed already; a `step` that is not positive or
        wider than the cut-off.
    """
    model = DeepDensity(source)
    graph_def = read_graph(model_path(source))
    names = {node.name for node in graph_def.node}
    if COMPRESSION in names:
        raise InputError(f"{source}: is compressed already, expected a model of dd-tf freeze")
    if step is not None and not 0 < step <= model.rcut:
        raise InputError(f"step is {step} Å, expected more than 0 and at most {model.rcut} Å")
    scopes = sorted(n.removesuffix(f"/{VALUES}") for n in names if _is_embedding(n))
    nets = [_Net(graph_def, scope, model.rcut) for scope in scopes]
    step, errors = _choose_step(nets, step, tolerance)
    for net in nets:
        _put_table(graph_def, net, step)
    result = Compression(step, max(errors, default=0.0), "o_grid_parts" in names)
    graph_def = _pruned(graph_def)
    graph_def.node.extend(constants({COMPRESSION: json.dumps(asdict(result))}))
    with atomic_path(target) as temporary:
        temporary.write_bytes(graph_def.SerializeToString(deterministic=True))
    return result


def density_error(source: str | Path, target: str | Path, npoints: int = 4000) -> float:
    """Largest difference of two models' densities, relative to the mean density.

    The structure is made up: atoms of all types that the model has seen (or all, where that is not
    known) on a disordered lattice, 2.2 Å apart.
    """
    one, other = DeepDensity(source), DeepDensity(target)
    rng = np.random.default_rng(0)
    edge, spacing = 4, 2.2
    sites = np.indices((edge,) * 3).reshape(3, -1).T * spacing
    coord = sites + rng.normal(0, 0.15, sites.shape)
    box = spacing * edge * np.eye(3)
    seen = np.flatnonzero(one.elements_seen[:, 0])
    atype = rng.choice(seen if len(seen) else len(one.type_map), len(coord))
    points = rng.uniform(0, spacing * edge, (npoints, 3))
    expected = one.eval(coord, box, atype, points)
    found = other.eval(coord, box, atype, points)
    return float(np.abs(found - expected).max() / np.abs(expected).mean())


def _is_embedding(name: str) -> bool:
    scope, _, last = name.rpartition("/")
    return last == VALUES and scope.split("_")[0] == EMBEDDING


class _Net:
    """An embedding net of a frozen graph, as a function of the distance."""

    def __init__(self, graph_def: tf.compat.v1.GraphDef, scope: str, rcut: float):
        self.scope, self.rcut = scope, rcut
        part = tf.compat.v1.graph_util.extract_sub_graph(graph_def, [f"{scope}/{VALUES}"])
        graph = Graph(part.SerializeToString())
        operations = graph.operations()
        self._session = start_session(graph, operations)
        (self._distance,) = operations[f"{scope}/{DISTANCE}"]
        (self._values,) = operations[f"{scope}/{VALUES}"]
        self.dtype = self._distance.dtype

    def values(self, distance: np.ndarray) -> np.ndarray:
        """(n, nout) float64 at distances (n,) in Å."""
        feeds = [(self._distance, distance.astype(self.dtype))]
        return self._session.run([self._values], feeds)[0].astype(np.float64)

    def nodes(self, step: float) -> np.ndarray:
        """Values (n, nout) at multiples of the step, from `_BESIDE` before 0 to that far beyond the
        cut-off."""
        last = int(np.ceil(self.rcut / step)) + _BESIDE
        return self.values(step * np.arange(-_BESIDE, last + 1))

    def error(self, step: float) -> float:
        """Largest error half-way between nodes, relative to the largest value."""
        nodes = self.nodes(step)
        middles = np.arange(len(nodes) - 2 * _BESIDE - 1) + 0.5
        exact = self.values(step * middles)
        found = interpolate(middles + _BESIDE, nodes).numpy()
        return float(np.abs(found - exact).max() / np.abs(exact).max())


def _choose_step(nets: list[_Net], step: float | None, tolerance: float) -> tuple:
    """The step and the nets' table errors with it."""
    if step is not None or not nets:
        step = step or _WIDEST
        return step, [net.error(step) for net in nets]
    step = _WIDEST
    errors = [net.error(step) for net in nets]
    while max(errors) > tolerance and step > _FINEST:
        finer = [net.error(step / 2) for net in nets]
        if max(finer) > 0.7 * max(errors):
            break
        step, errors = step / 2, finer
    return step, errors


def _put_table(graph_def: tf.compat.v1.GraphDef, net: _Net, step: float) -> None:
    """Make the net's output the look-up in a table; what it needed no more is cut off later."""

    def named(name: str) -> str:
        return f"{net.scope}/{name}"

    values = {"nodes": net.nodes(step), "per_step": 1 / step, "first": _BESIDE}
    graph_def.node.extend(
        constants({named(key): np.asarray(value, net.dtype) for key, value in values.items()})
    )
    (node,) = [node for node in graph_def.node if node.name == named(VALUES)]
    for op, name, *inputs in (
        ("Mul", "steps", DISTANCE, "per_step"),
        ("AddV2", "place", "steps", "first"),
    ):
        added = graph_def.node.add(op=op, name=named(name), input=map(named, inputs))
        added.attr["T"].CopyFrom(node.attr["T"])
    node.op = "DdInterpolate"
    node.input[:] = [named("place"), named("nodes")]
    for gather in (other for other in graph_def.node if _gathers(other, node.name)):
        gather.op = "DdGatherBetween"
        gather.input[_RADIAL] = named("place")
        gather.input.append(named("nodes"))


def _gathers(node: tf.compat.v1.NodeDef, values: str) -> bool:
    """Whether a node sums messages whose radial weights are these values."""
    return node.op == "DdGather" and node.input[_RADIAL] == values


def _pruned(graph_def: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The graph without what the nets in front of the tables needed."""
    names = [node.name for node in graph_def.node if node.name.startswith(KEPT)]
    return tf.compat.v1.graph_util.extract_sub_graph(graph_def, names)
