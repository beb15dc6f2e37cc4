"""Training that starts from a trained model, of the same elements or others."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule

from deepdensity_tf.data.sampler import SamplerConfig, assemble
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.infer.compression import compress
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.main import main
from deepdensity_tf.model import Batch
from deepdensity_tf.model.statistics import shift_baseline
from deepdensity_tf.schema import complete_input
from deepdensity_tf.train.checkpoint import TrainingState, load_state, read_checkpoint_input
from deepdensity_tf.train.pretrained import FINETUNE_RATE, load_pretrained
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.shipped import shipped_models


def started(frozen, small_input, **changes):
    """A training of the small input that starts from a frozen model."""
    small_input["model"].update(changes)
    state = TrainingState(complete_input(small_input))
    load_pretrained(str(frozen)).assign_to(state)
    return state


def sample(system, index, type_map, npoints=300):
    frame = DensitySystem(system, type_map).frame(index)
    config = SamplerConfig(npoints, 0.5)
    return assemble([frame], config, [np.random.default_rng(index)])


def density(state, drawn):
    return state.model(Batch(*(getattr(drawn, name) for name in Batch._fields))).numpy()[:, 0]


@pytest.mark.parametrize("electrons", [None, [4.0, 1.0]])
@pytest.mark.parametrize("type_map", ["C H", "H C", "O H N C", "H"])
def test_elements_keep_what_they_know(make_frozen, small_input, small_system, type_map, electrons):
    frozen = make_frozen(electrons=electrons)
    names = type_map.split()
    valence = electrons and [{"C": 4.0, "H": 1.0}.get(name, 6.0) for name in names]
    state = started(frozen, small_input, type_map=names, electrons=valence)
    drawn = sample(small_system, 0, ["C", "H"])
    chosen = np.ones(3, dtype=bool) if "C" in names else drawn.atype == 1
    types = drawn.atype[chosen]
    coord = drawn.coord[chosen]
    expected = DeepDensity(frozen).eval(coord, None, types, drawn.point)
    drawn = drawn._replace(
        coord=coord,
        atype=np.array([names.index("CH"[t]) for t in types], dtype=np.int32),
        coord_splits=np.array([0, len(coord)], dtype=np.int32),
    )
    np.testing.assert_allclose(density(state, drawn), expected, rtol=1e-9, atol=1e-12)
    averages = state.optimizer.average
    for average, variable in zip(averages, state.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(average, variable)


def test_baseline_takes_up_what_the_model_leaves(frozen_model, small_input, small_system):
    (small_system / "type_map.raw").write_text("O\nH\n")  # an element that the model lacks
    names = ["C", "H", "O"]
    state = started(frozen_model, small_input, type_map=names)
    state.model.scale.assign([1e-3])  # nets add little, as in a trained model
    before = state.model.baseline.numpy()

    def draw(index):
        return sample(small_system, index, names, 1000)

    def error():
        drawn = draw(5)
        reference = drawn.density[:, 0]
        return drawn.weight @ np.abs(density(state, drawn) - reference) / (drawn.weight @ reference)

    shift_baseline(state.model, 4, draw)
    after = state.model.baseline.numpy()
    np.testing.assert_array_equal(after[0], before[0])  # no carbon in the data
    assert error() < 0.1 and np.all(after[2, 0, :3] > 0)
    shift_baseline(state.model, 4, draw)
    assert np.abs(state.model.baseline - after).max() < 0.05 * np.abs(after - before).max()


def test_another_model_is_refused(frozen_model, small_input, tmp_path):
    small_input["model"]["fitting_net"]["neuron"] = [17]
    with pytest.raises(InputError, match=r"_gates/layers/0/bias has shape \(16,\), expected"):
        started(frozen_model, small_input)
    compress(frozen_model, tmp_path / "compressed.pb")
    with pytest.raises(InputError, match="is compressed"):
        load_pretrained(str(tmp_path / "compressed.pb"))


def test_section_model_of_fine_tuning(frozen_model, make_frozen, caplog):
    pretrained = load_pretrained(str(frozen_model))
    assert pretrained.complete({"training": {}}) == {
        "training": {"weight_decay": 0.0},
        "model": pretrained.model,
        "learning_rate": FINETUNE_RATE,
    }
    assert not caplog.text
    given = {"model": {"type_map": ["O"], "nspline": 8}, "learning_rate": {"start_lr": 0.01}}
    found = pretrained.complete(given)
    assert found["model"] == {**pretrained.model, "type_map": ["O"]}
    assert found["learning_rate"] == {**FINETUNE_RATE, "start_lr": 0.01}
    assert found["training"] == {"weight_decay": 0.0}
    assert "model.nspline: as in" in caplog.text
    conserving = load_pretrained(str(make_frozen(electrons=[4.0, 1.0])))
    assert conserving.complete({"model": {"type_map": ["H", "C"]}})["model"]["electrons"] == [1, 4]
    with pytest.raises(InputError, match="does not know O; give model.electrons"):
        conserving.complete(given)


@pytest.mark.slow
def test_finetune_and_restart(frozen_model, small_input, small_system, monkeypatch):
    monkeypatch.chdir(small_system.parent)
    training = {**small_input["training"], "numb_steps": 4, "save_freq": 2, "disp_freq": 1}
    training["numb_models"] = "auto"  # one, as several would begin as one
    Path("input.json").write_text(json.dumps({"training": training}))
    command = ["train", "input.json", "--finetune", str(frozen_model)]
    assert main(command) == 0
    curve = np.genfromtxt("lcurve.out", names=True)
    assert curve["lr"].max() <= FINETUNE_RATE["start_lr"]
    written, _ = read_checkpoint_input("model.ckpt")
    assert written["model"] == load_pretrained(str(frozen_model)).model
    whole = load_state("model.ckpt")
    assert len(whole.models) == 1
    assert whole.model.seen.numpy().tolist() == [[6, 6], [12, 6]]
    # Killed after two steps, gone on: the same weights.
    monkeypatch.setattr("deepdensity_tf.train.trainer._Progress.fraction", property(_after_two))
    training["save_ckpt"] = "killed"
    Path("input.json").write_text(json.dumps({"training": training}))
    assert main(command) == 0
    monkeypatch.undo()
    monkeypatch.chdir(small_system.parent)
    assert main([*command, "--restart"]) == 0
    for one, other in zip(whole.model.variables, load_state("killed").model.variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_models_of_before_stay_what_they_are(small_input, small_system, monkeypatch):
    """Checkpoints without keys that say what newer models are, and a restart of them."""
    monkeypatch.chdir(small_system.parent)
    descriptor = small_input["model"]["descriptor"]
    descriptor |= {"bounded": False, "crossed": False}
    small_input["training"]["numb_steps"] = 2
    Path("input.json").write_text(json.dumps(small_input))
    assert main(["train", "input.json"]) == 0
    written = Path("model.ckpt/input.json")
    content = json.loads(written.read_text())
    for key in ("bounded", "crossed"):
        del content["input"]["model"]["descriptor"][key], descriptor[key]
    written.write_text(json.dumps(content))
    assert not load_state("model.ckpt").model.config["descriptor"]["crossed"]
    small_input["training"]["numb_steps"] = 4
    Path("input.json").write_text(json.dumps(small_input))
    assert main(["train", "input.json", "--restart"]) == 0
    found = load_state("model.ckpt")
    found_descriptor = found.model.config["descriptor"]
    assert found.step == 4 and not found_descriptor["bounded"] | found_descriptor["crossed"]


def _after_two(progress):
    return 1.0 if progress.step >= 2 else progress.step / progress.numb_steps


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_can_be_trained_further(name, small_input):
    """Their first member starts where the ensemble is, but for what members differ in."""
    pretrained = load_pretrained(name)
    type_map = pretrained.model["type_map"]
    assert pretrained.elements_seen == set(type_map)
    # Models of before.
    assert not pretrained.model["descriptor"]["bounded"] | pretrained.model["descriptor"]["crossed"]
    del small_input["model"]
    state = TrainingState(complete_input(pretrained.complete(small_input)))
    pretrained.assign_to(state)
    atoms = bulk("Al", cubic=True) if name == "aluminium" else molecule("H2O")
    coord, box = atoms.positions, atoms.cell[:] if atoms.pbc.any() else None
    atype = np.array([type_map.index(element) for element in atoms.symbols], np.int32)
    point = np.random.default_rng(0).uniform(-2, 2, (500, 3)) + coord.mean(0)
    splits = [np.array([0, n], np.int32) for n in (len(coord), len(point))]
    cell = np.zeros(9) if box is None else np.ravel(box)
    batch = Batch(coord, splits[0], atype, cell[None], point, splits[1])
    found = state.model(batch).numpy()[:, 0]
    expected = DeepDensity(name).eval(coord, box, atype, point)
    error = np.abs(found - expected).sum() / np.abs(expected).sum()
    assert 0 < error < 0.1
    # Without the nets' part it is much larger.
    state.model.scale.assign([0.0])
    baseline = np.abs(state.model(batch).numpy()[:, 0] - expected).sum() / np.abs(expected).sum()
    assert baseline > 2 * error
