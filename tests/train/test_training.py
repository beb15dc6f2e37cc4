"""Training from the command line's point of view: files, restart, messages."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def workdir(tmp_path, small_system, small_input, monkeypatch):
    """A folder with data and input.json, made the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    return tmp_path


def run_train(*arguments, threads=1, **popen):
    """dd-tf train in a process of its own, with few threads so that sums have one order."""
    environment = {
        **os.environ,
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, "-m", "deepdensity_tf", "train", *arguments]
    return subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **popen
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def final_weights(folder):
    from deepdensity_tf.train.checkpoint import load_state

    state = load_state(folder)
    return state.step, [v.numpy() for v in (*state.model.variables, *state.optimizer.average)]


def edit(path: Path, **training):
    data = json.loads(path.read_text())
    data["training"].update(training)
    path.write_text(json.dumps(data))


@pytest.mark.slow
def test_files_and_learning_curve(workdir):
    edit(workdir / "input.json", validation_data={"systems": "data", "frames": "4:"})
    code, _, err = finish(run_train("input.json"))
    assert code == 0, err
    curve = np.genfromtxt("lcurve.out", names=True)
    assert list(curve["step"]) == [5, 10, 15, 20]
    for name in ("nmae_val", "nmae_trn", "loss_trn", "lr", "time"):
        assert np.isfinite(curve[name]).all()
    completed = json.loads(Path("out.json").read_text())
    assert completed["training"]["seed"] == 1
    assert completed["model"]["baseline"]["type"] == "atomic"
    assert "points/s" in err and "left" in err and "Traceback" not in err


@pytest.mark.slow
def test_killed_and_restarted_gives_the_same_weights(workdir):
    """SIGKILL at a moment between checkpoints; the restart ends as an uninterrupted run."""
    edit(workdir / "input.json", numb_steps=400, save_freq=20, disp_freq=20)
    whole = workdir / "whole"
    whole.mkdir()
    edit_input = json.loads((workdir / "input.json").read_text())
    edit_input["training"]["training_data"]["systems"] = str(workdir / "data")
    (whole / "input.json").write_text(json.dumps(edit_input))
    uninterrupted = run_train("input.json", cwd=whole)
    assert finish(uninterrupted)[0] == 0

    process = run_train("input.json")
    deadline = time.monotonic() + 120
    while not Path("model.ckpt/checkpoint").exists():  # the last that a first checkpoint writes
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    time.sleep(0.3 * np.random.default_rng().random())
    process.send_signal(signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL
    step, _ = final_weights("model.ckpt")
    assert 0 < step < 400

    code, _, err = finish(run_train("input.json", "--restart"))
    assert code == 0, err
    assert f"from step {step}" in err
    step, weights = final_weights("model.ckpt")
    step_whole, weights_whole = final_weights(whole / "model.ckpt")
    assert step == step_whole == 400
    for a, b in zip(weights, weights_whole, strict=True):
        np.testing.assert_array_equal(a, b)
    steps = np.genfromtxt("lcurve.out", names=True)["step"]
    np.testing.assert_array_equal(steps, np.arange(20, 401, 20))


@pytest.mark.slow
def test_terminated_run_saves_and_exits_zero(workdir):
    edit(workdir / "input.json", numb_steps=100000)
    process = run_train("input.json")
    deadline = time.monotonic() + 120
    while not Path("model.ckpt/checkpoint").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 0 and "--restart" in err
    assert final_weights("model.ckpt")[0] > 0


@pytest.mark.slow
def test_max_time_stops_the_run(workdir):
    edit(workdir / "input.json", numb_steps=10**6, max_time=2.0)
    code, _, err = finish(run_train("input.json"))
    assert code == 0, err
    assert 0 < final_weights("model.ckpt")[0] < 10**6


@pytest.mark.slow
def test_init_model_starts_from_the_averaged_weights(workdir):
    from deepdensity_tf.train.checkpoint import load_state

    assert finish(run_train("input.json"))[0] == 0
    edit(workdir / "input.json", save_ckpt="second", numb_steps=1)
    data = json.loads(Path("input.json").read_text())
    data["learning_rate"] = {"start_lr": 1e-12, "stop_lr": 1e-12}
    Path("input.json").write_text(json.dumps(data))
    assert finish(run_train("input.json", "--init-model", "model.ckpt"))[0] == 0
    first, second = load_state("model.ckpt"), load_state("second")
    for average, variable in zip(
        first.optimizer.average, second.model.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(variable, average, atol=1e-10)


@pytest.mark.slow
def test_refuses_to_overwrite_and_to_restart_another_model(workdir):
    assert finish(run_train("input.json"))[0] == 0
    code, _, err = finish(run_train("input.json"))
    assert code == 2 and "model.ckpt: holds checkpoints already" in err
    data = json.loads(Path("input.json").read_text())
    data["model"]["nspline"] = 30
    Path("input.json").write_text(json.dumps(data))
    code, _, err = finish(run_train("input.json", "--restart"))
    assert code == 2 and "section model differs" in err


@pytest.mark.slow
def test_the_model_learns(workdir):
    edit(workdir / "input.json", numb_steps=300, disp_freq=100)
    # The baseline alone is all that there is to learn: Gaussians at atoms.
    data = json.loads(Path("input.json").read_text())
    data["model"]["baseline"] = {"type": "none"}
    Path("input.json").write_text(json.dumps(data))
    assert finish(run_train("input.json", threads=2))[0] == 0
    curve = np.genfromtxt("lcurve.out", names=True)
    assert curve["nmae_trn"][-1] < min(5.0, 0.5 * curve["nmae_trn"][0])


@pytest.mark.slow
def test_atoms_on_periodic_images_of_each_other(workdir):
    (workdir / "data" / "nopbc").unlink()
    coord = np.load("data/set.000/coord.npy")
    coord[:, 3:6] = coord[:, 0:3] + [6.0, 0, 0]
    np.save("data/set.000/coord.npy", coord)
    code, _, err = finish(run_train("input.json"))
    assert code == 2 and "Traceback" not in err
    assert "frame 0" in err and "0 Å apart" in err


@pytest.mark.parametrize(
    ("best", "steps", "elapsed", "said"),
    [
        (40, 100, 7.0, "numb_steps: 40"),
        (40, 60, 10.5, "max_time: 7"),  # time ended it
        (90, 100, 7.0, None),  # close to the end
        (40, 60, 7.0, None),  # interrupted
        (None, 100, 7.0, None),  # not validated
    ],
)
def test_a_run_that_was_too_long_is_told_of(small_input, caplog, best, steps, elapsed, said):
    from deepdensity_tf.entrypoints.train import _tell_of_early_best
    from deepdensity_tf.schema import complete_input
    from deepdensity_tf.train.checkpoint import TrainingState

    small_input["training"] |= {"numb_steps": 100, "max_time": 10.0}
    config = complete_input(small_input)
    state = TrainingState(config)
    state.optimizer.step.assign(steps)
    state.elapsed.assign(elapsed)
    if best:
        state.best.consider(1.0, state.average, best)
    with caplog.at_level("INFO"):
        _tell_of_early_best(state, config["training"])
    lines = [record.message for record in caplog.records if "least" in record.message]
    assert len(lines) == (1 if said else 0)
    assert not said or said in lines[0] and f"step {best} of {steps}" in lines[0]
