"""Density from a frozen model with plain TensorFlow and the op library: no deepdensity_tf here.

usage: python plain_tensorflow.py LIBRARY MODEL STRUCTURE NX NY NZ OUTPUT.npy
       LIBRARY is libdeepdensity_op.so in the folder lib/ of the installed package,
       STRUCTURE a file with a cell that ASE reads; not periodic if its pbc says so.
"""

import sys

import ase.io
import numpy as np
import tensorflow as tf

library, model, structure, *shape, output = sys.argv[1:]
shape = [int(n) for n in shape]
tf.load_op_library(library)
graph_def = tf.compat.v1.GraphDef()
with open(model, "rb") as stream:
    graph_def.ParseFromString(stream.read())
with tf.Graph().as_default() as graph:
    tf.import_graph_def(graph_def, name="")

atoms = ase.io.read(structure)
index = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), -1)
with tf.compat.v1.Session(graph=graph) as session:
    type_map = session.run("model_attr/type_map:0").decode().split()
    feeds = {
        "t_coord:0": atoms.positions[None],
        "t_type:0": [type_map.index(symbol) for symbol in atoms.symbols],
        "t_box:0": atoms.cell.array.reshape(1, 9) if atoms.pbc.all() else np.zeros((1, 9)),
        "t_point:0": (index / shape @ atoms.cell.array)[None],
    }
    density = session.run("o_density:0", feeds)
np.save(output, density.reshape(shape))
