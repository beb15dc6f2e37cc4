"""The native ops in TensorFlow's registry, whichever of its languages asks for them."""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.native import OP_LIBRARY as LIBRARY
from deepdensity_tf.utils.tf_library import TensorFlowError, call, tensorflow


@functools.cache
def load_op_library() -> None:
    """Load the op library into TensorFlow, once.

    Raises
    ------
    InputError
        If the library was not built, TensorFlow cannot load it, or another copy of it is in the
        process.
    """
    if not LIBRARY.is_file():
        raise InputError(f"{LIBRARY}: the op library is missing; build it by `pip install .`")
    library = tensorflow()
    try:
        handle = call("TF_LoadLibrary", bytes(LIBRARY))
    except TensorFlowError as error:
        raise InputError(
            f"{LIBRARY}: TensorFlow {library.TF_Version().decode()} cannot load the op library "
            f"({error.own_message}); build it anew by `pip install .`"
        ) from None
    library.TF_DeleteLibraryHandle(handle)  # the ops stay
    if native().deepdensity_is_second_copy():
        raise InputError(
            f"{LIBRARY}: another copy of the op library is in this process ({_other_copies()}), "
            "expected one; use a single installation of deepdensity_tf"
        )
    obey_threads()


def native() -> ctypes.CDLL:
    """What the library has beside its ops (op/library.cc)."""
    return ctypes.CDLL(str(LIBRARY))


def obey_threads() -> None:
    """As many threads as a program told TensorFlow, if it uses that in Python."""
    config = getattr(sys.modules.get("tensorflow"), "config", None)
    if config is not None:
        count = config.threading.get_intra_op_parallelism_threads()
        native().deepdensity_set_num_threads(count)


def _other_copies() -> str:
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.is_file() else []
    files = {line.split(maxsplit=5)[-1] for line in lines if LIBRARY.stem in line}
    return ", ".join(sorted(files - {str(LIBRARY.resolve())})) or "of unknown place"
