"""Only operations that compute: every model of ours passes, everything else is refused by name."""

import copy
import itertools

import pytest
import tensorflow as tf

from deepdensity_tf.baseline import BASELINES
from deepdensity_tf.descriptor import DESCRIPTORS
from deepdensity_tf.fit import FITTINGS
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.model import DensityModel, frozen
from deepdensity_tf.model.frozen import freeze
from deepdensity_tf.schema import complete_input
from deepdensity_tf.utils import ops
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.foreign_graph import graph_fault
from deepdensity_tf.utils.native import PACKAGE
from tests.conftest import SMALL_INPUT

KNOWN = frozenset((PACKAGE / "utils" / "known_ops.txt").read_text().split())


def graph_with(op):
    return tf.compat.v1.GraphDef(node=[{"name": "n", "op": op}]).SerializeToString()


def combinations():
    """Every descriptor with every fitting; baselines, spin and precision vary along."""
    pairs = itertools.product(sorted(DESCRIPTORS._classes), sorted(FITTINGS._classes))
    for number, (descriptor, fitting) in enumerate(pairs):
        baseline = sorted(BASELINES._classes)[number % len(BASELINES._classes)]
        yield descriptor, fitting, baseline, bool(number % 2)


@pytest.mark.parametrize("descriptor, fitting, baseline, spin", list(combinations()))
def test_every_plug_in_freezes_to_known_operations(tmp_path, descriptor, fitting, baseline, spin):
    data = copy.deepcopy(SMALL_INPUT)
    data["model"].update(
        descriptor={"type": descriptor, "neuron": [4, 8]},
        fitting_net={"type": fitting, "neuron": [4, 4]},
        baseline={"type": baseline},
        spin=spin,
        precision="float32" if spin else "float64",
        electrons=[4, 1] if fitting == "expansion" else None,
    )
    config = complete_input(data)
    freeze(DensityModel(config["model"], 1), config, tmp_path / "model.pb")
    DeepDensity(tmp_path / "model.pb")


def test_the_library_s_own_operations_are_known():
    own = ops.native_ops()
    assert {"DdNeighborList", "DdEnvMat", "DdHarmonicsGrad", "DdExpansionGradDisp"} <= own
    for name in own | KNOWN:
        assert graph_fault(graph_with(name)) == ""
    for name in ("DdOther", "Dd", "", "Add AddN"):
        assert f"refused: holds operation {name!r}" in graph_fault(graph_with(name))


@pytest.mark.parametrize(
    "name",
    "ReadFile WriteFile PyFunc EagerPyFunc PartitionedCall StatefulPartitionedCall If While "
    "RestoreV2 SaveV2 VarHandleOp ReadVariableOp Print PrintV2 MatchingFiles Timestamp "
    "TensorArrayV3 Enter Switch Merge LookupTableImportV2 DecodeProtoV2 Send Recv".split(),
)
def test_what_reaches_out_is_not_known(name):
    assert f"refused: holds operation {name!r}" in graph_fault(graph_with(name))


def test_known_operations_exist_and_keep_no_state():
    from tensorflow.python.framework import op_def_registry

    for name in KNOWN:
        definition = op_def_registry.get(name)
        assert definition is not None, name
        # Assert has no result that a program could use; it is how graphs check their input.
        assert not definition.is_stateful or name == "Assert", name
        kinds = {attr.type for attr in definition.attr}
        assert not any("func" in kind for kind in kinds), name


def test_nothing_of_a_refused_graph_runs(frozen_model, tmp_path):
    """A graph that would write a file as soon as it is evaluated."""
    graph = tf.compat.v1.GraphDef.FromString(frozen_model.read_bytes())
    target = tmp_path / "written"
    with tf.Graph().as_default() as evil:
        tf.io.write_file(tf.constant(str(target), name="f"), tf.constant("x", name="c"), name="w")
    graph.node.extend(evil.as_graph_def().node)
    for node in graph.node:
        if node.name == "model_attr/model_version":
            node.input.append("^w")
    (tmp_path / "evil.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(
        InputError, match=r"evil.pb: refused: holds operation 'WriteFile' \(node 'w'"
    ):
        DeepDensity(tmp_path / "evil.pb")
    assert not target.exists()


def test_freeze_refuses_what_loading_would(monkeypatch, tmp_path):
    config = complete_input(copy.deepcopy(SMALL_INPUT))
    monkeypatch.setattr(frozen, "graph_fault", lambda data: "refused: holds operation 'Rsqrt'")
    with pytest.raises(InputError, match="refused: holds operation 'Rsqrt'"):
        freeze(DensityModel(config["model"], 1), config, tmp_path / "model.pb")
    assert not list(tmp_path.iterdir())
