"""Training with PAW occupancies: learned, shown, frozen, resumed; data that do not go with it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepdensity_tf.data.augmentation import OccupancyLabels
from deepdensity_tf.data.sampler import SamplerConfig, assemble
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.data.writer import write_system
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.metrics import occupancy_error
from deepdensity_tf.loss import DensityLoss
from deepdensity_tf.main import main
from deepdensity_tf.model.augmentation import PredictedOccupancies
from deepdensity_tf.schema import complete_input
from deepdensity_tf.train.checkpoint import load_state
from deepdensity_tf.train.pretrained import load_pretrained
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import Channels

CHANNELS = Channels("gpaw", {"C": (0, 1), "H": (0,)})


def labelled(system):
    """Frames of C H H whose occupancies follow from their bonds; the last frame has none."""
    frames = list(DensitySystem(system))
    made = []
    for frame in frames:
        values = np.full((3, 10), np.nan)
        bond = frame.coord[1] - frame.coord[0]
        length = np.linalg.norm(bond)
        values[0] = [length, *bond[[1, 2, 0]], length**2, 0, 0, 0, 0, 0]
        values[1:, 0] = [length, 1 / length]
        made.append(replace(frame, augmentation=values))
    return [*made[:-1], frames[-1]]


@pytest.fixture
def workdir(tmp_path, small_system, small_input, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_system(tmp_path / "labelled", labelled(small_system), ["C", "H"], channels=CHANNELS)
    small_input["model"]["augmentation"] = True
    small_input["model"]["descriptor"]["npass"] = 1
    small_input["training"]["training_data"]["systems"] = "labelled"
    small_input["training"]["validation_data"] = {"systems": "labelled", "frames": "3:"}
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    return tmp_path


@pytest.mark.slow
def test_trained_resumed_and_frozen(workdir):
    assert main(["train", "input.json"]) == 0
    curve = np.genfromtxt("lcurve.out", names=True)
    assert np.isfinite(curve["aug_val"]).all() and curve["aug_trn"][-1] < curve["aug_trn"][0]
    completed = json.loads(Path("out.json").read_text())
    assert json.loads(completed["model"]["augmentation"]) == CHANNELS.to_dict()
    data = json.loads(Path("input.json").read_text())  # true again, as the user wrote it
    data["training"]["numb_steps"] = 25
    Path("input.json").write_text(json.dumps(data))
    assert main(["train", "input.json", "--restart"]) == 0
    assert main(["freeze", "--last"]) == 0
    model = DeepDensity("frozen_model.pb")
    frame = DensitySystem("labelled").frame(0)
    found = model.eval_augmentation(frame.coord, None, frame.atype).total
    # Statistics alone bring it near: lengths are 1 Å and a little.
    np.testing.assert_allclose(found[:, 0], frame.augmentation[:, 0], atol=0.3)


def test_data_without_occupancies_or_spin(workdir, small_system, caplog, capsys):
    data = json.loads(Path("input.json").read_text())
    data["training"]["training_data"]["systems"] = "data"
    Path("bare.json").write_text(json.dumps(data))
    assert main(["train", "bare.json"]) == 2
    message = "model.augmentation is true, found no augmentation.npy in the data"
    assert message in capsys.readouterr().err
    frame = DensitySystem("labelled").frame(0)
    with pytest.raises(InputError, match="found no spin_augmentation.npy"):
        OccupancyLabels(CHANNELS, ("C", "H"), spin=True).of(frame)


def test_loss_and_error_are_sums_over_atoms_with_labels(workdir):
    """Of one frame with labels and one without."""
    system = DensitySystem("labelled")
    frames = [system.frame(0), system.frame(system.nframes - 1)]
    config = SamplerConfig(100, 0.5, augmentation=OccupancyLabels(CHANNELS, ("C", "H")))
    sample = assemble(frames, config, np.random.default_rng(0).spawn(2))
    assert np.isfinite(sample.augmentation[:, 0, 0]).tolist() == [True] * 3 + [False] * 3
    rng = np.random.default_rng(1)
    values = np.where(np.isfinite(sample.augmentation), sample.augmentation, 0.0)
    noise, unit = rng.normal(size=values.shape), rng.uniform(1, 2, (6, 1))
    predicted = PredictedOccupancies(values + noise, unit)
    loss = DensityLoss({})
    errors = loss.errors(sample.density, sample, None, predicted).augmentation
    known = np.isfinite(sample.augmentation)
    norms = np.sqrt(np.where(known, noise**2, 0).sum(-1)[:, 0]) / unit[:, 0]
    np.testing.assert_allclose(errors, [norms[:3].mean(), 0.0], rtol=1e-9)
    percent = occupancy_error(predicted.values[:3], sample.augmentation[:3], unit[:3])
    assert percent == pytest.approx(100 * np.sqrt((norms[:3] ** 2).mean()))
    assert occupancy_error(predicted.values[3:], sample.augmentation[3:], unit[3:]) is None


@pytest.fixture
def relabelled(workdir):
    """Data of N H H, other numbers, beside those of C H H; a model trained on these."""
    frames = [
        replace(frame, augmentation=None if frame.augmentation is None else 2 * frame.augmentation)
        for frame in labelled(workdir / "data")
    ]
    channels = Channels("gpaw", {"N": (0, 1), "H": (0,)})
    write_system(workdir / "other", frames, ["N", "H"], channels=channels)
    assert main(["train", "input.json"]) == 0
    assert main(["freeze", "--last"]) == 0
    return workdir


def head_of(source):
    """Means and units of the occupancies of each element."""
    known = load_pretrained(source)
    names, values = known.model["type_map"], known.values
    pairs = (
        (values[f"augmentation/{k}"][place] for k in ("mean", "scale", "unit"))
        for place in range(len(names))
    )
    return dict(zip(names, map(list, pairs), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--finetune", "--init-model"])
def test_new_elements_get_their_statistics(relabelled, option):
    data = json.loads(Path("input.json").read_text())
    data["model"]["type_map"] = ["N", "C", "H"]
    data["training"]["training_data"]["systems"] = "other"
    data["training"] |= {"save_ckpt": "tuned", "numb_steps": 2}
    del data["training"]["validation_data"]
    Path("other.json").write_text(json.dumps(data))
    assert main(["train", "other.json", option, "frozen_model.pb"]) == 0
    before, after = head_of("frozen_model.pb"), head_of("tuned")
    for element in "CH":  # trained before
        for one, other in zip(before[element], after[element], strict=True):
            np.testing.assert_array_equal(one, other)
    for k, (one, other) in enumerate(zip(before["C"], after["N"], strict=True)):
        if k < 2:
            np.testing.assert_allclose(other, 2 * one, rtol=1e-6)


@pytest.mark.slow
def test_a_new_head_gets_its_statistics(relabelled):
    data = json.loads(Path("input.json").read_text())
    bare = json.loads(json.dumps(data))
    bare["model"]["augmentation"] = False
    bare["training"]["save_ckpt"] = "bare"
    Path("bare.json").write_text(json.dumps(bare))
    assert main(["train", "bare.json"]) == 0
    data["training"] |= {"save_ckpt": "tuned", "numb_steps": 2}
    Path("input.json").write_text(json.dumps(data))
    assert main(["train", "input.json", "--finetune", "bare"]) == 0
    expected, found = head_of("frozen_model.pb"), head_of("tuned")
    for element in "CH":
        np.testing.assert_allclose(found[element][0], expected[element][0], rtol=1e-6)


@pytest.mark.slow
def test_occupancies_alone(relabelled, capsys):
    """The density stays that of the model given; the best weights are those of the occupancies."""
    data = json.loads(Path("input.json").read_text())
    data["training"] |= {"trained": "augmentation", "save_ckpt": "alone", "disp_freq": 5}
    Path("alone.json").write_text(json.dumps(data))
    assert main(["train", "alone.json"]) == 2
    assert "expected a trained model by --finetune" in capsys.readouterr().err
    assert main(["train", "alone.json", "--finetune", "frozen_model.pb"]) == 0
    before, after = load_pretrained("frozen_model.pb").values, load_pretrained("alone").values
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {name.split("/")[0] for name in changed} == {"augmentation"}
    errors = np.genfromtxt("lcurve.out", names=True)["aug_val"]
    assert float(load_state("alone").best.error) == pytest.approx(errors.min(), rel=1e-3)
    data["training"] |= {"trained": "all", "numb_steps": 20}
    Path("alone.json").write_text(json.dumps(data))
    assert main(["train", "alone.json", "--finetune", "frozen_model.pb", "--restart"]) == 2
    assert "a restart trains the same weights" in capsys.readouterr().err
    data["model"]["augmentation"] = False
    with pytest.raises(InputError, match=r"model\.augmentation is false, expected true"):
        complete_input(data | {"training": data["training"] | {"trained": "augmentation"}}, "x")


@pytest.mark.slow
def test_an_element_of_more_channels_begins_a_new_head(relabelled, caplog):
    channels = Channels("gpaw", {"N": (0, 1, 2), "H": (0,)})
    frames = list(DensitySystem("data"))
    for place, frame in enumerate(frames):
        values = np.full((3, channels.width), np.nan)
        values[0], values[1:, 0] = 0.5 + place, 1.0 + place
        frames[place] = replace(frame, augmentation=values)
    write_system("wider", frames, ["N", "H"], channels=channels)
    data = json.loads(Path("input.json").read_text())
    data["model"]["type_map"] = ["C", "H", "N"]
    data["training"] |= {"save_ckpt": "wide", "numb_steps": 2}
    data["training"]["training_data"]["systems"] = "wider"
    del data["training"]["validation_data"]
    Path("input.json").write_text(json.dumps(data))
    assert main(["train", "input.json", "--init-model", "frozen_model.pb"]) == 0
    assert "other channels than those of the input; they are learned anew" in caplog.text
    found = head_of("wide")
    assert found["N"][0].shape == (1, channels.width)
    assert found["H"][0][0, 0] == pytest.approx(np.mean([1.0 + k for k in range(6)]))
