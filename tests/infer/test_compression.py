"""Compressed models against those they come from."""

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.infer.compression import compress, density_error
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.graph_def import read_graph
from deepdensity_tf.main import main

BOX = np.array([[4.1, 0.2, -0.3], [0.9, 4.6, 0.1], [-0.7, 0.4, 5.0]])
COORD = np.array([[0.5, 0.5, 0.5], [1.6, 0.6, 0.5], [3.0, 3.0, 2.8], [0.4, 2.5, 4.0]])
ATYPE = np.array([0, 1, 0, 1])
PAIR = {"type": "pair", "neuron": [12, 12], "nradial": 6}
SE_E2_A = {"type": "se_e2_a", "rcut": 3.5, "rcut_smth": 0.5, "neuron": [8, 8], "axis_neuron": 4}


@pytest.mark.parametrize(
    "changes, fused",
    [
        ({}, True),
        ({"spin": True}, True),
        ({"electrons": [4.0, 1.0]}, True),
        ({"descriptor": SE_E2_A}, True),
        ({"fitting_net": PAIR}, False),
        ({"precision": "float32"}, True),
    ],
    ids=lambda value: str(value),
)
def test_same_density_gradient_and_metadata(make_frozen, tmp_path, changes, fused):
    source = make_frozen(**changes)
    target = tmp_path / "compressed.pb"
    result = compress(source, target)
    assert result.fused is fused
    one, other = DeepDensity(source), DeepDensity(target)
    assert (one.type_map, one.rcut, one.rcut_point) == (
        other.type_map,
        other.rcut,
        other.rcut_point,
    )
    assert one.training_script == other.training_script
    assert other.info.pop("compression")["fused"] is fused
    assert other.info == one.info
    points = np.random.default_rng(0).uniform(-5, 9, (300, 3))
    # A distance in units of the splines' width, up to nspline, is rounded several times; splines of
    # neighbouring intervals differ by as much as they are large. The table's error is on top.
    rounding = np.finfo(changes.get("precision", "float64")).eps
    tolerance = 20 * result.table_error + 4 * one.training_script["model"]["nspline"] * rounding
    for box in (None, BOX):
        expected = one.eval(COORD, box, ATYPE, points)
        largest = np.abs(expected).max()
        np.testing.assert_allclose(
            other.eval(COORD, box, ATYPE, points), expected, rtol=0, atol=tolerance * largest
        )
        slope = one.eval_gradient(COORD, box, ATYPE, points)
        np.testing.assert_allclose(
            other.eval_gradient(COORD, box, ATYPE, points),
            slope,
            rtol=0,
            atol=tolerance * np.abs(slope).max(),
        )
        if "spin" in changes:
            spin = one.eval_spin(COORD, box, ATYPE, points)
            np.testing.assert_allclose(
                other.eval_spin(COORD, box, ATYPE, points),
                spin,
                rtol=0,
                atol=tolerance * np.abs(spin).max(),
            )
    if fused:
        np.testing.assert_allclose(
            other.eval_electrons(COORD, BOX, ATYPE),
            one.eval_electrons(COORD, BOX, ATYPE),
            rtol=1e-5,
        )


def test_no_net_of_distances_and_no_pairs_of_points_are_left(frozen_model, tmp_path):
    compress(frozen_model, tmp_path / "compressed.pb")
    ops = [node.op for node in read_graph(tmp_path / "compressed.pb").node]
    assert ops.count("DdGatherBetween") == 2 and "DdGather" not in ops  # two passes
    assert ops.count("DdDensityGrid") == ops.count("DdDensity") == ops.count("DdDensityGrad") == 1
    assert ops.count("DdNeighborList") == 1 and "DdExpansion" not in ops
    assert "Exp" not in ops  # the Gaussians of the embedding nets


def test_nets_behind_tables_are_gone_where_points_have_nets_of_their_own(make_frozen, tmp_path):
    compress(make_frozen(fitting_net=PAIR), tmp_path / "compressed.pb")
    nodes = read_graph(tmp_path / "compressed.pb").node
    assert "DdGatherBetween" in {node.op for node in nodes}
    used = {name.split(":")[0].lstrip("^") for node in nodes for name in node.input}
    roots = ("o_", "atom_state/", "model_attr/", "train_attr/")
    assert [n.name for n in nodes if n.name not in used and not n.name.startswith(roots)] == []


def test_finer_steps_have_smaller_errors(frozen_model, tmp_path):
    errors = [
        compress(frozen_model, tmp_path / "c.pb", step=step).table_error for step in (0.25, 0.125)
    ]
    # Order six in the step.
    assert errors[1] < errors[0] / 20


@pytest.mark.parametrize("pbc", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
def test_whole_grid_in_parts(make_frozen, tmp_path, compressed, pbc):
    path = make_frozen(spin=True)
    if compressed:
        compress(path, tmp_path / "compressed.pb")
        path = tmp_path / "compressed.pb"
    graph = read_graph(path)
    (points_of_part,) = [node for node in graph.node if node.name == "grid_points"]
    points_of_part.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(3000, tf.int32))
    (tmp_path / "small_parts.pb").write_bytes(graph.SerializeToString())
    in_parts = DeepDensity(tmp_path / "small_parts.pb")
    model, shape, done = DeepDensity(path), (40, 21, 22), []
    points = np.indices(shape).reshape(3, -1).T / shape @ BOX
    evaluate = {False: model.eval, True: model.eval_spin}
    for spin in (False, True):
        grid = model.eval_grid(COORD, BOX, ATYPE, shape, pbc=pbc, spin=spin)
        expected = evaluate[spin](COORD, BOX if pbc else None, ATYPE, points)
        np.testing.assert_allclose(grid.ravel(), expected, rtol=0, atol=1e-12)
        parts = in_parts.eval_grid(
            COORD, BOX, ATYPE, shape, pbc, spin=spin, progress=lambda *n: done.append(n)
        )
        np.testing.assert_array_equal(parts, grid)
    assert len(done) > 4 and done[-1] == (grid.size, grid.size)


def test_points_without_neighbours_and_on_nuclei(frozen_model, tmp_path):
    compress(frozen_model, tmp_path / "compressed.pb")
    model = DeepDensity(tmp_path / "compressed.pb")
    points = np.concatenate([COORD, COORD + 100])
    density = model.eval(COORD, None, ATYPE, points)
    assert np.isfinite(density).all() and (density[:4] != 0).all()
    np.testing.assert_array_equal(density[4:], 0)
    assert np.isfinite(model.eval_gradient(COORD, None, ATYPE, points)).all()


def test_command(frozen_model, tmp_path, capsys):
    target = tmp_path / "compressed.pb"
    assert main(["compress", "-i", str(frozen_model), "-o", str(target)]) == 0
    assert "density error" in capsys.readouterr().out
    assert density_error(frozen_model, target) < 1e-5
    assert DeepDensity(target).info["compression"]["fused"] is True
    assert main(["show", str(target)]) == 0
    assert "table step" in capsys.readouterr().out


def test_refusals(frozen_model, tmp_path, capsys):
    target = tmp_path / "compressed.pb"
    assert main(["compress", "-i", str(frozen_model), "-o", str(target), "-s", "9"]) == 2
    assert "step is 9.0 Å, expected more than 0 and at most 3.5 Å" in capsys.readouterr().err
    assert not target.exists()
    compress(frozen_model, target)
    assert main(["compress", "-i", str(target), "-o", str(tmp_path / "again.pb")]) == 2
    assert "is compressed already" in capsys.readouterr().err
    assert not (tmp_path / "again.pb").exists()


def test_error_is_taken_over_elements_that_were_seen(frozen_model, tmp_path):
    graph = read_graph(frozen_model)
    (node,) = (node for node in graph.node if node.name == "model_attr/elements_seen")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.array([[3, 1], [0, 0]])))
    (tmp_path / "carbon.pb").write_bytes(graph.SerializeToString())
    compress(tmp_path / "carbon.pb", tmp_path / "compressed.pb")
    assert density_error(tmp_path / "carbon.pb", tmp_path / "compressed.pb") < 1e-4
