"""Several models that learn side by side and are frozen as one."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.main import main
from deepdensity_tf.train.checkpoint import load_state
from tests.faults.test_training import at_step


@pytest.fixture
def train(tmp_path, small_system, small_input, monkeypatch, capsys):
    """Factory: exit code and messages of a short training of some models."""
    monkeypatch.chdir(tmp_path)
    small_input["training"].update(numb_steps=4, save_freq=2, disp_freq=1)
    small_input["training"]["validation_data"] = {
        "systems": "data",
        "frames": "4:",
        "numb_points": 4096,  # all there are
    }
    # The fewest operations: to trace them is what takes time here.
    small_input["model"]["descriptor"] = {"type": "se_e2_a", "neuron": [4], "axis_neuron": 2}
    small_input["model"]["fitting_net"] = {"neuron": [4], "nradial": 4}

    def run(folder, *options, fitting=None, **training):
        small_input["model"]["fitting_net"].update(fitting or {})
        training = {"save_ckpt": folder, "disp_file": f"{folder}.out", **training}
        text = json.dumps({**small_input, "training": {**small_input["training"], **training}})
        Path("input.json").write_text(text)
        return main(["train", "input.json", *options]), capsys.readouterr().err

    return run


def test_each_learns_as_it_would_alone(train):
    """But for the others, nothing differs: neither its start, nor its steps, nor its average."""
    assert train("two", numb_models=2)[0] == 0
    assert train("alone")[0] == 0
    two, alone = load_state("two"), load_state("alone")
    first, second = (model.variables for model in two.models)
    for variable, expected in zip(first, alone.model.variables, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=1e-9, atol=1e-12)
    trained = len(alone.trained)
    for place, expected in enumerate(alone.average):
        np.testing.assert_allclose(two.average[place], expected, rtol=1e-9, atol=1e-12)
    others = two.average[trained:]
    assert len(others) == trained
    apart = [np.abs(a - b).max() for a, b in zip(two.average, others, strict=False)]
    assert max(apart) > 1e-2
    for name in ("baseline", "scale", "seen"):  # what is known before the first step
        one, other = (getattr(model, name).numpy() for model in two.models)
        np.testing.assert_array_equal(one, other)
    assert len(first) == len(second)


def test_the_mean_is_validated_and_frozen(train, capsys):
    code, told = train("two", numb_models=2)
    assert code == 0 and ", each of 2 models" in told
    assert main(["freeze", "-c", "two"]) == 0
    assert (
        main(["test", "-m", "frozen_model.pb", "-s", "data", "--frames", "4:", "--json", "e"]) == 0
    )
    capsys.readouterr()
    found = np.mean([frame["nmae"] for frame in json.loads(Path("e").read_text())["frames"]])
    curve = np.genfromtxt("two.out", names=True)
    np.testing.assert_allclose(found, curve["nmae_val"].min(), rtol=1e-4)
    positions, atype = [[0.0, 0, 0], [1.1, 0, 0], [0, 1.2, 0]], [0, 1, 1]
    of_frames, of_atoms = DeepDensity("frozen_model.pb").eval_deviation(positions, None, atype)
    assert np.all(of_frames > 0) and np.all(of_atoms > 0)


def test_stopped_and_gone_on_gives_the_same(train, monkeypatch):
    assert train("whole", numb_models=2)[0] == 0
    main_thread = threading.main_thread().ident
    with monkeypatch.context() as patch:
        at_step(patch, 2, lambda: signal.pthread_kill(main_thread, signal.SIGTERM))
        assert train("stopped", numb_models=2)[0] == 0
    assert load_state("stopped").step < 4
    # The number is that of the checkpoint where the input leaves it open.
    assert train("stopped", "--restart", numb_models="auto")[0] == 0
    whole, stopped = load_state("whole"), load_state("stopped")
    assert len(stopped.models) == 2
    for one, other in zip(whole.models, stopped.models, strict=True):
        for a, b in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    for one, other in zip(whole.optimizers, stopped.optimizers, strict=True):
        for a, b in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(a, b)
    code, told = train("stopped", "--restart", numb_models=3)
    assert code == 2 and "training.numb_models is 3, in stopped it is 2" in told


def test_four_by_default(train):
    code, told = train("four", numb_models="auto")
    assert code == 0 and ", each of 4 models" in told


def test_what_cannot_be_several_is_refused(train, make_frozen):
    code, told = train("pair", numb_models=2, fitting={"type": "pair"})
    assert code == 2 and "training.numb_models is 2" in told and "expected type expansion" in told
    code, told = train("tuned", "--finetune", str(make_frozen()), numb_models=2)
    assert code == 2 and "training.numb_models is 2, expected 1 with --finetune" in told
    assert not list(Path().glob("*.out")) and not Path("pair").exists()


def test_models_side_by_side_share_the_cores():
    """An operation takes its share of the threads, unless their number was set."""
    share = (
        "from deepdensity_tf.train.side_by_side import share_threads, threads_for;"
        "from deepdensity_tf.utils.ops import num_threads;"
        "before = num_threads(); assert not threads_for(2);"
        "share_threads(2); after = num_threads();"
        "assert threads_for(2) and not threads_for(3);"
    )
    programs = {
        "": share + "assert after == max(1, before // 2), (before, after)",
        "2": share + "assert after == before <= 2, (before, after)",
    }
    for threads, program in programs.items():
        environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": threads}
        subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env=environment)


def test_threads_of_their_own_change_nothing(train):
    """A process that begins with the training gives each model a thread; this one may not."""
    assert train("here", numb_models=2)[0] == 0
    data = json.loads(Path("input.json").read_text())
    data["training"].update(save_ckpt="there", disp_file="there.out")
    Path("input.json").write_text(json.dumps(data))
    command = [sys.executable, "-m", "deepdensity_tf", "train", "input.json"]
    # As few threads as there can be: the training makes those that it needs.
    few = {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    subprocess.run(command, check=True, timeout=240, env={**os.environ, **few})
    here, there = load_state("here"), load_state("there")
    assert len(there.models) == 2
    for one, other in zip(here.average, there.average, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
