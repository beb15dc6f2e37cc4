"""The frozen graph as other codes see it, and messages on files that are none."""

import json
import subprocess
import sys
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.ops import LIBRARY

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "ethane" / "plain_tensorflow.py"


def graph_of(path):
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(Path(path).read_bytes())
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("pbc", [True, False])
def test_plain_tensorflow_gives_the_same_density(frozen_model, tmp_path, pbc):
    """A program that does not import the package: equal to 1e-10 relative."""
    assert "import deepdensity_tf" not in SCRIPT.read_text()
    cell = np.array([[4.0, 0, 0], [0.5, 4.4, 0], [0, -0.3, 5.0]])
    atoms = ase.Atoms("CHH", [[1, 1, 1], [2.0, 1.1, 1], [0.6, 1.9, 1.3]], cell=cell, pbc=pbc)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    command = [sys.executable, SCRIPT, LIBRARY, frozen_model, tmp_path / "a.extxyz", 8, 9, 10]
    command += [tmp_path / "rho.npy"]
    # Run elsewhere: the package must not be found by accident.
    subprocess.run([str(c) for c in command], check=True, cwd=tmp_path, capture_output=True)
    theirs = np.load(tmp_path / "rho.npy")
    model = DeepDensity(frozen_model)
    atype = model.atype_of(list(atoms.symbols))
    ours = model.eval_grid(atoms.positions, cell, atype, (8, 9, 10), pbc=pbc)
    np.testing.assert_allclose(theirs, ours, rtol=1e-10, atol=1e-10 * ours.max())


def test_contract_of_names_shapes_and_types(frozen_model):
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_of(frozen_model), name="")
    wanted = {
        "t_coord:0": tf.float64,
        "t_type:0": tf.int32,
        "t_box:0": tf.float64,
        "t_point:0": tf.float64,
        "o_density:0": tf.float64,
        "o_density_grad:0": tf.float64,
        "model_attr/type_map:0": tf.string,
        "model_attr/rcut:0": tf.float64,
        "model_attr/rcut_point:0": tf.float64,
        "model_attr/model_type:0": tf.string,
        "model_attr/model_version:0": tf.string,
        "train_attr/training_script:0": tf.string,
    }
    for name, dtype in wanted.items():
        assert graph.get_tensor_by_name(name).dtype == dtype
    kinds = {operation.type for operation in graph.get_operations()}
    assert not any("Variable" in kind or "Restore" in kind for kind in kinds)
    with tf.compat.v1.Session(graph=graph) as session:
        script = json.loads(session.run("train_attr/training_script:0"))
        assert script["model"]["type_map"] == ["C", "H"]
        feeds = {
            "t_coord:0": np.zeros((2, 1, 3)),
            "t_type:0": [0],
            "t_box:0": np.zeros((2, 9)),
            "t_point:0": np.ones((2, 7, 3)),
        }
        density, gradient = session.run(["o_density:0", "o_density_grad:0"], feeds)
    assert density.shape == (2, 7) and gradient.shape == (2, 7, 3)


def test_atom_types_are_checked_inside_the_graph(frozen_model):
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(graph_of(frozen_model), name="")
    feeds = {
        "t_coord:0": np.zeros((1, 1, 3)),
        "t_box:0": np.zeros((1, 9)),
        "t_point:0": np.ones((1, 1, 3)),
    }
    with tf.compat.v1.Session(graph=graph) as session:
        for atype in ([2], [-1], [0, 0]):
            with pytest.raises(tf.errors.InvalidArgumentError, match="t_type must"):
                session.run("o_density:0", {**feeds, "t_type:0": atype})


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated_models_are_refused(frozen_model, tmp_path, part):
    data = Path(frozen_model).read_bytes()
    (tmp_path / "bad.pb").write_bytes(data[: int(part * len(data))])
    # Cut between two nodes, what is left is a graph, but not a whole model.
    with pytest.raises(InputError, match="truncated|has no tensor|not a usable graph"):
        DeepDensity(tmp_path / "bad.pb")


ARGUMENTS = {"coord": np.zeros((1, 3)), "box": None, "atype": [0], "points": np.zeros((2, 3))}
WRONG = [
    ("coord", [[0, np.nan, 0]], "coord holds NaN"),
    ("coord", np.zeros((1, 2)), r"coord has shape \(1, 2\)"),
    ("coord", "here", "coord is not an array"),
    ("atype", [0, 1], r"atype has shape \(2,\)"),
    ("atype", [7], "atype holds 7 to 7, expected 0 to 1"),
    ("box", np.zeros(6), "box has 6 numbers"),
    ("box", [[1, 0, 0], [2, 0, 0], [0, 0, 1]], "box of frame 0 has volume 0"),
    ("points", np.zeros((2, 4)), r"points has shape \(2, 4\)"),
    ("points", np.zeros((2, 5, 3)), "points holds 2 frames, coord 1"),
]


@pytest.mark.parametrize("name, value, message", WRONG)
def test_wrong_arguments(frozen_model, name, value, message):
    with pytest.raises(InputError, match=message):
        DeepDensity(frozen_model).eval(**{**ARGUMENTS, name: value})


def test_wrong_grids_and_elements(frozen_model):
    model = DeepDensity(frozen_model)
    for shape in ((4, 4), (0, 4, 4)):
        with pytest.raises(InputError, match="grid_shape is"):
            model.eval_grid(np.zeros((1, 3)), np.eye(3) * 4, [0], shape)
    with pytest.raises(InputError, match="knows C H, found O"):
        model.atype_of(["O", "H"])
    with pytest.raises(InputError, match="without spin"):
        model.eval_spin(**ARGUMENTS)


def test_grid_is_the_density_at_its_points(frozen_model):
    model = DeepDensity(frozen_model, max_pairs=500)
    cell = np.array([[4.0, 0, 0], [0.5, 4.4, 0], [0, -0.3, 5.0]])
    coord = np.array([[1.0, 1, 1], [2.0, 1.1, 1]])
    done = []
    grid = model.eval_grid(
        coord, cell, [0, 1], (5, 6, 7), progress=lambda n, total: done.append((n, total))
    )
    index = np.stack(np.unravel_index(np.arange(210), (5, 6, 7)), -1)
    points = model.eval(coord, cell, [0, 1], index / (5, 6, 7) @ cell)
    np.testing.assert_allclose(grid.ravel(), points, rtol=1e-12, atol=1e-12)
    assert done == [(210, 210)]


def test_spin_channel(make_frozen):
    model = DeepDensity(make_frozen(spin=True))
    points = np.random.default_rng(0).uniform(-1, 1, (10, 3))
    coord = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    spin = model.eval_spin(coord, None, [0, 1], points)
    assert (
        spin.shape == (10,) and np.abs(spin - model.eval(coord, None, [0, 1], points)).max() > 1e-3
    )


def test_one_dimensional_systems_are_degenerate_three_dimensional_ones(frozen_model):
    """Atoms and points on a line in a box huge across it: as the isolated chain of images."""
    model = DeepDensity(frozen_model)
    box = np.diag([5.0, 1000.0, 1000.0])
    coord = np.array([[0.7, 0, 0], [2.9, 0, 0]])
    points = np.stack([np.linspace(0, 5, 11), np.zeros(11), np.zeros(11)], 1)
    chain = np.concatenate([coord + [5.0 * k, 0, 0] for k in range(-3, 4)])
    periodic = model.eval(coord, box, [0, 1], points)
    isolated = model.eval(chain, None, np.tile([0, 1], 7), points)
    np.testing.assert_allclose(periodic, isolated, rtol=1e-10)
    mirrored = model.eval(coord * [-1, 1, 1], box, [0, 1], points * [-1, 1, 1])
    np.testing.assert_allclose(mirrored, periodic, rtol=1e-10)
