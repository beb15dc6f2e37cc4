"""Several models frozen as one: mean density, deviation, expected errors."""

import json

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.infer.compression import compress
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.deviation import model_deviation
from deepdensity_tf.main import main
from deepdensity_tf.model import DensityModel
from deepdensity_tf.model.ensemble import RADIUS, check_members
from deepdensity_tf.schema import complete_input
from deepdensity_tf.train.checkpoint import CheckpointFolder, TrainingState
from deepdensity_tf.utils.errors import InputError
from tests.conftest import SMALL_INPUT, assign_baseline, random_weights, write_small_system

CELL = np.array([[6.0, 0, 0], [0.5, 6.5, 0], [0.0, -0.6, 7.0]])
ATOMS = Atoms("CHH", [[1.0, 1.0, 1.0], [2.0, 1.2, 1.0], [0.6, 1.9, 1.3]], cell=CELL)


def _checkpoint(folder, seed: int):
    config = complete_input({**SMALL_INPUT, "training": {**SMALL_INPUT["training"], "seed": seed}})
    state = TrainingState(config)
    random_weights(state.model, seed)
    for average, weight in zip(
        state.optimizer.average, state.model.trainable_variables, strict=True
    ):
        average.assign(weight)
    assign_baseline(state.model)
    state.model.scale.assign([0.1])
    state.model.seen.assign([[4, 4], [8, 4]])
    CheckpointFolder(folder, state).save()
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two members, each frozen alone, and the two as one."""
    folder = tmp_path_factory.mktemp("ensemble")
    checkpoints = [str(_checkpoint(folder / f"c{seed}", seed)) for seed in (1, 2)]
    singles = []
    for place, checkpoint in enumerate(checkpoints):
        singles.append(str(folder / f"{place}.pb"))
        assert main(["freeze", "-q", "-c", checkpoint, "-o", singles[-1]]) == 0
    assert main(["freeze", "-q", "-c", *checkpoints, "-o", str(folder / "both.pb")]) == 0
    return singles, str(folder / "both.pb")


@pytest.mark.parametrize("pbc", [True, False])
def test_mean_and_deviation_are_those_of_the_members(files, pbc):
    singles, both = files
    models, ensemble = [DeepDensity(file) for file in singles], DeepDensity(both)
    points = np.random.default_rng(0).uniform(0, 4, (50, 3))
    box = CELL if pbc else None
    atype = ensemble.atype_of(list(ATOMS.symbols))
    given = (ATOMS.positions, box, atype)
    density = [model.eval(*given, points) for model in models]
    assert np.abs(density[0] - density[1]).max() > 1e-3
    np.testing.assert_allclose(ensemble.eval(*given, points), np.mean(density, 0), rtol=1e-12)
    electrons = np.mean([model.eval_electrons(*given) for model in models], 0)
    np.testing.assert_allclose(ensemble.eval_electrons(*given), electrons, rtol=1e-12)
    atoms = ATOMS.copy()
    atoms.pbc = pbc
    expected = model_deviation(models, atoms, RADIUS)
    of_frames, of_atoms = ensemble.eval_deviation(*given)
    np.testing.assert_allclose(of_frames, [expected.total], rtol=1e-10)
    np.testing.assert_allclose(of_atoms, [expected.atoms], rtol=1e-10)


def test_deviation_of_many_frames_and_compressed(files, tmp_path):
    ensemble = DeepDensity(files[1])
    coord = np.stack([ATOMS.positions, 1.02 * ATOMS.positions])
    atype = ensemble.atype_of(list(ATOMS.symbols))
    of_frames, of_atoms = ensemble.eval_deviation(coord, None, atype)
    for place, one in enumerate(coord):
        alone = ensemble.eval_deviation(one, None, atype)
        np.testing.assert_allclose(of_frames[place], alone[0][0], rtol=1e-12)
        np.testing.assert_allclose(of_atoms[place], alone[1][0], rtol=1e-12)
    compress(files[1], tmp_path / "c.pb")
    found = DeepDensity(tmp_path / "c.pb").eval_deviation(coord, None, atype)
    np.testing.assert_allclose(found[1], of_atoms, rtol=1e-4)


def test_a_single_model_has_no_deviation(files):
    with pytest.raises(InputError, match="single model"):
        DeepDensity(files[0][0]).eval_deviation(ATOMS.positions, None, [0, 1, 1])


def test_members_must_be_alike():
    def model(**changes):
        return DensityModel(
            complete_input(
                {"model": {**SMALL_INPUT["model"], **changes}, "training": SMALL_INPUT["training"]}
            )["model"]
        )

    with pytest.raises(InputError, match=r"b: nspline is 30, expected 24 as in a"):
        check_members([model(), model(nspline=30)], ["a", "b"])
    with pytest.raises(InputError, match="b: fitting type pair has no coefficients"):
        check_members([model(), model(fitting_net={"type": "pair"})], ["a", "b"])


def test_odd_numbers_of_electrons_are_odd_in_molecules_alone(files, tmp_path):
    system = write_small_system(tmp_path / "data")
    (system / "nopbc").unlink()
    calibrated = str(tmp_path / "calibrated.pb")
    assert main(["test", "-q", "-m", files[1], "-s", str(system), "--calibrate", calibrated]) == 0
    known = DeepDensity(calibrated).calibration
    assert known["periodic"] == [True] and not known["closed_shell"]


def test_calibration_and_domain(files, tmp_path, capsys):
    """Expected errors are those of the calibration; what is unlike it is named."""
    system = write_small_system(tmp_path / "data")
    calibrated = str(tmp_path / "calibrated.pb")
    arguments = ["test", "-q", "-m", files[1], "-s", str(system), "--calibrate", calibrated]
    assert main(arguments) == 0
    model = DeepDensity(calibrated)
    assert model.calibration["frames"] == 6 and model.calibration["periodic"] == [False]
    assert model.calibration["closed_shell"]
    report = tmp_path / "report.json"
    assert main(["test", "-m", calibrated, "-s", str(system), "--json", str(report)]) == 0
    assert "expected NMAE %" in capsys.readouterr().out
    frames = json.loads(report.read_text())["frames"]
    ratio = np.log([entry["nmae"] / entry["expected_nmae"] for entry in frames])
    assert ratio.mean() == pytest.approx(0, abs=1e-12)
    assert np.exp(ratio.std(ddof=1)) == pytest.approx(model.calibration["scatter"])

    def predicted(atoms: Atoms) -> str:
        file = tmp_path / "a.extxyz"
        atoms.write(file)
        grid = ["--grid", "6", "6", "6", "-o", str(tmp_path / "rho.npy")]
        assert main(["predict", "-m", calibrated, str(file), *grid]) == 0
        return capsys.readouterr().err

    first = np.load(system / "set.000" / "coord.npy")[0].reshape(-1, 3)
    assert "outside" not in (text := predicted(Atoms("CHH", first))) and "expected NMAE" in text
    assert "odd number of electrons" in predicted(Atoms("CH", first[:2]))
    periodic = Atoms("CHH", first, cell=[6, 6, 6], pbc=True)
    assert "a periodic structure: the model was tested on isolated" in predicted(periodic)
    far = first.copy()
    far[1] += far[1] - far[0]
    assert "has bonds of order" in predicted(Atoms("CHH", far))
