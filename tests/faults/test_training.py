"""What breaks while training: numbers, data on disk, the disk itself. In this process, so quick."""

import json
import logging
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.data.sampler import BatchSampler
from deepdensity_tf.loss import DensityLoss
from deepdensity_tf.main import main
from deepdensity_tf.train.checkpoint import load_state


@pytest.fixture
def workdir(tmp_path, small_system, small_input, monkeypatch):
    """A folder with data and input.json, made the current one."""
    monkeypatch.chdir(tmp_path)
    small_input["training"].update(numb_steps=12, save_freq=4, disp_freq=4)
    # The fewest operations: to trace them is what takes time here.
    small_input["model"]["descriptor"] = {"type": "se_e2_a", "neuron": [4], "axis_neuron": 2}
    small_input["model"]["fitting_net"] = {"neuron": [4], "nradial": 4}
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    return tmp_path


def edit(**sections):
    data = json.loads(Path("input.json").read_text())
    for name, changes in sections.items():
        data.setdefault(name, {}).update(changes)
    Path("input.json").write_text(json.dumps(data))


def train(capsys, *options):
    code = main(["train", "input.json", *options])
    return code, capsys.readouterr().err


def finite_states(folder="model.ckpt"):
    """The last step, after a look at every number of its state."""
    state = load_state(folder)
    for variable in (*state.model.variables, *state.optimizer.variables):
        assert np.isfinite(variable.numpy()).all(), variable.name
    return state.step


def at_step(monkeypatch, step, action):
    """Do something when the batch of a step is drawn."""
    draw = BatchSampler.__call__

    def drawn(self, number):
        if number == step:
            action()
        return draw(self, number)

    monkeypatch.setattr(BatchSampler, "__call__", drawn)


def poison(monkeypatch, wrong):
    """NaN as the reference of the steps (from 0) of which `wrong` is true."""
    draw = BatchSampler.__call__

    def poisoned(self, step):
        sample = draw(self, step)
        return sample._replace(density=sample.density * np.nan) if wrong(step) else sample

    monkeypatch.setattr(BatchSampler, "__call__", poisoned)


def test_a_step_without_a_gradient_changes_no_weight(workdir, capsys, monkeypatch):
    """The run goes on, says so, and counts; the learning curve averages the others."""
    edit(training={"numb_steps": 9, "save_ckpt": "short"})
    assert train(capsys)[0] == 0
    before = load_state("short")
    poison(monkeypatch, lambda step: step in (9, 10))
    monkeypatch.chdir(workdir)
    edit(training={"numb_steps": 11, "save_ckpt": "short", "disp_freq": 1})
    code, err = train(capsys, "--restart")
    assert code == 0 and finite_states("short") == 11
    line = next(line for line in err.splitlines() if "step 10:" in line)
    assert "the gradient is not finite (loss nan)" in line and "(batch: data/set.000 frame" in line
    after = load_state("short")
    for a, b in zip(before.model.variables, after.model.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("first", "second", "average"):
        pairs = zip(getattr(before.optimizer, name), getattr(after.optimizer, name), strict=True)
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)
    assert after.optimizer.skipped == 2


def test_many_steps_without_a_gradient_end_the_run(workdir, capsys, monkeypatch):
    """One line names step, frames and checkpoint."""
    poison(monkeypatch, lambda step: step >= 9)
    edit(training={"save_freq": 1, "disp_freq": 4, "numb_steps": 100})
    code, err = train(capsys)
    line = err.splitlines()[-1]
    assert code == 2 and "Traceback" not in err
    assert "no gradient of 20 steps in a row is finite, up to step 29 (batch: data/set.000" in line
    assert "the last good checkpoint is that of step 28 in model.ckpt" in line
    assert finite_states() == 28
    curve = np.genfromtxt("lcurve.out", names=True)
    assert np.isfinite(curve["nmae_trn"][curve["step"] <= 12]).all()


def test_gradient_of_nan_is_not_used(workdir, capsys, monkeypatch):
    """A loss that is finite with a gradient that is none, step after step."""

    @tf.custom_gradient
    def treacherous(x):
        return x, lambda upstream: upstream * np.nan

    call = DensityLoss.__call__
    monkeypatch.setattr(
        DensityLoss, "__call__", lambda self, errors: treacherous(call(self, errors))
    )
    edit(training={"save_freq": 100, "numb_steps": 100})
    code, err = train(capsys)
    assert code == 2 and "in a row is finite, up to step 20 " in err
    assert "no checkpoint was written yet" in err and not Path("model.ckpt").exists()


def test_weights_that_give_no_density_are_not_saved(workdir, capsys):
    """A learning rate so large that two steps lead to finite weights of infinite density."""
    edit(
        model={"precision": "float32"},
        training={"save_freq": 1},
        learning_rate={"start_lr": 1e18, "stop_lr": 1e18},
    )
    code, err = train(capsys)
    # The first step moves only the matrices that start from zero.
    assert code == 2 and "not finite after step 2 (batch: data/set.000 frame" in err, err
    assert "the last good checkpoint is that of step 1 in model.ckpt" in err
    assert finite_states() == 1


@pytest.mark.parametrize("damage", ["truncated", "rewritten", "removed", "replaced"])
def test_data_changed_while_training(workdir, capsys, monkeypatch, damage):
    path = Path("data/set.000/density.npy")
    whole = path.read_bytes()

    def change():
        if damage == "removed":
            path.unlink()
        elif damage == "replaced":
            Path("other").write_bytes(whole)
            os.replace("other", path)
        else:
            path.write_bytes(whole[:3000] if damage == "truncated" else whole)

    at_step(monkeypatch, 6, change)
    code, err = train(capsys)
    line = err.splitlines()[-1]
    word = "removed" if damage == "removed" else "changed"
    assert code == 2 and f"density.npy: was {word} while in use" in line
    assert "checkpoint of step 6 is in model.ckpt" in line and "--restart" in line
    assert finite_states() == 6
    path.write_bytes(whole)
    monkeypatch.undo()
    monkeypatch.chdir(workdir)
    assert train(capsys, "--restart")[0] == 0
    assert finite_states() == 12


def test_bugs_in_drawing_batches_are_not_hidden(workdir, monkeypatch):
    def fail():
        raise ZeroDivisionError("a bug")

    at_step(monkeypatch, 2, fail)
    with pytest.raises(tf.errors.OpError, match="a bug"):
        main(["train", "input.json"])


def test_sigterm_saves_says_so_and_exits_zero(workdir, capsys, monkeypatch):
    main_thread = threading.main_thread().ident
    # Batches are drawn up to six steps ahead: some are done when this one is drawn.
    at_step(monkeypatch, 9, lambda: signal.pthread_kill(main_thread, signal.SIGTERM))
    code, err = train(capsys)
    assert code == 0 and "told to stop: writing a checkpoint; continue by --restart" in err
    assert 0 < finite_states() < 12
    monkeypatch.undo()
    monkeypatch.chdir(workdir)
    code, err = train(capsys, "--restart")
    assert code == 0 and finite_states() == 12


def test_best_weights_survive_a_restart(workdir, capsys, monkeypatch):
    """Those of the least validation error are frozen; stopping and going on changes nothing."""
    edit(
        training={
            "validation_data": {"systems": "data", "frames": "4:"},
            "disp_freq": 1,
            "save_ckpt": "whole",
            "disp_file": "whole.out",
        },
        learning_rate={"start_lr": 0.3, "stop_lr": 0.29},  # so that it jumps about
    )
    assert train(capsys)[0] == 0
    edit(training={"save_ckpt": "model.ckpt", "disp_file": "lcurve.out"})
    main_thread = threading.main_thread().ident
    at_step(monkeypatch, 7, lambda: signal.pthread_kill(main_thread, signal.SIGTERM))
    assert train(capsys)[0] == 0 and load_state("model.ckpt").step < 12
    monkeypatch.undo()
    monkeypatch.chdir(workdir)
    assert train(capsys, "--restart")[0] == 0

    whole, stopped = load_state("whole"), load_state("model.ckpt")
    for a, b in zip(whole.best.variables, stopped.best.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    curve = np.genfromtxt("whole.out", names=True)
    least = int(np.argmin(curve["nmae_val"]))
    assert whole.best.step == curve["step"][least] < 12
    np.testing.assert_allclose(whole.best.error, curve["nmae_val"][least], rtol=1e-5)
    assert main(["freeze", "-o", "best.pb"]) == 0
    assert f"best.pb: step {least + 1} of model.ckpt" in capsys.readouterr().err
    assert whole.take_result(last=True) == 12
    for variable, average in zip(
        whole.model.trainable_variables, whole.optimizer.average, strict=True
    ):
        np.testing.assert_array_equal(variable, average)


def test_restart_on_other_data_warns(workdir, capsys):
    assert train(capsys)[0] == 0
    path = Path("data/set.000/density.npy")
    np.save(path, 1.01 * np.load(path))
    edit(training={"numb_steps": 16})
    code, err = train(capsys, "--restart")
    assert code == 0 and "warning: training_data: other frames than those of the checkpoints" in err
    stored = json.loads(Path("model.ckpt/input.json").read_text())
    assert stored["input"]["training"]["numb_steps"] == 16


def test_damaged_last_state_gives_way_to_the_one_before(workdir, capsys):
    assert train(capsys)[0] == 0
    path = next(Path("model.ckpt").glob("state-12.data*"))
    path.write_bytes(path.read_bytes()[:1000])
    edit(training={"numb_steps": 13})
    code, err = train(capsys, "--restart")
    assert code == 0 and "warning: model.ckpt/state-12: damaged" in err
    assert "going on from step 8" in err and finite_states() == 13


def test_leftovers_of_a_killed_run_go(workdir, capsys):
    folder = Path("model.ckpt")
    (folder / "state-3_temp").mkdir(parents=True)
    for name in ("state-3_temp/part", "state-3.index", "checkpoint.tmp123"):
        (folder / name).write_text("half")
    (folder / "state-notes.txt").write_text("mine")
    assert train(capsys)[0] == 0
    names = sorted(path.name for path in folder.iterdir())
    states = [f"state-{k}.{end}" for k in (12, 4, 8) for end in ("data-00000-of-00001", "index")]
    assert names == ["checkpoint", "input.json", *states, "state-notes.txt"]


def test_log_is_small(workdir, capsys):
    edit(training={"numb_steps": 400, "save_freq": 100, "disp_freq": 100})
    code, err = train(capsys)
    assert code == 0 and len(err.splitlines()) < 12
    assert all(len(line) < 160 for line in err.splitlines())


def test_same_seed_same_model(workdir, capsys):
    """Twice in one process and with two threads: bit by bit."""
    frozen = []
    for name in ("one", "two"):
        edit(training={"save_ckpt": name, "seed": 7})
        assert train(capsys)[0] == 0
        assert main(["-q", "freeze", "-c", name, "-o", f"{name}.pb"]) == 0
        state = load_state(name)
        frozen.append([v.numpy() for v in (*state.model.variables, *state.optimizer.average)])
    for first, second in zip(*frozen, strict=True):
        np.testing.assert_array_equal(first, second)
    assert Path("one.pb").stat().st_size == Path("two.pb").stat().st_size


def test_model_tells_its_origin(workdir, capsys):
    """out.json, version and checksum of the data are in the model, and shown."""
    from deepdensity_tf import __version__

    assert train(capsys)[0] == 0
    assert main(["-q", "freeze"]) == 0
    capsys.readouterr()
    assert main(["show", "frozen_model.pb", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["training_script"] == json.loads(Path("out.json").read_text())
    assert facts["package_version"] == __version__
    assert facts["data_checksum"].startswith("sha256:") and len(facts["data_checksum"]) == 71
    assert main(["show", "frozen_model.pb"]) == 0
    assert facts["data_checksum"] in capsys.readouterr().out


@pytest.fixture(autouse=True)
def quiet_again():
    yield
    logging.getLogger("deepdensity_tf").setLevel(logging.NOTSET)
