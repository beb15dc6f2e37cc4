"""Which operations a frozen graph may hold.

A graph is a program: TensorFlow has operations that read and write files, open connections or call
Python. A model needs none of them. Those listed here compute tensors from tensors and nothing else;
a graph with any other is refused before TensorFlow sees it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import tensorflow as tf

from deepdensity_tf.utils import ops

# What freeze writes for the plug-ins here, and its kin, so that further plug-ins find theirs. The C
# library is built with the same list.
_PURE = Path(__file__).with_name("known_ops.txt")


@functools.cache
def known_ops() -> frozenset[str]:
    """Names of all operations that a model may hold: pure ones, and those of the op library."""
    return frozenset(_PURE.read_text().split()) | ops.native_ops()


def refused_ops(graph: tf.compat.v1.GraphDef) -> list[str]:
    """What a graph holds and a model must not, in words; empty for a model of ours.

    Functions are refused whatever is in them: a frozen graph has none, and one could go by the name
    of a known operation.
    """
    bodies = [function.node_def for function in graph.library.function]
    found: dict[str, str] = {}
    for node in (node for nodes in (graph.node, *bodies) for node in nodes):
        if node.op not in known_ops():
            found.setdefault(node.op, f"operation {node.op!r} (node {node.name!r})")
    functions = sorted(function.signature.name for function in graph.library.function)
    return [*found.values(), *(f"function {name!r}" for name in functions)]
