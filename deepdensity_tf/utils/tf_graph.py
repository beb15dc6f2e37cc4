"""Graphs, sessions and tensors of TensorFlow with NumPy arrays in and out, on its C interface."""

from __future__ import annotations

import contextlib
import ctypes
import math
import weakref
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from deepdensity_tf.utils.tf_library import Buffer, Output, TensorFlowError, call, tensorflow

_STRING = 7
_STRING_SIZE = 24  # of a TF_TString, bytes
# TF_DataType by NumPy's names; types that NumPy does not have are not for feeds and fetches.
_TYPES = {
    **{"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "object": 7},
    **{"complex64": 8, "int64": 9, "bool": 10, "uint16": 17, "complex128": 18, "float16": 19},
    **{"uint32": 22, "uint64": 23},
}
_DTYPES = {number: np.dtype(name) for name, number in _TYPES.items()}


class Tensor(NamedTuple):
    """What a graph says of an output.

    Parameters
    ----------
    output : Output
        The output itself.
    dtype : np.dtype or None
        Object: texts; None: a type that NumPy does not have.
    shape : tuple of int or None
        -1: a length not known before it runs; None: not even the number of axes is.
    """

    output: Output
    dtype: np.dtype | None
    shape: tuple[int, ...] | None

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether values of a shape may be fed here."""
        if self.shape is None:
            return True
        pairs = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(n in (-1, m) for n, m in pairs)


class Graph:
    """A graph; it goes when nobody holds it.

    Parameters
    ----------
    graph_def : bytes
        A serialized GraphDef.

    Raises
    ------
    TensorFlowError
        It is none, or TensorFlow does not take it.
    """

    def __init__(self, graph_def: bytes = b""):
        library = tensorflow()
        self.handle = library.TF_NewGraph()
        _finally(self, library.TF_DeleteGraph, self.handle)
        buffer = Buffer(graph_def, len(graph_def), None)
        options = library.TF_NewImportGraphDefOptions()
        try:
            call("TF_GraphImportGraphDef", self.handle, ctypes.byref(buffer), options)
        finally:
            library.TF_DeleteImportGraphDefOptions(options)

    def operations(self) -> dict[str, tuple[Tensor, ...]]:
        """The outputs of all operations, by name."""
        library = tensorflow()
        position = ctypes.c_size_t(0)
        found = {}
        while operation := library.TF_GraphNextOperation(self.handle, ctypes.byref(position)):
            name = library.TF_OperationName(operation).decode(errors="replace")
            found[name] = self._outputs(operation)
        return found

    def add(
        self, kind: str, name: str, inputs: Sequence[Tensor] = (), **attributes: np.dtype | bool
    ) -> tuple[Tensor, ...]:
        """A further operation: its outputs."""
        library = tensorflow()
        description = library.TF_NewOperation(self.handle, kind.encode(), name.encode())
        for tensor in inputs:
            library.TF_AddInput(description, tensor.output)
        for key, value in attributes.items():
            if isinstance(value, bool):
                library.TF_SetAttrBool(description, key.encode(), value)
            else:
                library.TF_SetAttrType(description, key.encode(), _TYPES[value.name])
        return self._outputs(call("TF_FinishOperation", description))

    def _outputs(self, operation: int) -> tuple[Tensor, ...]:
        count = tensorflow().TF_OperationNumOutputs(operation)
        return tuple(self._tensor(Output(operation, k)) for k in range(count))

    def _tensor(self, output: Output) -> Tensor:
        dtype = _DTYPES.get(tensorflow().TF_OperationOutputType(output))
        axes = call("TF_GraphGetTensorNumDims", self.handle, output)
        if axes < 0:
            return Tensor(output, dtype, None)
        lengths = (ctypes.c_int64 * axes)()
        call("TF_GraphGetTensorShape", self.handle, output, lengths, axes)
        return Tensor(output, dtype, tuple(lengths))


class Session:
    """Runs a graph, from several threads at a time if asked to; it goes when nobody holds it.

    Parameters
    ----------
    graph : Graph
        No operations may be added while it runs.
    config : bytes
        A serialized ConfigProto.
    """

    def __init__(self, graph: Graph, config: bytes = b""):
        library = tensorflow()
        options = library.TF_NewSessionOptions()
        try:
            call("TF_SetConfig", options, config, len(config))
            self._handle = call("TF_NewSession", graph.handle, options)
        finally:
            library.TF_DeleteSessionOptions(options)
        self._graph = graph
        _finally(self, _end_session, self._handle)

    def run(
        self, fetches: Sequence[Tensor], feeds: Sequence[tuple[Tensor, np.ndarray]] = ()
    ) -> list:
        """The values of tensors, given those of others.

        Parameters
        ----------
        fetches : sequence of Tensor
            What is wanted.
        feeds : sequence of (Tensor, np.ndarray)
            Values of the tensors' types and shapes.

        Returns
        -------
        list of np.ndarray or bytes
            Arrays of their own memory; a single text is bytes.

        Raises
        ------
        TensorFlowError
            An operation failed.
        TypeError
            A tensor of a type that NumPy does not have.
        """
        names = (Output * len(feeds))(*(tensor.output for tensor, _ in feeds))
        wanted = (Output * len(fetches))(*(tensor.output for tensor in fetches))
        found = (ctypes.c_void_p * len(fetches))()
        with _given([values for _, values in feeds]) as given, _deleted(found):
            counted = (names, given, len(feeds), wanted, found, len(fetches))
            call("TF_SessionRun", self._handle, None, *counted, None, 0, None)
            values = []
            for k in range(len(fetches)):
                handle, found[k] = found[k], None
                values.append(_value(handle))
            return values


def _finally(owner: object, function, handle: int) -> None:
    """Call a function when an object goes; where the process ends there is nothing to tidy."""
    weakref.finalize(owner, function, handle).atexit = False


def _end_session(handle: int) -> None:
    for name in ("TF_CloseSession", "TF_DeleteSession"):
        with contextlib.suppress(TensorFlowError):
            call(name, handle)


@contextlib.contextmanager
def _given(arrays: Sequence[np.ndarray]) -> Iterator[ctypes.Array]:
    """Tensors with the values of arrays."""
    handles = (ctypes.c_void_p * len(arrays))()
    with _deleted(handles):
        for k, array in enumerate(arrays):
            handles[k] = _tensor_of(array)
        yield handles


@contextlib.contextmanager
def _deleted(handles: ctypes.Array) -> Iterator[None]:
    """Delete the tensors that an array holds at the end."""
    try:
        yield
    finally:
        for handle in filter(None, handles):
            tensorflow().TF_DeleteTensor(handle)


def _tensor_of(array: np.ndarray) -> int:
    """A tensor with a copy of an array.

    A view would be copied all the same: TensorFlow wants memory at a multiple of 64 bytes, and that
    of large arrays lies 16 bytes behind one.
    """
    number = _TYPES.get(array.dtype.name)
    if number is None or number == _STRING:
        raise TypeError(f"arrays of {array.dtype} cannot be fed")
    array = np.ascontiguousarray(array).reshape(array.shape)  # it gives scalars an axis
    lengths = (ctypes.c_int64 * array.ndim)(*array.shape)
    library = tensorflow()
    handle = library.TF_AllocateTensor(number, lengths, array.ndim, array.nbytes)
    if not handle:
        raise MemoryError
    if array.nbytes:
        ctypes.memmove(library.TF_TensorData(handle), array.ctypes.data, array.nbytes)
    return handle


def _value(handle: int):
    """The value of a tensor, which is taken over."""
    owned = _Owned(handle)
    number = tensorflow().TF_TensorType(handle)
    dtype = _DTYPES.get(number)
    if dtype is None:
        raise TypeError("a tensor of a type that NumPy does not have")
    if number == _STRING:
        texts = owned.texts()
        return texts if owned.shape else texts.item()
    if 0 in owned.shape:
        return np.empty(owned.shape, dtype)
    owned.__array_interface__ = {
        "version": 3,
        "shape": owned.shape,
        "typestr": dtype.str,
        "data": (owned.data, False),
    }
    array = np.asarray(owned)  # it holds `owned`, and so the memory
    # A constant of the graph is not the caller's to change.
    return array if tensorflow().TF_TensorMaybeMove(handle) else array.copy()


class _Owned:
    """A tensor's memory, which goes with the last array that looks at it."""

    __array_interface__: dict

    def __init__(self, handle: int):
        library = tensorflow()
        _finally(self, library.TF_DeleteTensor, handle)
        axes = library.TF_NumDims(handle)
        self.shape = tuple(library.TF_Dim(handle, axis) for axis in range(axes))
        self.data = library.TF_TensorData(handle)

    def texts(self) -> np.ndarray:
        """The texts of a string tensor: an array of bytes objects."""
        library = tensorflow()
        texts = np.empty(math.prod(self.shape), object)
        for k in range(len(texts)):
            text = self.data + k * _STRING_SIZE
            size = library.TF_StringGetSize(text)
            texts[k] = ctypes.string_at(library.TF_StringGetDataPointer(text), size)
        return texts.reshape(self.shape)
