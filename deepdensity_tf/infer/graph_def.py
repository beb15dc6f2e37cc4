"""The graph of a file as TensorFlow's Python has it, for what changes models.

What only runs them goes without (infer/session.py): that module takes seconds to import.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

from deepdensity_tf.infer.session import checked_graph
from deepdensity_tf.utils.errors import InputError


def read_graph(path: Path) -> tf.compat.v1.GraphDef:
    """The graph in a file; InputError where there is none, or one that does more than compute."""
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(checked_graph(path))
    except DecodeError:
        raise InputError(f"{path}: not a graph or truncated, expected a frozen model") from None
    return graph
