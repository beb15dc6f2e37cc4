"""Bytes of foreign graphs: judged by one rule in C and Python before TensorFlow sees them."""

import os
import threading

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.foreign_graph import graph_fault
from tests.capi.library import BAD_MODEL, INVALID_ARGUMENT, OK, Structure
from tests.model.test_frozen import graph_of

ATOMS = Structure([[1.0, 1, 1]], [0])


def in_time(call):
    """The result of a call that must not wait for anything."""
    results = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    thread.join(20)
    assert results, "waits"
    return results[0]


def refusals(load, path):
    """What C and Python say."""

    def python():
        try:
            return DeepDensity(path)
        except InputError as error:
            return str(error)

    def c():
        model = load(path)
        return model.status, model.error()

    status, message = in_time(c)
    assert status == BAD_MODEL
    return message, in_time(python)


def constant(shape=(), dtype=tf.float64, **values):
    """A constant as a message, shape and values as they are told."""
    dims = [tf.compat.v1.TensorShape([]).as_proto().Dim(size=n) for n in shape]
    node = tf.compat.v1.NodeDef(name="hostile", op="Const")
    node.attr["dtype"].type = dtype.as_datatype_enum
    tensor = node.attr["value"].tensor
    tensor.dtype = dtype.as_datatype_enum
    tensor.tensor_shape.dim.extend(dims)
    for field, value in values.items():
        getattr(tensor, field).extend(value) if isinstance(value, list) else setattr(
            tensor, field, value
        )
    return node


def placeholder(shape):
    node = tf.compat.v1.NodeDef(name="hostile", op="Placeholder")
    node.attr["dtype"].type = tf.float64.as_datatype_enum
    node.attr["shape"].shape.CopyFrom(constant(shape).attr["value"].tensor.tensor_shape)
    return node


def function_attribute(in_list):
    node = tf.compat.v1.NodeDef(name="hostile", op="NoOp")
    value = node.attr["f"]
    (value.list.func.add() if in_list else value.func).name = "hidden"
    return node


def function_behind_a_list():
    """An attribute of two kinds, of which TensorFlow takes the last."""
    both = tf.compat.v1.AttrValue(list={}).SerializeToString()
    both += tf.compat.v1.AttrValue(func={"name": "hidden"}).SerializeToString()
    entry = b"\x0a\x01f\x12" + bytes([len(both)]) + both
    node = b"\x0a\x01n\x12\x04NoOp\x2a" + bytes([len(entry)]) + entry
    return b"\x0a" + bytes([len(node)]) + node


def integer_attribute(value):
    node = tf.compat.v1.NodeDef(name="hostile", op="NoOp")
    node.attr["axis"].i = value
    return node


def chain(length):
    """Slices of slices: TensorFlow follows them by recursion when they make a shape."""
    graph = tf.compat.v1.GraphDef()
    for k in range(length):
        graph.node.add(name=f"c{k}", op="StridedSlice", input=[f"c{k - 1}:0"] if k else [])
    return graph.SerializeToString()


REFUSED = {
    "a shape of more than 2147483648 elements": constant([2**40, 2**40]),
    "a shape with -5": constant([-5]),
    "a shape of more than 8 axes": placeholder([1] * 9),
    "a constant of 3 elements with 2 values": constant([3], tensor_content=b"\0" * 16),
    "a constant of 1 elements with 2 values": constant(double_val=[1.0, 2.0]),
    "a damaged constant": constant([2], tensor_content=b"\0" * 15),
    "values of another data type": constant(float_val=[1.0]),
    "data type 20": constant(dtype=tf.resource),
    "constants of more than": constant([2**30]),
    "the number 1152921504606846976 in an attribute": integer_attribute(2**60),
    "a function in an attribute": function_attribute(False),
    "a function in an attribute (node 'hostile')": function_attribute(True),
    "a row of more than 4000 operations": chain(4001),
    "a shape of more than 2147483648 elements (node 'hostile')": placeholder([-1, 2**33]),
}


@pytest.mark.parametrize("message", REFUSED)
def test_hostile_nodes(load, frozen_model, tmp_path, message):
    """Whatever TensorFlow would die of is refused, by the same words."""
    node = REFUSED[message]
    if not isinstance(node, bytes):
        node = tf.compat.v1.GraphDef(node=[node]).SerializeToString()
    path = tmp_path / "bad.pb"
    path.write_bytes(frozen_model.read_bytes() + node)
    in_c, in_python = refusals(load, path)
    assert in_c == in_python
    assert f"{path}: refused: holds " in in_c and message in in_c and "\n" not in in_c


def test_shapes_that_follow_from_others(load, frozen_model, tmp_path):
    """Of nothing, so memory is no limit; a sum over the empty axis would end the process."""
    with tf.Graph().as_default() as evil, tf.name_scope("evil"):
        empty = tf.reshape(tf.zeros([0]), tf.constant([0, 2**31, 2**31, 2**31], tf.int64))
        tf.reduce_sum(tf.identity(empty, name="hostile"), axis=0)
    graph = graph_of(frozen_model)
    graph.node.extend(evil.as_graph_def().node)
    path = tmp_path / "bad.pb"
    path.write_bytes(graph.SerializeToString())
    in_c, in_python = refusals(load, path)
    assert in_c == in_python
    assert f"{path}: refused: makes a shape of more than 2147483648 elements (node '" in in_c


def test_a_file_named_in_the_graph_is_not_opened(load, frozen_model, tmp_path):
    """TensorFlow would read it while it imports the graph, for the sake of a shape."""
    pipe = tmp_path / "pipe"
    with tf.Graph().as_default() as evil:
        numbers = tf.io.decode_raw(tf.io.read_file(str(pipe)), tf.int32)
        tf.reshape(tf.zeros([4]), numbers)
    graph = graph_of(frozen_model)
    graph.node.extend(evil.as_graph_def().node)
    path = tmp_path / "bad.pb"
    path.write_bytes(graph.SerializeToString())
    os.mkfifo(pipe)
    in_c, in_python = refusals(load, path)
    assert in_c == in_python and "refused: holds operation 'ReadFile'" in in_c


def test_an_attribute_of_two_kinds_hides_nothing(frozen_model):
    fault = graph_fault(frozen_model.read_bytes() + function_behind_a_list())
    assert fault == "not a graph or truncated, expected a frozen model"


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file(load, tmp_path, kind):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    path = path if kind == "pipe" else "/dev/zero"
    in_c, in_python = refusals(load, path)
    assert in_c == in_python == f"{path}: not a regular file, expected a frozen model"


def test_damage_is_seen_by_both(lib, frozen_model):
    """Cut anywhere or changed at random: the scan ends, and says the same to both."""
    data = frozen_model.read_bytes()
    rng = np.random.default_rng(2)
    for _ in range(100):
        bad = bytearray(data[: rng.integers(len(data))])
        for place in rng.integers(0, len(bad), 3):
            bad[place] = rng.integers(256)
        status = lib.DD_CheckGraph(bytes(bad), len(bad))
        assert (status == OK) == (graph_fault(bytes(bad)) == "")
    assert lib.DD_CheckGraph(data, len(data)) == OK and graph_fault(data) == ""
    assert lib.DD_CheckGraph(None, 0) == BAD_MODEL
    assert lib.DD_CheckGraph(data, -1) == INVALID_ARGUMENT


def replaced(path, name, value, op="Const"):
    """A model with another node in place of an output; what the output feeds keeps it."""
    graph = graph_of(path)
    for node in graph.node:
        node.name = "other" if node.name == name else node.name
        node.input[:] = ["other" if entry == name else entry for entry in node.input]
    node = graph.node.add(name=name, op=op)
    if op == "Const":
        node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return graph.SerializeToString()


@pytest.mark.parametrize(
    "name, value",
    [
        ("o_electrons", np.zeros((1, 1))),
        ("o_electrons", np.zeros(1, np.float32)),
        ("o_density", np.zeros(3)),
        ("o_grid_density", np.zeros((3, 1))),
        ("o_grid_parts", np.zeros(6, np.int32)),
        ("o_electrons", None),
        ("atom_state/coef", None),
    ],
)
def test_outputs_are_checked_when_loading(load, frozen_model, tmp_path, name, value):
    path = tmp_path / "bad.pb"
    path.write_bytes(replaced(frozen_model, name, value, "NoOp" if value is None else "Const"))
    for message in refusals(load, path):
        assert name in message and ("axes, expected" in message or "has no" in message)


@pytest.mark.parametrize("size", [0, 2])
def test_number_of_electrons_of_the_wrong_size(load, frozen_model, tmp_path, size):
    path = tmp_path / "bad.pb"
    path.write_bytes(replaced(frozen_model, "o_electrons", np.zeros(size)))
    model = load(path)
    assert model.status == OK and model.eval_electrons(ATOMS)[0] == BAD_MODEL
    assert f"o_electrons has {size} values, expected 1" in model.error()
    with pytest.raises(InputError, match="o_electrons:0 has shape"):
        DeepDensity(path).eval_electrons([[1.0, 1, 1]], None, [0])


@pytest.mark.parametrize("name", ["o_density", "o_grid_density"])
def test_density_of_the_wrong_size(load, frozen_model, tmp_path, name):
    path = tmp_path / "bad.pb"
    value = np.zeros((1, 9)) if name == "o_density" else np.zeros(9)
    path.write_bytes(replaced(frozen_model, name, value))
    model, python = load(path), DeepDensity(path)
    if name == "o_density":
        status, _ = model.eval(ATOMS, np.ones((4, 3)))
    else:
        status, _ = model.eval_grid(ATOMS, (2, 2, 2), np.eye(3))
    assert status == BAD_MODEL and f"{name} has 9 values" in model.error()
    with pytest.raises(InputError, match=f"{name}:0 has shape"):
        if name == "o_density":
            python.eval([[1.0, 1, 1]], None, [0], np.ones((4, 3)))
        else:
            python.eval_grid([[1.0, 1, 1]], np.eye(3), [0], (2, 2, 2), pbc=False)
