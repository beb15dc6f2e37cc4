"""TensorFlow's C interface (tensorflow/c/c_api.h) by ctypes: native libraries without Python.

These libraries load in a tenth of the time of `import tensorflow`. They are the files that module
loads too: a process that uses both has one TensorFlow, whichever came first.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_ubyte, c_void_p

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.log import quiet_tensorflow
from deepdensity_tf.utils.native import tensorflow_folder

_LIBRARY = "libtensorflow_cc.so.2"  # it brings libtensorflow_framework.so.2

RESOURCE_EXHAUSTED = 8


class Output(ctypes.Structure):
    """TF_Output: an operation and the number of its output."""

    _fields_ = (("operation", c_void_p), ("index", c_int))


class Buffer(ctypes.Structure):
    """TF_Buffer: bytes owned elsewhere."""

    _fields_ = (("data", c_char_p), ("length", c_size_t), ("deallocator", c_void_p))


class TensorFlowError(Exception):
    """A status that is not OK.

    Parameters
    ----------
    code : int
        TF_Code.
    message : str
        All that TensorFlow says.
    """

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def own_message(self) -> str:
        """The operation's own line, without where it arose; as op/c_api/session.cc."""
        _, several, first = self.message.partition("\n  (0) ")  # "2 root error(s) found."
        if not several:
            return _first_line(self.message)
        line = _first_line(first)
        return line.partition(": ")[2] or line


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]


# Result and arguments; those of the second table get a status as last one.
_PLAIN = {
    "TF_Version": (c_char_p,),
    "TF_NewStatus": (c_void_p,),
    "TF_DeleteStatus": (None, c_void_p),
    "TF_GetCode": (c_int, c_void_p),
    "TF_Message": (c_char_p, c_void_p),
    "TF_DeleteLibraryHandle": (None, c_void_p),
    "TF_NewGraph": (c_void_p,),
    "TF_DeleteGraph": (None, c_void_p),
    "TF_NewImportGraphDefOptions": (c_void_p,),
    "TF_DeleteImportGraphDefOptions": (None, c_void_p),
    "TF_GraphNextOperation": (c_void_p, c_void_p, POINTER(c_size_t)),
    "TF_NewOperation": (c_void_p, c_void_p, c_char_p, c_char_p),
    "TF_AddInput": (None, c_void_p, Output),
    "TF_SetAttrBool": (None, c_void_p, c_char_p, c_ubyte),
    "TF_SetAttrType": (None, c_void_p, c_char_p, c_int),
    "TF_OperationName": (c_char_p, c_void_p),
    "TF_OperationNumOutputs": (c_int, c_void_p),
    "TF_OperationOutputType": (c_int, Output),
    "TF_NewSessionOptions": (c_void_p,),
    "TF_DeleteSessionOptions": (None, c_void_p),
    "TF_AllocateTensor": (c_void_p, c_int, POINTER(c_int64), c_int, c_size_t),
    "TF_DeleteTensor": (None, c_void_p),
    "TF_TensorMaybeMove": (c_void_p, c_void_p),
    "TF_TensorType": (c_int, c_void_p),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_NumDims": (c_int, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
    "TF_StringGetDataPointer": (c_void_p, c_void_p),
    "TF_StringGetSize": (c_size_t, c_void_p),
}
_CHECKED = {
    "TF_LoadLibrary": (c_void_p, c_char_p),
    "TF_GraphImportGraphDef": (None, c_void_p, POINTER(Buffer), c_void_p),
    "TF_FinishOperation": (c_void_p, c_void_p),
    "TF_GraphGetTensorNumDims": (c_int, c_void_p, Output),
    "TF_GraphGetTensorShape": (None, c_void_p, Output, POINTER(c_int64), c_int),
    "TF_SetConfig": (None, c_void_p, c_char_p, c_size_t),
    "TF_NewSession": (c_void_p, c_void_p, c_void_p),
    "TF_CloseSession": (None, c_void_p),
    "TF_DeleteSession": (None, c_void_p),
    "TF_SessionRun": (
        None,
        *(c_void_p, c_void_p),
        *(POINTER(Output), POINTER(c_void_p), c_int),
        *(POINTER(Output), POINTER(c_void_p), c_int),
        *(c_void_p, c_int, c_void_p),
    ),
}


@functools.cache
def tensorflow() -> ctypes.CDLL:
    """The library with its functions declared; use `call` for those that take a status.

    Raises
    ------
    InputError
        TensorFlow is not installed, cannot be loaded, or is too old.
    """
    path = tensorflow_folder() / _LIBRARY
    try:
        with quiet_tensorflow():
            library = ctypes.CDLL(str(path))
        status = {name: (*types, c_void_p) for name, types in _CHECKED.items()}
        for name, (result, *arguments) in {**_PLAIN, **status}.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be used ({error}), expected TensorFlow 2.16 or later; "
            "install it anew: pip install tensorflow"
        ) from None
    return library


def call(name: str, *arguments):
    """What a function returns whose last argument is a status.

    Raises
    ------
    TensorFlowError
        The status is not OK.
    """
    library = tensorflow()
    status = library.TF_NewStatus()
    try:
        result = getattr(library, name)(*arguments, status)
        code = library.TF_GetCode(status)
        if code:
            raise TensorFlowError(code, library.TF_Message(status).decode(errors="replace"))
        return result
    finally:
        library.TF_DeleteStatus(status)
