"""Output files: whole or not at all, clear lines when the disk says no."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_folder, atomic_path


def test_file_appears_when_complete(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old" and temporary.suffix == ".txt"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_failure_leaves_what_was_there(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "b") as temporary:
        (temporary / "x").write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["a.txt"]


def test_messages(tmp_path):
    with pytest.raises(InputError, match="does not exist"), atomic_path(tmp_path / "no" / "a"):
        pass
    with pytest.raises(InputError, match="is a directory"), atomic_path(tmp_path):
        pass
    with pytest.raises(InputError, match="exists already"), atomic_folder(tmp_path):
        pass


def test_full_disk_while_predicting(frozen_model, tmp_path):
    """A file size limit stands for a full disk: one line, exit code 2, nothing left behind."""
    (tmp_path / "a.xyz").write_text("1\n\nC 0 0 0\n")

    def limit():
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    command = [sys.executable, "-m", "deepdensity_tf", "predict", "-m", str(frozen_model)]
    command += ["a.xyz", "--grid", "30", "30", "30", "-o", "rho.npy"]
    result = subprocess.run(command, cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert result.returncode == 2
    assert "rho.npy" in result.stderr and "Traceback" not in result.stderr
    assert os.listdir(tmp_path) == ["a.xyz"]


def test_full_disk_while_training_keeps_the_last_checkpoint(small_system, small_input, tmp_path):
    import json

    (tmp_path / "input.json").write_text(json.dumps(small_input))

    def limit():
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # Enough for out.json and the learning curve, too little for a checkpoint.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "deepdensity_tf", "train", "input.json"]
    result = subprocess.run(command, cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("dd-tf: error: model.ckpt: the checkpoint of step 5 cannot be written")
    assert not (tmp_path / "model.ckpt" / "checkpoint").exists()
    assert np.isfinite(np.genfromtxt(tmp_path / "lcurve.out", names=True)["nmae_trn"]).all()
