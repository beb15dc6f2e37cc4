"""Where the native libraries and what belongs to them lie; TensorFlow is not imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from deepdensity_tf.utils.errors import InputError

PACKAGE = Path(__file__).resolve().parent.parent
LIB = PACKAGE / "lib"
INCLUDE = PACKAGE / "include"
OP_LIBRARY = LIB / "libdeepdensity_op.so"
C_LIBRARY = LIB / "libdeepdensity_c.so"


def tensorflow_folder() -> Path:
    """Where TensorFlow's shared libraries lie.

    Raises
    ------
    InputError
        If TensorFlow is not installed.
    """
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("TensorFlow is not installed; install it: pip install tensorflow")
    return Path(next(iter(spec.submodule_search_locations)))
