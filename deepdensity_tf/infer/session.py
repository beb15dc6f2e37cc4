"""A frozen graph in a TensorFlow session; what op/c_api/session.cc is in C++."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Container
from pathlib import Path

import numpy as np

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.foreign_graph import graph_fault, read_model_file
from deepdensity_tf.utils.op_library import load_op_library, native
from deepdensity_tf.utils.tf_graph import Graph, Session, Tensor
from deepdensity_tf.utils.tf_library import RESOURCE_EXHAUSTED, TensorFlowError

_MAX_ELEMENTS = 2**31  # of one tensor
# ConfigProto{graph_options{rewrite_options{...}}}, as in C++, so that both have the same numbers.
_REWRITTEN_ONCE = b"R\x04R\x02`\x01"  # meta_optimizer_iterations: ONE
_AS_IT_IS = b"R\x05R\x03\x98\x01\x01"  # disable_meta_optimizer: true
_INTRA_OP_THREADS = b"\x10"  # intra_op_parallelism_threads; the number follows
_MEMBERS = 4  # of an ensemble, mostly


class GraphSession:
    """The graph of a file, ready to run; errors name the file.

    Parameters
    ----------
    path : Path
        A frozen graph.

    Attributes
    ----------
    operations : dict of str to tuple of Tensor
        The outputs of operations, by name.

    Raises
    ------
    InputError
        Missing file, no graph, or one that does more than compute.
    """

    def __init__(self, path: Path):
        load_op_library()
        self.path = path
        try:
            graph = Graph(checked_graph(path))
        except TensorFlowError as error:
            raise InputError(f"{path}: not a usable graph ({error.own_message})") from None
        self.operations = graph.operations()
        self._check_shapes()
        self._session = start_session(graph, self.operations)

    def __contains__(self, name: str) -> bool:
        return name in self.operations

    def run(self, names, feeds: dict):
        """The tensor or tensors of these names."""
        if isinstance(names, str):
            return self.run([names], feeds)[0]
        fetches = [self._tensor(name) for name in names]
        given = [self._fed(name, value) for name, value in feeds.items()]
        try:
            return self._session.run(fetches, given)
        except TensorFlowError as error:
            if error.code == RESOURCE_EXHAUSTED:
                raise MemoryError(f"{self.path}: a chunk of points; give fewer max_pairs") from None
            raise InputError(f"{self.path}: {error.own_message}") from None
        except TypeError as error:
            raise InputError(f"{self.path}: {error}") from None

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
        if np.shape(values) != shape:
            raise InputError(
                f"{self.path}: {name} has shape {np.shape(values)}, expected {tuple(shape)}"
            )
        return values

    def _tensor(self, name: str) -> Tensor:
        operation, _, index = name.partition(":")
        outputs = self.operations.get(operation, ())
        if int(index) >= len(outputs):
            raise InputError(
                f"{self.path}: has no tensor {operation}, expected a model frozen by dd-tf freeze"
            )
        return outputs[int(index)]

    def _fed(self, name: str, value) -> tuple[Tensor, np.ndarray]:
        """What a tensor is given; a damaged graph may not take it."""
        tensor = self._tensor(name)
        try:
            array = np.asarray(value, tensor.dtype)
        except (ValueError, TypeError) as error:
            raise InputError(f"{self.path}: {name}: {error}") from None
        if not tensor.takes(array.shape):
            raise InputError(
                f"{self.path}: {name} of shape {tensor.shape} does not take {array.shape}"
            )
        return tensor, array

    def constant(self, name: str):
        """A value that needs no feeds, as the graph holds it."""
        try:
            return self._session.run([self._tensor(f"{name}:0")])[0]
        except TensorFlowError as error:
            raise InputError(f"{self.path}: {name} cannot be read ({error.own_message})") from None
        except TypeError as error:
            raise InputError(f"{self.path}: {name} cannot be read ({error})") from None

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
        for name, outputs in self.operations.items():
            for tensor in outputs:
                if math.prod(max(n, 1) for n in tensor.shape or ()) > _MAX_ELEMENTS:
                    raise InputError(
                        f"{self.path}: refused: makes a shape of more than {_MAX_ELEMENTS} "
                        f"elements (node '{name}')"
                    )


def start_session(graph: Graph, operations: Container[str]) -> Session:
    """A session that rewrites a graph of these operations no more than is worth it.

    A net for each pair of a point and an atom (`o_neighbors`) gains a sixth; the second round of
    rewriting finds nothing in these graphs and takes as long as the first, for each tensor that is
    asked for. Other models gain nothing.

    Members of an ensemble (`o_deviation`) are worked on at once: an operation that takes all cores
    waits for those of others. Each gets a share.
    """
    config = _REWRITTEN_ONCE if "o_neighbors" in operations else _AS_IT_IS
    if "o_deviation" not in operations:
        return Session(graph, config)
    # Else the first session of the process would settle the threads of all TensorFlow in it.
    os.environ.setdefault("TF_OVERRIDE_GLOBAL_THREADPOOL", "1")
    share = max(1, native().deepdensity_num_threads() // _MEMBERS)
    return Session(graph, config + _INTRA_OP_THREADS + bytes([min(share, 127)]))


def checked_graph(path: Path) -> bytes:
    """The graph in a file; InputError where there is none, or one that does more than compute."""
    data = read_model_file(path)
    fault = graph_fault(data)
    if fault:
        raise InputError(f"{path}: {fault}")
    return data
