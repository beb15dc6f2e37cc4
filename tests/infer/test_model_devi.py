"""dd-tf model-devi: the spread of an ensemble."""

from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.infer.deviation import model_deviation
from deepdensity_tf.main import main
from deepdensity_tf.utils import quadrature
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.quadrature import ball
from tests.conftest import write_small_system
from tests.data.test_layouts import make_mixed

CELL = np.array([[6.0, 0, 0], [0.5, 6.5, 0], [0.0, -0.6, 7.0]])
ATOMS = Atoms("CHH", [[1.0, 1.0, 1.0], [2.0, 1.2, 1.0], [0.6, 1.9, 1.3]], cell=CELL, pbc=True)


@pytest.fixture(scope="module")
def ensemble(make_frozen):
    """Files of three models of different seeds; the third knows the types in another order."""
    return [make_frozen(), make_frozen(seed=7), make_frozen(seed=8, type_map=["H", "C"])]


@pytest.fixture
def devi(capsys, tmp_path, monkeypatch, ensemble):
    """Runs `dd-tf model-devi` in tmp_path; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, models=ensemble):
        code = main(["model-devi", "-m", *map(str, models), *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_rule_of_the_ball():
    points, weights = ball(1.3)
    assert weights.sum() == pytest.approx(4 / 3 * np.pi * 1.3**3, rel=1e-12)
    # x^2 z^4 over the ball: 4 pi / 9 R^9 times the mean of x^2 z^4 on the sphere, 3 / 105.
    found = weights @ (points[:, 0] ** 2 * points[:, 2] ** 4)
    assert found == pytest.approx(4 * np.pi / 9 * 1.3**9 * 3 / 105, rel=1e-12)


@pytest.fixture
def fine_rule(monkeypatch):
    """More points in a ball: random models are rough."""
    monkeypatch.setattr(quadrature, "_NRADIAL", 40)
    monkeypatch.setattr(quadrature, "_DEGREE", 35)
    ball.cache_clear()
    yield
    ball.cache_clear()


def test_definition(ensemble, fine_rule):
    """The same integrals on a fine grid."""
    models = [DeepDensity(file) for file in ensemble]
    found = model_deviation(models, ATOMS, 1.2)
    step = 0.04
    axis = np.arange(-1.2, 1.2 + step, step)
    points = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    points = points[np.linalg.norm(points, axis=1) < 1.2]
    spreads, sums = [], []
    for center in ATOMS.positions:
        density = [
            m.eval(ATOMS.positions, CELL, m.atype_of(list(ATOMS.symbols)), center + points)
            for m in models
        ]
        spreads.append(np.std(density, axis=0).sum())
        sums.append(np.abs(np.mean(density, axis=0)).sum())
    np.testing.assert_allclose(found.atoms, 100 * np.divide(spreads, sums), rtol=0.005)
    assert found.total == pytest.approx(100 * sum(spreads) / sum(sums), rel=0.005)
    assert found.atoms.min() > 0.01 and found.largest > 0


def test_equal_models_do_not_deviate(ensemble):
    model = DeepDensity(ensemble[0])
    found = model_deviation([model] * 3, ATOMS, 1.5)
    np.testing.assert_array_equal(found.atoms, 0)
    assert found.total == 0 and found.largest == 0
    with pytest.raises(InputError, match="found 1 model"):
        model_deviation([model], ATOMS, 1.5)


def test_translation_and_order_do_not_matter(ensemble):
    models = [DeepDensity(file) for file in ensemble]
    first = model_deviation(models, ATOMS, 1.5)
    moved = ATOMS[[2, 0, 1]]
    moved.positions += [3.3, -2.1, 5.7]
    moved.wrap()
    second = model_deviation(models[::-1], moved, 1.5)
    # The models work in float32 or float64; sums of the atoms come in another order.
    np.testing.assert_allclose(second.atoms, first.atoms[[2, 0, 1]], rtol=1e-6)


def test_output_and_candidates(devi, ensemble, tmp_path):
    rng = np.random.default_rng(0)
    images = []
    for _ in range(6):
        images.append(ATOMS.copy())
        images[-1].positions += rng.normal(0, 0.2, (3, 3))
    ase.io.write("md.extxyz", images)
    arguments = ["-s", "md.extxyz", "-f", 10, "--atomic"]
    code, out, err = devi(*arguments)
    assert code == 0 and out.startswith("6 frames, largest max_devi_rho"), err
    header = Path("model_devi.out").read_text().splitlines()[0].split()
    assert header[1:4] == ["step", "max_devi_rho", "min_devi_rho"]
    table = np.loadtxt("model_devi.out")
    np.testing.assert_array_equal(table[:, 0], 10 * np.arange(6))
    models = [DeepDensity(file) for file in ensemble]
    atoms = ase.io.read("md.extxyz", index=4)
    found = model_deviation(models, atoms, 1.5)
    expected = [found.atoms.max(), found.atoms.min(), found.atoms.mean(), found.total]
    np.testing.assert_allclose(table[4, 1:], [*expected, found.largest, *found.atoms], rtol=1e-5)

    ranked = np.sort(table[:, 1])
    lo, hi = ranked[1:3].mean(), ranked[3:5].mean()
    code, out, err = devi(*arguments, "-o", "b.out", "--lo", lo, "--hi", hi)
    assert code == 0, err
    assert out.splitlines()[1:] == [
        "accurate        2   33.33 %",
        "candidates      2   33.33 %",
        "failed          2   33.33 %",
    ]
    rows = [line.split() for line in Path("b.candidates").read_text().splitlines()[1:]]
    chosen = np.flatnonzero((table[:, 1] >= lo) & (table[:, 1] < hi))
    assert [(row[0], int(row[1])) for row in rows] == [("md.extxyz", i) for i in chosen]


def test_equal_models_and_several_systems(devi, ensemble, tmp_path):
    write_small_system(tmp_path / "data" / "a", nframes=2)
    write_small_system(tmp_path / "data" / "b", nframes=3)
    code, out, err = devi("-s", "data", "--frames", "1:", models=[ensemble[0]] * 2)
    assert code == 0, err
    table = np.loadtxt("model_devi.out")
    np.testing.assert_array_equal(table[:, 0], [1, 1, 2])
    np.testing.assert_array_equal(table[:, 1:], 0)
    assert Path("model_devi.out").read_text().count("# data/") == 2


def test_mixed_and_hdf5_systems(devi, tmp_path):
    """A frame has the same deviation wherever it lies."""
    folder = write_small_system(tmp_path / "one", nframes=6)
    code, _, err = devi("-s", "one", "-o", "one.out")
    assert code == 0, err
    with h5py.File("two.hdf5", "w") as file:
        for name in ("a", "b"):
            group = file.create_group(name)
            group["type.raw"] = [0, 1, 1]
            group["type_map.raw"] = np.array(["C", "H"], dtype="S")
            group["nopbc"] = True
            for path in (folder / "set.000").iterdir():
                group[f"set.000/{path.name}"] = np.load(path)
    make_mixed(folder)
    code, _, err = devi("-s", "one", "two.hdf5", "two.hdf5#/b", "-o", "many.out")
    assert code == 0, err
    assert Path("many.out").read_text().count("# two.hdf5#/b") == 2
    one, many = np.loadtxt("one.out"), np.loadtxt("many.out").reshape(4, 6, -1)
    np.testing.assert_allclose(many[1:], np.tile(one, (3, 1, 1)), rtol=1e-5)
    kept = [0, 2, 3, 4, 5]  # make_mixed has taken an atom from frame 1
    np.testing.assert_allclose(many[0, kept], one[kept], rtol=1e-5)
    assert many[0, 1, 4] != one[1, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-s", "nix.xyz"], "nix.xyz: no such file"),
        (["-s", "n.xyz"], "knows C H, found N"),
        (["-s", "n.xyz", "--lo", 1], "expected both, lo < hi"),
        (["-s", "n.xyz", "--lo", 2, "--hi", 1], "expected both, lo < hi"),
        (["-s", "n.xyz", "--candidates", "c"], "needs the thresholds"),
    ],
)
def test_refused(devi, arguments, message):
    ase.io.write("n.xyz", Atoms("N2", positions=[[0, 0, 0], [0, 0, 1.1]]))
    code, out, err = devi(*arguments)
    assert code == 2 and message in err and out == ""
    assert sorted(path.name for path in Path().iterdir()) == ["n.xyz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.candidates"], "x.candidates: is the list of --candidates and --output"),
        (["-o", "x.out", "--candidates", "x.out"], "x.out: is the list of --candidates and"),
        (["-o", "x.out", "--json", "x.candidates"], "x.candidates: is --json and the list of"),
        (["-o", "n.xyz"], "n.xyz: is --output and an input"),
    ],
)
def test_no_output_overwrites_another(devi, arguments, message):
    ase.io.write("n.xyz", ATOMS)
    before = Path("n.xyz").read_text()
    code, _, err = devi("-s", "n.xyz", "--lo", 1, "--hi", 2, *arguments)
    assert code == 2 and message in err
    assert [path.name for path in Path().iterdir()] == ["n.xyz"]
    assert Path("n.xyz").read_text() == before


def test_one_model_is_refused(devi, ensemble):
    code, _, err = devi("-s", "x", models=ensemble[:1])
    assert code == 2 and "found one model, expected two or more" in err
