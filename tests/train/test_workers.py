"""Several processes that train together give what one process gives."""

import json
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from tests.train.test_training import edit, final_weights, finish, run_train


@pytest.fixture
def workdir(tmp_path, small_system, small_input, monkeypatch):
    """A folder with data and an input for a batch of two frames."""
    monkeypatch.chdir(tmp_path)
    for key in ("TF_CONFIG", "SLURM_NTASKS"):
        monkeypatch.delenv(key, raising=False)
    small_input["training"]["training_data"]["systems"] = str(tmp_path / "data")
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    return tmp_path


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(monkeypatch, count, *arguments, chief=False):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    processes = []
    for rank in range(count):
        jobs = {"worker": addresses}
        task = {"type": "worker", "index": rank}
        if chief:
            jobs = {"chief": addresses[:1], "worker": addresses[1:]}
            task = {"type": "worker", "index": rank - 1} if rank else {"type": "chief", "index": 0}
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))
        processes.append(run_train("input.json", *arguments))
    monkeypatch.delenv("TF_CONFIG")
    return processes


@pytest.mark.slow
def test_two_workers_give_the_weights_of_one_process(workdir, monkeypatch):
    alone = workdir / "alone"
    alone.mkdir()
    (alone / "input.json").write_text((workdir / "input.json").read_text())
    assert finish(run_train("input.json", cwd=alone))[0] == 0
    for code, _, err in map(finish, start_workers(monkeypatch, 2)):
        assert code == 0, err
    step, expected = final_weights(alone / "model.ckpt")
    together, found = final_weights(workdir / "model.ckpt")
    assert step == together == 20
    # Sums over frames in another order: rounding of float64, amplified by 20 steps of Adam.
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-7, atol=1e-9)
    assert any(np.abs(a).max() > 0.1 for a in expected)
    curves = [np.loadtxt(folder / "lcurve.out")[:, 1:4] for folder in (alone, workdir)]
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)


@pytest.mark.slow
def test_time_ends_all_workers_at_one_step(workdir, monkeypatch):
    edit(workdir / "input.json", numb_steps=10**6, max_time=3.0)
    for code, _, err in map(finish, start_workers(monkeypatch, 2)):
        assert code == 0, err
    assert 0 < final_weights(workdir / "model.ckpt")[0] < 10**6


def test_batches_that_cannot_be_shared(workdir, monkeypatch):
    from deepdensity_tf.schema import complete_input, read_input
    from deepdensity_tf.train.training_data import TrainingData
    from deepdensity_tf.train.workers import Workers
    from deepdensity_tf.utils.errors import InputError

    config = complete_input(read_input("input.json"))
    with pytest.raises(InputError, match="batch_size is 2, expected a multiple of the 3 workers"):
        TrainingData(config, Workers(strategy=None, rank=0, count=3))


def test_parts_of_a_batch_make_the_whole(workdir):
    from deepdensity_tf.schema import complete_input, read_input
    from deepdensity_tf.train.training_data import TrainingData
    from deepdensity_tf.train.workers import Workers

    config = complete_input(read_input("input.json"))
    whole, *parts = (
        TrainingData(config, Workers(None, rank, count)).batches(5)
        for rank, count in ((0, 1), (0, 2), (1, 2))
    )
    for name in ("coord", "point", "density", "weight"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))


@pytest.mark.parametrize(
    ("task", "index", "rank"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)]
)
def test_the_chief_comes_before_the_workers(task, index, rank):
    import tensorflow as tf

    from deepdensity_tf.train.workers import _rank

    cluster = tf.train.ClusterSpec({"chief": ["a:1"], "worker": ["b:1", "c:1"]})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(cluster, "", task, index)
    assert _rank(resolver) == rank


@pytest.mark.parametrize("kind", ["ps", "evaluator"])
def test_tasks_that_do_not_train(workdir, monkeypatch, capsys, kind):
    from deepdensity_tf.main import main

    cluster = {"worker": ["a:1", "b:1"], kind: ["c:1"]}
    for task in ("worker", kind):
        text = json.dumps({"cluster": cluster, "task": {"type": task, "index": 0}})
        monkeypatch.setenv("TF_CONFIG", text)
        assert main(["train", "input.json"]) == 2
        assert f"TF_CONFIG: found tasks of type {kind}, expected" in capsys.readouterr().err


@pytest.mark.slow
def test_sigterm_to_one_worker_stops_all_at_one_step(workdir, monkeypatch):
    """With a chief; no step at the end's learning rate: the rates are those of one run."""
    edit(workdir / "input.json", numb_steps=120, disp_freq=1)
    alone = workdir / "alone"
    alone.mkdir()
    (alone / "input.json").write_text((workdir / "input.json").read_text())
    assert finish(run_train("input.json", cwd=alone))[0] == 0
    processes = start_workers(monkeypatch, 2, chief=True)
    deadline = time.monotonic() + 120
    while not Path("lcurve.out").exists() or len(Path("lcurve.out").read_text()) < 1000:
        assert time.monotonic() < deadline and processes[0].poll() is None
        time.sleep(0.02)
    processes[1].send_signal(signal.SIGTERM)
    for code, _, err in map(finish, processes):
        assert code == 0, err
    assert 0 < final_weights(workdir / "model.ckpt")[0] < 120
    for code, _, err in map(finish, start_workers(monkeypatch, 2, "--restart", chief=True)):
        assert code == 0, err
    assert final_weights(workdir / "model.ckpt")[0] == 120
    rates = [np.genfromtxt(f / "lcurve.out", names=True)["lr"] for f in (alone, workdir)]
    np.testing.assert_array_equal(rates[1], rates[0])


def test_malformed_tf_config(workdir, monkeypatch, capsys):
    from deepdensity_tf.main import main

    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ')
    assert main(["train", "input.json"]) == 2
    assert "TF_CONFIG: does not describe workers" in capsys.readouterr().err
