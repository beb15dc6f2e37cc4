"""All that a new descriptor, fitting or baseline has to hold, for a test of one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from deepdensity_tf.infer.compression import compress, density_error
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.main import main
from deepdensity_tf.model import DensityModel
from deepdensity_tf.model.frozen import flat_batch, freeze
from deepdensity_tf.testing.small import random_model, small_input, write_small_system
from deepdensity_tf.testing.symmetries import ATYPE, BOX, SymmetryTests, assert_same, frame
from deepdensity_tf.train.checkpoint import load_state


class PlugInTests(SymmetryTests):
    """Tests of a model whose pieces a sub-class names.

    Symmetries, smoothness and gradient of the density; the frozen and the compressed model are the
    trained one; spin; all weights are trained; a training that was stopped goes on as if it had
    not been.

    Attributes
    ----------
    sections : dict
        What the `model` section of `testing.small.SMALL_INPUT` is changed by.

    Examples
    --------
    >>> class TestMine(PlugInTests):
    ...     sections = {"fitting_net": {"type": "mine", "width": 0.3}}
    """

    sections: dict = {}
    _frozen: Path
    _trained: DensityModel
    _loaded: DeepDensity

    @pytest.fixture
    def frozen(self, tmp_path_factory):
        """The file of a frozen model with random weights, made once a class."""
        kind = type(self)
        if "_frozen" not in vars(kind):
            path = tmp_path_factory.mktemp("frozen") / "frozen_model.pb"
            kind._trained, config = random_model(**self.sections)
            freeze(kind._trained, config, path)
            kind._frozen, kind._loaded = path, DeepDensity(path)
        return kind._frozen

    @pytest.fixture
    def model(self, frozen) -> DeepDensity:
        return type(self)._loaded

    def test_frozen_is_the_trained_model(self, model):
        coord, points = frame()
        arrays = (coord[None], ATYPE.astype(np.int32), BOX.reshape(1, 9), points[None])
        batch = flat_batch(*(tf.constant(array) for array in arrays))
        trained = type(self)._trained
        state = trained.atom_state(batch.coord, batch.coord_splits, batch.atype, batch.box)
        density = trained.point_density(state, batch).numpy()[:, 0]
        assert_same(density, model.eval(coord, BOX, ATYPE, points))

    def test_compressed_is_the_frozen_model(self, frozen, tmp_path):
        compress(frozen, tmp_path / "compressed.pb")
        assert density_error(frozen, tmp_path / "compressed.pb") < 1e-4

    def test_every_weight_is_trained(self, model):
        coord, points = frame()
        arrays = (coord[None], ATYPE.astype(np.int32), BOX.reshape(1, 9), points[None])
        batch = flat_batch(*(tf.constant(array) for array in arrays))
        trained = type(self)._trained
        with tf.GradientTape() as tape:
            state = trained.atom_state(batch.coord, batch.coord_splits, batch.atype, batch.box)
            error = tf.reduce_sum(trained.point_density(state, batch) ** 2)
        weights = trained.trainable_variables
        for weight, gradient in zip(weights, tape.gradient(error, weights), strict=True):
            assert gradient is not None, f"{weight.name} has no effect"
            assert np.isfinite(tf.convert_to_tensor(gradient).numpy()).all(), weight.name

    def test_spin(self, tmp_path):
        model, config = random_model(**{**self.sections, "spin": True})
        freeze(model, config, tmp_path / "spin.pb")
        coord, points = frame()
        spin = DeepDensity(tmp_path / "spin.pb").eval_spin(coord, BOX, ATYPE, points)
        assert np.isfinite(spin).all() and np.abs(spin).max() > 0

    @pytest.mark.slow
    def test_restart_gives_the_weights_of_one_run(self, tmp_path, monkeypatch):
        states = {}
        for name, stops in (("whole", [6]), ("parts", [3, 6])):
            folder = tmp_path / name
            part = write_small_system(folder / "data") / "set.000"
            np.save(part / "spin_density.npy", 0.1 * np.load(part / "density.npy"))
            monkeypatch.chdir(folder)
            data = small_input(**self.sections)
            for stop in stops:
                # A rate and a weight decay that do not depend on the length of the run.
                steps = {"numb_steps": stop, "disp_freq": 3, "save_freq": 3}
                data["training"] |= {**steps, "weight_decay": 0.2}
                data["learning_rate"] = {"start_lr": 1e-3, "stop_lr": 1e-3, "warmup_steps": 0}
                (folder / "input.json").write_text(json.dumps(data))
                options = ["--restart"] if stop != stops[0] else []
                assert main(["-q", "train", "input.json", *options]) == 0
            states[name] = load_state(folder / "model.ckpt")
        for one, other in zip(
            states["whole"].model.variables, states["parts"].model.variables, strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9, err_msg=one.name)
