"""Graphs of others: a graph is a program, so its bytes are judged before TensorFlow sees them.

TensorFlow has operations that read and write files, open connections or call Python, it evaluates
constants while it imports them, and it ends the process where the size of a tensor overflows. The
rule is the C library's (op/c_api/graph_scan.cc); the operations it allows are in known_ops.txt.
"""

from __future__ import annotations

import ctypes
import functools
import os
import stat
from pathlib import Path

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.native import C_LIBRARY
from deepdensity_tf.utils.op_library import load_op_library

_MAX_BYTES = 2**31 - 1  # what protocol buffers take


def graph_fault(graph: bytes) -> str:
    """What speaks against a serialized GraphDef, in one line; "" if nothing does."""
    library = _library()
    if library.DD_CheckGraph(graph, len(graph)) == 0:
        return ""
    return library.DD_LastError().decode(errors="replace")


@functools.cache
def _library() -> ctypes.CDLL:
    load_op_library()  # TensorFlow first, so that the library shares its
    try:
        library = ctypes.CDLL(str(C_LIBRARY))
    except OSError as error:
        raise InputError(
            f"{C_LIBRARY}: cannot be loaded ({error}); build it anew by `pip install .`"
        ) from None
    library.DD_CheckGraph.argtypes = [ctypes.c_char_p, ctypes.c_int64]
    library.DD_LastError.restype = ctypes.c_char_p
    return library


def read_model_file(path: Path) -> bytes:
    """The bytes of a model; pipes and devices, which may have no end, are refused.

    Raises
    ------
    InputError
        No such file, not a regular one, unreadable, too large.
    """
    try:
        # Opening a pipe would wait for who writes it.
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise InputError(f"{path}: not a regular file, expected a frozen model")
            if facts.st_size > _MAX_BYTES:
                raise InputError(
                    f"{path}: of {facts.st_size} bytes, too large for a graph, "
                    "expected a frozen model"
                )
            return stream.read(facts.st_size)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a frozen model") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), expected a frozen model"
        ) from None
