"""Initial moments: both signs, symmetries, statistics, and the way from files to predictions."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.infer.compression import compress
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.main import main
from deepdensity_tf.model import Batch, DensityModel
from deepdensity_tf.model.frozen import freeze
from deepdensity_tf.model.statistics import initialise_statistics
from deepdensity_tf.testing.small import (
    gaussian_density,
    random_model,
    small_input,
    write_small_system,
)
from deepdensity_tf.testing.symmetries import ATYPE, BOX, frame, random_rotation
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.magmom_text import read_magmom
from deepdensity_tf.utils.paw_blocks import Channels
from deepdensity_tf.utils.signed_types import signed_types, signs
from tests.conftest import completed_model
from tests.model.test_statistics import sample

RTOL = 1e-10
CHANNELS = Channels("gpaw", {"C": (0, 1, 0), "H": (0, 1)})
MAGMOM = np.array([2.0, -0.5, 0.0, -1.0, 1.0])
MOMENTS = {"spin": True, "initial_magmom": True}


@pytest.fixture(scope="module")
def frozen(make_frozen):
    return make_frozen(**MOMENTS, augmentation=CHANNELS.to_json())


@pytest.fixture(scope="module")
def model(frozen):
    return DeepDensity(frozen)


def types(magmom=MAGMOM):
    return signed_types(ATYPE, magmom, 2)


def assert_same(a, b):
    scale = np.nanmax(np.abs(a))
    assert scale > 1e-3
    np.testing.assert_allclose(b, a, rtol=0, atol=RTOL * scale)


def test_types_and_signs():
    found = types()
    np.testing.assert_array_equal(found % 2, ATYPE)
    np.testing.assert_array_equal(signs(found, 2), np.sign(MAGMOM))
    assert found.max() < 6


@pytest.mark.parametrize("box", [None, BOX], ids=["molecule", "crystal"])
def test_all_moments_turned(model, box):
    """The density stays, the spin density turns; one moment turned is another structure."""
    coord, points = frame()
    turned, other = types(-MAGMOM), types(MAGMOM * [-1, 1, 1, 1, 1])
    density, spin = (f(coord, box, types(), points) for f in (model.eval, model.eval_spin))
    assert_same(density, model.eval(coord, box, turned, points))
    assert_same(spin, -model.eval_spin(coord, box, turned, points))
    assert np.abs(model.eval(coord, box, other, points) - density).max() > 1e-6
    assert np.abs(np.abs(model.eval_spin(coord, box, other, points)) - abs(spin)).max() > 1e-6


def test_occupancies_turn_as_the_density(model):
    coord, _ = frame()
    given = model.eval_augmentation(coord, BOX, types())
    turned = model.eval_augmentation(coord, BOX, types(-MAGMOM))
    assert_same(given.total, turned.total)
    assert_same(given.spin, -turned.spin)


def test_no_moment_no_spin(model):
    coord, points = frame()
    none = types(0 * MAGMOM)
    np.testing.assert_array_equal(none, ATYPE)
    assert np.abs(model.eval_spin(coord, BOX, none, points)).max() == 0
    occupancies = model.eval_augmentation(coord, BOX, none)
    assert np.nanmax(np.abs(occupancies.spin)) == 0 < np.nanmax(np.abs(occupancies.total))


@pytest.mark.parametrize("mirror", [1, -1], ids=["proper", "improper"])
def test_rotation_and_permutation(model, mirror):
    coord, points = frame()
    rotation = mirror * random_rotation()
    order = np.array([3, 4, 0, 2, 1])
    for evaluate in (model.eval, model.eval_spin):
        before = evaluate(coord, BOX, types(), points)
        turned = evaluate(coord @ rotation, BOX @ rotation, types(), points @ rotation)
        assert_same(before, turned)
        assert_same(before, evaluate(coord[order], BOX, types()[order], points))


def test_grid_electrons_and_compressed(model, frozen, tmp_path):
    coord, _ = frame()
    shape = (5, 6, 7)
    fractional = np.stack(np.unravel_index(np.arange(210), shape), -1) / shape
    listed = model.eval_spin(coord, BOX, types(), fractional @ BOX)
    grid = model.eval_grid(coord, BOX, types(), shape, spin=True)
    assert_same(listed, grid.ravel())
    electrons = [model.eval_electrons(coord, BOX, types(m))[0] for m in (MAGMOM, -MAGMOM)]
    np.testing.assert_allclose(*electrons, rtol=RTOL)
    compress(frozen, tmp_path / "c.pb", tolerance=1e-10)
    small = DeepDensity(tmp_path / "c.pb")
    np.testing.assert_allclose(
        small.eval_grid(coord, BOX, types(), shape, spin=True), grid, atol=1e-7 * abs(grid).max()
    )


def test_electrons_conserved_whatever_the_moments(make_frozen):
    model = DeepDensity(make_frozen(**MOMENTS, electrons=[4.0, 1.0]))
    coord, points = frame()
    density, turned = (model.eval(coord, BOX, types(m), points) for m in (MAGMOM, -MAGMOM))
    assert_same(density, turned)


def test_ensembles(make_frozen, tmp_path):
    members = [random_model(seed, **MOMENTS) for seed in (1, 2)]
    freeze([m for m, _ in members], members[0][1], tmp_path / "e.pb")
    coord, points = frame()
    ensemble = DeepDensity(tmp_path / "e.pb")
    spin = ensemble.eval_spin(coord, BOX, types(), points)
    assert_same(spin, -ensemble.eval_spin(coord, BOX, types(-MAGMOM), points))
    deviations = [ensemble.eval_deviation(coord, BOX, types(m))[0] for m in (MAGMOM, -MAGMOM)]
    np.testing.assert_allclose(*deviations, rtol=1e-8)


def test_baseline_of_the_spin_has_the_signs():
    """Atomic spin densities times signs are the baseline's alone: it finds them."""
    rng, box, sign = np.random.default_rng(1), 6.0 * np.eye(3), np.array([1, -1, -1])
    rest = np.array([[1.0, 1, 1], [4, 4, 1], [1, 4, 4]])
    frames = []
    for k in range(4):
        coord, turn = rest + rng.normal(0, 0.2, rest.shape), sign * (-1) ** k

        def density(points, coord=coord, turn=turn):
            total = gaussian_density(points, coord, [4, 1, 1], box, 0.55)
            return np.stack([total, gaussian_density(points, coord, 0.5 * turn, box, 0.55)], 1)

        atype = signed_types(np.array([0, 1, 1]), turn, 2)
        frames.append(sample(coord, box, atype, density, npoints=3000, seed=k))
    model = DensityModel(completed_model(**MOMENTS), seed=3)
    initialise_statistics([model], len(frames), lambda index: frames[index])
    for part in frames:
        found = model(Batch.of(part)).numpy()  # an untrained model is its baseline
        error = np.abs(found - part.density).sum(0) / np.abs(part.density).sum(0)
        assert error.max() < 0.02, error


def write_magnetic_system(folder, magmom):
    """The small system, polarised as the moments of its frames (nframes, 3) say."""
    write_small_system(folder, nframes=len(magmom), pbc=True)
    part = folder / "set.000"
    coord = np.load(part / "coord.npy").reshape(-1, 3, 3)
    points = np.stack(np.unravel_index(np.arange(16**3), (16,) * 3), -1) / 16 * 6.0
    spin = [
        gaussian_density(points, x, 0.4 * np.sign(m), 6.0 * np.eye(3), 0.55)
        for x, m in zip(coord, magmom, strict=True)
    ]
    np.save(part / "spin_density.npy", np.array(spin, np.float32))
    np.save(part / "initial_magmom.npy", np.asarray(magmom, float))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model trained on moments of all kinds of signs, frozen, beside its data and input."""
    folder = tmp_path_factory.mktemp("moments")
    signs_of_frames = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [1, 1, -1]]
    write_magnetic_system(folder / "data", signs_of_frames)
    (folder / "input.json").write_text(json.dumps(small_input(**MOMENTS)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "input.json"]) == main(["freeze"]) == 0
    return folder


@pytest.fixture
def trained(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def test_from_data_to_prediction(trained):
    """Train, test, predict from a file with --magmom: the spin density follows the moments."""
    main(["test", "-m", "frozen_model.pb", "-s", "data", "--json", "errors.json"])
    errors = json.loads((trained / "errors.json").read_text())
    assert errors["all"]["spin_nmae"] < 30  # of the density's sum; 100 if signs did not count
    coord = np.load(trained / "data/set.000/coord.npy")[1].reshape(3, 3)
    atoms = Atoms("CH2", coord, cell=6 * np.eye(3), pbc=True)
    ase.io.write(trained / "POSCAR", atoms)
    grid = ["--grid", "16", "16", "16"]
    for name, text in (("given", "1 2*-1"), ("turned", "-3 2*3")):
        main(
            ["predict", "-m", "frozen_model.pb", "POSCAR", *grid, "--magmom", text]
            + ["-o", f"{name}.npz"]
        )
    given, turned = (np.load(trained / f"{name}.npz") for name in ("given", "turned"))
    reference = np.load(trained / "data/set.000/spin_density.npy")[1].reshape(16, 16, 16)
    error = np.abs(given["spin_density"] - reference).sum() / np.abs(reference).sum()
    assert error < 0.35, error
    assert_same(given["spin_density"], -turned["spin_density"])
    np.testing.assert_array_equal(given["initial_magmom"], [1, -1, -1])
    # What was written is data to train on again.
    main(["convert", "given.npz", "-o", "again"])
    np.testing.assert_array_equal(
        np.load(trained / "again/set.000/initial_magmom.npy"), [[1, -1, -1]]
    )
    main(["convert", "given.npz", "--magmom", "0 2*4", "-o", "other", "--type-map", "H", "C"])
    np.testing.assert_array_equal(
        np.load(trained / "other/set.000/initial_magmom.npy"), [[4, 4, 0]]
    )


def test_moments_from_extended_xyz(trained):
    atoms = Atoms("CH2", [[1, 1, 1], [2, 1, 1], [1, 2, 1.0]], cell=6 * np.eye(3), pbc=True)
    atoms.set_initial_magnetic_moments([1, -1, 1])
    ase.io.write(trained / "a.extxyz", atoms)
    main(["predict", "-m", "frozen_model.pb", "a.extxyz", "-o", "a.npz"])
    np.testing.assert_array_equal(np.load(trained / "a.npz")["initial_magmom"], [1, -1, 1])


def test_lacking_or_wrong_moments(trained, frozen_model):
    atoms = Atoms("CH2", [[1, 1, 1], [2, 1, 1], [1, 2, 1.0]], cell=6 * np.eye(3), pbc=True)
    ase.io.write(trained / "POSCAR", atoms)
    model = DeepDensity(trained / "frozen_model.pb")
    with pytest.raises(InputError, match="takes the signs of the atoms' initial moments"):
        model.types_of(atoms)
    with pytest.raises(InputError, match="expected 0 to 5"):
        model.eval(atoms.positions, None, [0, 1, 6], [[0.0, 0, 0]])
    for text, message in (
        ("1 1", "found 2 moments, expected 3"),
        ("1 up 1", "found 'up', expected a moment"),
        ("9*1", "N up to 3"),
        ("nan 1 1", "found 'nan'"),
    ):
        with pytest.raises(InputError, match=message):
            read_magmom(text, 3)
    assert main(["predict", "-m", "frozen_model.pb", "POSCAR"]) == 2
    assert main(["predict", "-m", str(frozen_model), "POSCAR", "--magmom", "3*1"]) == 2


def test_data_without_moments(tmp_path, monkeypatch, capsys):
    write_magnetic_system(tmp_path / "data", [[1, 1, 1]])
    (tmp_path / "data/set.000/initial_magmom.npy").unlink()
    (tmp_path / "input.json").write_text(json.dumps(small_input(**MOMENTS)))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "input.json"]) == 2
    message = "model.initial_magmom is true, found no initial_magmom.npy"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"initial_magmom": True}, "model.spin is False, expected True"),
        (
            {**MOMENTS, "fitting_net": {"type": "pair"}},
            "model.fitting_net.type is pair, expected expansion",
        ),
    ],
)
def test_settings_that_do_not_go_together(changes, message):
    with pytest.raises(InputError, match=message):
        completed_model(**changes)
