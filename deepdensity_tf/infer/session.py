"""A frozen graph in a TensorFlow session; what op/c_api/session.cc is in C++."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from deepdensity_tf.utils import ops
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.foreign_graph import graph_fault, read_model_file

_MAX_ELEMENTS = 2**31  # of one tensor


class GraphSession:
    """The graph of a file, ready to run; errors name the file.

    Parameters
    ----------
    path : Path
        A frozen graph.

    Attributes
    ----------
    operations : dict of str to tf.Operation
        By name.

    Raises
    ------
    InputError
        Missing file, no graph, or one that does more than compute.
    """

    def __init__(self, path: Path):
        ops.library()
        self.path = path
        graph_def = read_graph(path)
        graph = tf.Graph()
        with graph.as_default():
            try:
                tf.import_graph_def(graph_def, name="")
            except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
                raise InputError(
                    f"{path}: not a usable graph ({str(error).splitlines()[0]})"
                ) from None
        self.operations = {operation.name: operation for operation in graph.get_operations()}
        self._check_shapes()
        self._session = start_session(graph)

    def __contains__(self, name: str) -> bool:
        return name in self.operations

    def run(self, names, feeds: dict):
        """The tensor or tensors of these names."""
        try:
            return self._session.run(names, feeds)
        except tf.errors.ResourceExhaustedError:
            raise MemoryError(f"{self.path}: a chunk of points; give fewer max_pairs") from None
        except (tf.errors.OpError, ValueError, TypeError) as error:
            # Also feeds whose shape a damaged graph does not take.
            reason = ops.own_message(error) if isinstance(error, tf.errors.OpError) else error
            raise InputError(f"{self.path}: {reason}") from None

    def shaped(self, name: str, feeds: dict, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor that must have the given shape."""
        return self._of_shape(name, self.run(name, feeds), shape)

    def shaped_together(
        self, names: list[str], feeds: dict, shapes: list[tuple[int, ...]]
    ) -> list[np.ndarray]:
        """Tensors of one run, which must have the given shapes."""
        found = self.run(names, feeds)
        return [self._of_shape(*item) for item in zip(names, found, shapes, strict=True)]

    def _of_shape(self, name: str, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if values.shape != shape:
            raise InputError(
                f"{self.path}: {name} has shape {values.shape}, expected {tuple(shape)}"
            )
        return values

    def constant(self, name: str):
        """A value that needs no feeds, as the graph holds it."""
        try:
            return self._session.run(f"{name}:0")
        except (KeyError, ValueError, TypeError):
            raise InputError(
                f"{self.path}: has no tensor {name}, expected a model frozen by dd-tf freeze"
            ) from None
        except tf.errors.OpError as error:
            raise InputError(
                f"{self.path}: {name} cannot be read ({ops.own_message(error)})"
            ) from None

    def text(self, name: str) -> str:
        """A constant that is a text."""
        value = self.constant(name)
        if not isinstance(value, bytes):
            raise InputError(f"{self.path}: {name} is no text, expected a model of dd-tf freeze")
        return value.decode(errors="replace")

    def number(self, name: str) -> float:
        """A constant that is a number above 0."""
        value = np.asarray(self.constant(name))
        if value.shape or value.dtype.kind not in "fiu" or not 0 < value < np.inf:
            raise InputError(f"{self.path}: {name} is {value}, expected a positive number")
        return float(value)

    def mapping(self, name: str, key: str, kind: type) -> dict:
        """A constant that is a JSON mapping with at least `key`, of the given kind."""
        text = self.text(name)
        try:
            mapping = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            mapping = None
        if not isinstance(mapping, dict) or not isinstance(mapping.get(key), kind):
            raise InputError(f"{self.path}: {name} is damaged, expected a mapping with {key!r}")
        return mapping

    def _check_shapes(self) -> None:
        """Refuse shapes on which TensorFlow may end the process; as in C++."""
        for name, operation in self.operations.items():
            for output in operation.outputs:
                dims = output.shape.as_list() if output.shape.rank is not None else []
                if math.prod(max(n or 1, 1) for n in dims) > _MAX_ELEMENTS:
                    raise InputError(
                        f"{self.path}: refused: makes a shape of more than {_MAX_ELEMENTS} "
                        f"elements (node '{name}')"
                    )


def start_session(graph: tf.Graph) -> tf.compat.v1.Session:
    """A session that rewrites a graph no more than is worth it.

    A net for each pair of a point and an atom (`o_neighbors`) gains a sixth; the second round of
    rewriting finds nothing in these graphs and takes as long as the first, for each tensor that is
    asked for. Other models gain nothing. As in C++, so that both have the same numbers.
    """
    config = tf.compat.v1.ConfigProto()
    options = config.graph_options.rewrite_options
    if any(operation.name == "o_neighbors" for operation in graph.get_operations()):
        options.meta_optimizer_iterations = RewriterConfig.ONE
    else:
        options.disable_meta_optimizer = True
    return tf.compat.v1.Session(graph=graph, config=config)


def read_graph(path: Path) -> tf.compat.v1.GraphDef:
    """The graph in a file; InputError where there is none, or one that does more than compute."""
    data = read_model_file(path)
    fault = graph_fault(data)
    if fault:
        raise InputError(f"{path}: {fault}")
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(data)
    except DecodeError:
        raise InputError(f"{path}: not a graph or truncated, expected a frozen model") from None
    return graph
