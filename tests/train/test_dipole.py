"""Dipole moments of frames and models, and learning from them."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from deepdensity_tf.data.frames import FrameList
from deepdensity_tf.data.sampler import SamplerConfig, assemble
from deepdensity_tf.data.system import DensitySystem, find_systems
from deepdensity_tf.loss import DensityLoss
from deepdensity_tf.main import main
from deepdensity_tf.model.density_model import Batch
from deepdensity_tf.testing.small import random_model, write_small_system
from deepdensity_tf.utils.radial import RadialGrid


def test_moment_of_a_frame_is_its_sum(tmp_path):
    frame = DensitySystem(write_small_system(tmp_path / "data", nframes=1)).frame(0)
    about = frame.points() - frame.coord.mean(0)
    expected = frame.density.astype(np.float64) @ about * frame.volume_element
    np.testing.assert_allclose(frame.first_moment, expected, atol=1e-9)
    assert (
        DensitySystem(write_small_system(tmp_path / "pbc", pbc=True)).frame(0).first_moment is None
    )


def test_moments_of_splines_against_a_fine_sum():
    grid = RadialGrid(3.0, 20)
    r = (np.arange(300_000) + 0.5) / 300_000 * 3.0
    expected = (4 * np.pi / 3 * r**4 / np.hypot(r, grid.soft) * 1e-5) @ grid.values(r)
    np.testing.assert_allclose(grid.moments(), expected, rtol=1e-7)


def test_moment_of_a_model_is_that_of_its_density():
    """Two frames of different size, wherever they lie, against sums over grids."""
    model, _ = random_model()
    rng = np.random.default_rng(2)
    sizes = [4, 2]
    coord = np.concatenate([rng.uniform(0, 2.0, (n, 3)) + 7 * k for k, n in enumerate(sizes)])
    splits, atype = np.array([0, 4, 6], np.int32), np.array([0, 1, 1, 0, 1, 0], np.int32)
    state = model.atom_state(coord, splits, atype, np.zeros((2, 9)))
    found = model.first_moments(state, coord, splits).numpy()
    for k in range(2):
        own = slice(*splits[k : k + 2])
        axes = [np.arange(-3.2, 5.3, 0.125) + 7 * k] * 3
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        ends = np.array([0, len(points)], np.int32)
        batch = Batch(
            coord[own], splits[k : k + 2] - splits[k], atype[own], np.zeros((1, 9)), points, ends
        )
        density = model(batch).numpy()[:, 0]
        expected = density @ (points - coord[own].mean(0)) * 0.125**3
        # Splines are C2: the sum converges as the fourth power of the spacing.
        np.testing.assert_allclose(found[k], expected, atol=2e-4 * np.abs(density).sum() * 0.125**3)


def test_the_loss_is_the_distance_of_moments_for_each_electron(small_system):
    (system,) = find_systems(small_system, ["C", "H"])
    frames = FrameList([system], [range(3)])
    config = SamplerConfig(100, 0.5, dipole=True)
    sample = assemble(frames[:], config, np.random.default_rng(0).spawn(3))
    np.testing.assert_allclose(sample.first_moment[1], system.frame(1).first_moment)
    sample = sample._replace(
        first_moment=sample.first_moment + [[3.0, 0, 4.0], [0, 0, 0], [np.nan] * 3]
    )
    loss = DensityLoss(
        {
            "pref_dipole": 2.0,
            **dict.fromkeys(("pref_abs", "pref_sq", "pref_charge", "pref_spin", "pref_aug"), 0.0),
        }
    )
    own = tf.constant(np.stack([frame.first_moment for frame in frames]))
    with tf.GradientTape() as tape:
        tape.watch(own)
        errors = loss.errors(sample.density, sample, moments=own)
        total = loss(errors)
    expected = np.array([5.0, 1e-6, 0.0]) / sample.electrons
    np.testing.assert_allclose(errors.dipole, expected, rtol=1e-6)
    np.testing.assert_allclose(total, 2 * expected.mean(), rtol=1e-6)
    assert np.isfinite(tape.gradient(total, own)).all()


def test_training_learns_them_and_says_so(small_input, small_system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_input["loss"] = {"pref_dipole": 1.0}
    small_input["training"]["validation_data"] = {"systems": "data", "numb_points": 100}
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    assert main(["train", "input.json"]) == 0
    names, *rows = [
        line.lstrip("#").split() for line in Path("lcurve.out").read_text().splitlines()
    ]
    errors = np.array(rows, float)[:, [names.index("dipole_val"), names.index("dipole_trn")]]
    assert np.isfinite(errors).all() and (errors > 0).all()
    # A restart may leave it out, and take it up again.
    small_input["training"]["numb_steps"] = 25
    small_input["loss"] = {}
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    assert main(["train", "input.json", "--restart"]) == 0
    small_input["training"]["numb_steps"] = 30
    small_input["loss"] = {"pref_dipole": 1.0}
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    assert main(["train", "input.json", "--restart"]) == 0
    lines = Path("lcurve.out").read_text().splitlines()
    assert np.isfinite([float(line.split()[2]) for line in lines[-1:]]).all()


def test_where_no_moment_is_known_it_is_refused(small_input, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_small_system(tmp_path / "data", pbc=True)
    small_input["loss"] = {"pref_dipole": 1.0}
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    assert main(["train", "input.json"]) == 2
    assert "found no isolated frame" in capsys.readouterr().err
    small_input["model"]["fitting_net"] = {"type": "pair"}
    (tmp_path / "input.json").write_text(json.dumps(small_input))
    assert main(["train", "input.json"]) == 2
    assert "loss.pref_dipole needs" in capsys.readouterr().err
