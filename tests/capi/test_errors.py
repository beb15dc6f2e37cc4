"""What is wrong is said, and nothing crashes."""

import ctypes

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.frozen_model import VERSIONS
from deepdensity_tf.utils.errors import InputError
from tests.capi.library import BAD_MODEL, INVALID_ARGUMENT, OK, CGrid, CStructure, Structure
from tests.model.test_frozen import graph_of

COORD, ATYPE = np.array([[1.0, 1, 1], [2.0, 1.1, 1]]), [0, 1]
POINT = np.ones((1, 3))


def with_version(path, version):
    graph = graph_of(path)
    for node in graph.node:
        if node.name == "model_attr/model_version":
            node.attr["value"].tensor.string_val[0] = version.encode()
    return graph.SerializeToString()


def with_type(path, name, dtype):
    graph = graph_of(path)
    for node in graph.node:
        if node.name == name:
            node.attr["dtype"].type = dtype
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(1, tf.as_dtype(dtype)))
    return graph.SerializeToString()


def renamed(path, name):
    """Only the node; what it feeds is left without."""
    graph = graph_of(path)
    for node in graph.node:
        node.name = "other" if node.name == name else node.name
    return graph.SerializeToString()


def with_node(path, op):
    graph = graph_of(path)
    graph.node.add(name="extra", op=op)
    return graph.SerializeToString()


def with_function(path):
    graph = graph_of(path)
    graph.library.function.add().signature.name = "hidden"
    return graph.SerializeToString()


def with_value(path, name, value):
    graph = graph_of(path)
    for node in graph.node:
        if node.name == name:
            dtype = node.attr["dtype"].type
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, tf.as_dtype(dtype)))
    return graph.SerializeToString()


def without(path, name):
    """The graph whole, but for a name."""
    graph = graph_of(path)
    for node in graph.node:
        node.name = "other" if node.name == name else node.name
        node.input[:] = ["other" if entry == name else entry for entry in node.input]
    return graph.SerializeToString()


BAD_FILES = {
    "no such file, expected a frozen model": lambda good: None,
    "not a graph or truncated": lambda good: b"\xff" * 1000,
    "an empty graph": lambda good: b"",
    "has no tensor model_attr/model_version": lambda p: without(p, "model_attr/model_version"),
    "has no tensor model_attr/type_map": lambda p: without(p, "model_attr/type_map"),
    "has no tensor model_attr/max_pairs": lambda p: without(p, "model_attr/max_pairs"),
    "has no tensor model_attr/rcut,": lambda p: with_type(p, "model_attr/rcut", 9),
    "has no tensor o_density,": lambda p: without(p, "o_density"),
    "has no tensor t_coord,": lambda p: without(p, "t_coord"),
    "not a usable graph": lambda p: renamed(p, "t_coord"),
    "refused: holds operation 'Timestamp' (node 'extra'), expected": lambda p: with_node(
        p, "Timestamp"
    ),
    "refused: holds function 'hidden'": with_function,
    "model_attr/rcut_point is nan, expected": lambda p: with_value(
        p, "model_attr/rcut_point", np.nan
    ),
    "model_attr/max_pairs is 0, expected": lambda p: with_value(p, "model_attr/max_pairs", 0),
}


@pytest.mark.parametrize("message", BAD_FILES)
def test_files_that_are_no_model(load, frozen_model, tmp_path, message):
    path = tmp_path / "bad.pb"
    data = BAD_FILES[message](frozen_model)
    if data is not None:
        path.write_bytes(data)
    model = load(path)
    assert model.status == BAD_MODEL and not model.handle
    assert message in model.error() and str(path) in model.error() and "\n" not in model.error()


@pytest.mark.parametrize("part", [0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_truncated_models(load, frozen_model, tmp_path, part):
    data = frozen_model.read_bytes()
    (tmp_path / "bad.pb").write_bytes(data[: int(part * len(data))])
    model = load(tmp_path / "bad.pb")
    assert model.status == BAD_MODEL and not model.handle


def test_damaged_models_do_not_crash(load, frozen_model, tmp_path):
    """Bytes changed at random: refused, or a model still."""
    rng = np.random.default_rng(1)
    data = np.frombuffer(frozen_model.read_bytes(), np.uint8)
    for _ in range(20):
        bad = data.copy()
        bad[rng.integers(0, len(bad), 30)] = rng.integers(0, 256, 30)
        (tmp_path / "bad.pb").write_bytes(bad.tobytes())
        model = load(tmp_path / "bad.pb")
        assert bool(model.handle) == (model.status == OK)


def test_directory_in_place_of_a_model(load, tmp_path):
    model = load(tmp_path)
    assert model.status == BAD_MODEL and "cannot be read (Is a directory)" in model.error()


@pytest.mark.parametrize("version", [*VERSIONS, "0.9", "1", "99.0", ""])
def test_versions_are_those_of_python(load, frozen_model, tmp_path, version):
    path = tmp_path / "model.pb"
    path.write_bytes(with_version(frozen_model, version))
    model = load(path)
    if version in VERSIONS:
        assert model.status == OK and DeepDensity(path).model_version == version
        return
    assert model.status == BAD_MODEL
    with pytest.raises(InputError) as caught:
        DeepDensity(path)
    assert model.error() == str(caught.value)


@pytest.mark.parametrize(
    "structure, message",
    [
        (Structure([[0, 0, 0], [0, np.nan, 0]], ATYPE), "coord holds NaN or infinity, in row 1"),
        (Structure([[0, 0, 0], [0, -np.inf, 0]], ATYPE), "coord holds NaN or infinity, in row 1"),
        (Structure(COORD, [0, 2]), "atype of atom 1 is 2, expected 0 to 1"),
        (Structure(COORD, [-1, 1]), "atype of atom 0 is -1, expected 0 to 1"),
        (Structure(COORD, ATYPE, [1, 0, 0, 2, 0, 0, 0, 0, 1]), "box has volume 0"),
        (Structure(COORD, ATYPE, [4, 0, 0, 0, 4, 0, 0, 0, np.nan]), "box holds NaN"),
        (CStructure(-1, None, None, None), "natoms is -1"),
        (CStructure(2**62, None, None, None), "natoms is"),
        (CStructure(1, None, None, None), "coord is NULL"),
        (CStructure(1, COORD.ctypes.data, None, None), "atype is NULL"),
        (None, "structure is NULL"),
    ],
)
def test_wrong_structures(load, frozen_model, structure, message):
    model = load(frozen_model)
    for status, _ in (
        model.eval(structure, POINT),
        model.eval_grid(structure, (2, 2, 2), np.eye(3)),
        model.eval_electrons(structure),
    ):
        assert status == INVALID_ARGUMENT and message in model.error()


def test_cells_too_small_for_memory(load, frozen_model):
    model = load(frozen_model)
    status, _ = model.eval(Structure(COORD, ATYPE, 1e-3 * np.eye(3)), POINT)
    assert status == INVALID_ARGUMENT and "box is too small for rcut" in model.error()


def test_wrong_points_and_quantities(load, frozen_model):
    model, structure = load(frozen_model), Structure(COORD, ATYPE)
    out = np.zeros(3)
    call, handle = model.lib.DD_Eval, model.handle
    cases = {
        "points is NULL": (0, structure, 1, None, out.ctypes.data),
        "out is NULL": (0, structure, 1, POINT.ctypes.data, None),
        "npoints is -1": (0, structure, -1, POINT.ctypes.data, out.ctypes.data),
        "quantity is 7": (7, structure, 1, POINT.ctypes.data, out.ctypes.data),
        "was trained without spin": (2, structure, 1, POINT.ctypes.data, out.ctypes.data),
    }
    for message, arguments in cases.items():
        assert call(handle, *arguments) == INVALID_ARGUMENT and message in model.error()
    status, _ = model.eval(structure, [[0, 0, 0], [np.nan, 0, 0]])
    assert status == INVALID_ARGUMENT and "points holds NaN or infinity, in row 1" in model.error()


@pytest.mark.parametrize(
    "shape, cell, origin, message",
    [
        ((0, 4, 4), np.eye(3), (0, 0, 0), "grid shape holds 0"),
        ((4, -4, 4), np.eye(3), (0, 0, 0), "grid shape holds -4"),
        ((2**31, 2**31, 2**31), np.eye(3), (0, 0, 0), "too many points"),
        ((4, 4, 4), np.diag([1, 1, 0]), (0, 0, 0), "grid cell has volume 0"),
        ((4, 4, 4), np.diag([1, 1, np.inf]), (0, 0, 0), "grid cell holds NaN"),
        ((4, 4, 4), np.eye(3), (0, np.nan, 0), "grid origin holds NaN"),
    ],
)
def test_wrong_grids(load, frozen_model, shape, cell, origin, message):
    model, out = load(frozen_model), np.zeros(64)
    grid = CGrid(shape, tuple(np.ravel(cell)), origin)
    structure = Structure(COORD, ATYPE)
    status = model.lib.DD_EvalGrid(model.handle, 0, structure, grid, out.ctypes.data)
    assert status == INVALID_ARGUMENT and message in model.error()


def test_null_pointers_and_unknown_elements(load, lib, frozen_model):
    handle, out = load(frozen_model).handle, np.zeros(8)
    structure = Structure(COORD, ATYPE)

    def says(message):
        return message in lib.DD_LastError().decode()

    assert lib.DD_Load(None, ctypes.byref(ctypes.c_void_p())) == INVALID_ARGUMENT
    assert says("path is NULL")
    assert lib.DD_Load(str(frozen_model).encode(), None) == INVALID_ARGUMENT
    assert says("model is NULL")
    lib.DD_Free(None)
    assert lib.DD_NumTypes(None) == -1 and lib.DD_HasSpin(None) == -1
    assert lib.DD_RCut(None) == lib.DD_RCutPoint(None) == -1
    assert lib.DD_TypeName(None, 0) is None and lib.DD_TypeOf(None, b"H") == -1
    assert says("model is NULL")
    assert lib.DD_TypeName(handle, 2) is None and says("type is 2, expected 0 to 1")
    assert lib.DD_TypeName(handle, -1) is None
    assert lib.DD_TypeOf(handle, b"Xx") == -1 and says("knows C H, found Xx")
    assert lib.DD_TypeOf(handle, None) == -1 and says("element is NULL")
    assert lib.DD_Eval(None, 0, structure, 1, POINT.ctypes.data, out.ctypes.data) == 1
    assert says("model is NULL")
    assert lib.DD_EvalGrid(handle, 0, structure, None, out.ctypes.data) == INVALID_ARGUMENT
    assert says("grid is NULL")
    assert lib.DD_EvalElectrons(handle, structure, None) == INVALID_ARGUMENT
    assert says("electrons is NULL")


def test_electrons_without_an_integral(load, make_frozen):
    model = load(make_frozen(fitting_net={"type": "pair", "neuron": [8]}))
    assert model.eval_electrons(Structure(COORD, ATYPE))[0] == INVALID_ARGUMENT
    assert "has no exact integral" in model.error()


@pytest.mark.parametrize("seen, refused", [([[5, 2], [0, 0]], True), ([[0, 0], [0, 0]], False)])
def test_elements_that_no_training_held(load, frozen_model, tmp_path, seen, refused):
    """Refused by Python and C alike; a model that does not know what it has seen takes all."""
    path = tmp_path / "model.pb"
    path.write_bytes(with_value(frozen_model, "model_attr/elements_seen", np.array(seen)))
    in_c, in_python = load(path), DeepDensity(path)
    message = "found H in the structure"
    status, out = in_c.eval(Structure(COORD, ATYPE), POINT)
    if refused:
        assert status == INVALID_ARGUMENT and message in in_c.error()
        with pytest.raises(InputError, match=f"{message}; .* held C$"):
            in_python.eval(COORD, None, ATYPE, POINT)
    else:
        assert status == OK
        np.testing.assert_allclose(in_python.eval(COORD, None, ATYPE, POINT), out, rtol=1e-12)
    assert in_c.eval(Structure(COORD, [0, 0]), POINT)[0] == OK
