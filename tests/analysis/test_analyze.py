"""dd-tf analyze: from each kind of input to table, JSON and files."""

import json

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.analysis.electrostatics import core_potential, hartree_potential
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.formats import HARTREE, Grid, read_density, write_volumetric
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.main import main
from tests.conftest import gaussian_density, write_small_system

CELL = np.array([[7.0, 0, 0], [0.5, 7.5, 0], [0.0, -0.6, 8.0]])
ORIGIN = np.array([-3.0, -3.5, -4.0])
GRID = Grid((28, 30, 32), CELL, ORIGIN)
ATOMS = Atoms("CH", positions=[[0.1, 0.2, 0.1], [1.1, 0.3, 0.2]], cell=CELL)


@pytest.fixture
def analyze(capsys, tmp_path, monkeypatch):
    """Runs `dd-tf analyze` in tmp_path; gives exit code, stdout, stderr and the JSON."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        path = tmp_path / "report.json"
        path.unlink(missing_ok=True)
        code = main(["analyze", *map(str, arguments), "--json", str(path)])
        out, err = capsys.readouterr()
        return code, out, err, json.loads(path.read_text()) if path.exists() else None

    return run


@pytest.fixture
def cube(tmp_path):
    """Gaussians of 4 and 1 electrons, in a window off the origin."""
    density = gaussian_density(GRID.points(), ATOMS.positions, [4, 1], None, 0.5)
    density = density.reshape(GRID.shape)
    write_volumetric(tmp_path / "rho.cube", ATOMS, density, ORIGIN)
    return density


def test_molecule_in_a_cube(analyze, cube):
    code, out, err, report = analyze("rho.cube", "--nopbc", "--charges", "C=4.5", "H=0.5")
    assert code == 0, err
    assert report["electrons"] == pytest.approx(5.0, abs=1e-6)
    assert report["total_charge"] == pytest.approx(0.0, abs=1e-6)
    expected = 0.5 * (ATOMS.positions[0] - ATOMS.positions[1])
    np.testing.assert_allclose(report["dipole"], expected, atol=1e-6)
    assert report["dipole_debye"] == pytest.approx(4.80320 * np.linalg.norm(expected), rel=1e-5)
    np.testing.assert_allclose(
        [atom["position"] for atom in report["atoms"]], ATOMS.positions, atol=1e-8
    )
    assert "electrons:           5.000000" in out and "debye" in out and "isolated" in out


def test_a_cube_is_taken_as_periodic_and_says_so(analyze, cube):
    code, out, err, report = analyze("rho.cube")
    assert code == 0 and "taken so (--nopbc: a molecule)" in err
    assert report["periodic"] and report["dipole"] is None and report["core_charge"] is None


@pytest.mark.parametrize("nopbc", [True, False])
def test_files(analyze, cube, tmp_path, nopbc):
    flags = ["--nopbc"] if nopbc else []
    flags += ["--charges", "C=4", "H=1", "--core-width", "0.3", "--bond", 0, 1]
    code, _, err, _ = analyze(
        *("rho.cube", *flags, "--potential", "v.cube"),
        *("--planar", "c", "planar.txt", "--profile", "line.txt"),
    )
    assert code == 0, err
    charges = np.array([4.0, 1.0])
    expected = hartree_potential(cube, GRID, not nopbc)
    expected += core_potential(GRID, ATOMS.positions, charges, not nopbc, 0.3)
    # The cube reader takes the numbers for electrons/bohr^3.
    stored = read_density("v.cube", unit="e/ang3")[0].density * HARTREE
    np.testing.assert_allclose(stored, expected, rtol=1e-6, atol=1e-6)
    height, density, potential = np.loadtxt("planar.txt").T
    assert (tmp_path / "planar.txt").read_text().startswith("# height (Å)  density (e/Å^3)  pot")
    np.testing.assert_allclose(density, cube.mean((0, 1)), atol=1e-9)
    np.testing.assert_allclose(potential, expected.mean((0, 1)), atol=1e-6)
    distance, density, _ = np.loadtxt("line.txt").T
    # The nucleus of C: the line starts 1.5 Å before it.
    at_carbon = gaussian_density(ATOMS.positions[:1], ATOMS.positions, [4, 1], None, 0.5)
    assert np.interp(0.0, distance, density) == pytest.approx(at_carbon[0], rel=0.01)


def test_line_between_points(analyze, cube):
    code, _, err, _ = analyze("rho.cube", "--line", *(-1, 0, 0), *(2, 0, 0), "--profile", "l.txt")
    assert code == 0, err
    distance, density, _ = np.loadtxt("l.txt").T
    points = np.array([-1, 0, 0]) + distance[:, None] * [1, 0, 0]
    expected = gaussian_density(points, ATOMS.positions, [4, 1], None, 0.5)
    # Cubic splines on a grid of 0.25 Å for a Gaussian of 0.5 Å.
    np.testing.assert_allclose(density, expected, atol=0.005 * expected.max())


def test_difference_of_fragments(analyze, cube):
    for symbol, charge, place in (("C", 4, slice(0, 1)), ("H", 1, slice(1, 2))):
        part = gaussian_density(GRID.points(), ATOMS.positions[place], [charge], None, 0.45)
        write_volumetric(f"{symbol}.cube", ATOMS[place], part.reshape(GRID.shape), ORIGIN)
    code, _, err, _ = analyze(
        "rho.cube", "--minus", "C.cube", "H.cube", "--difference", "d.npy", "--planar", "a", "p.txt"
    )
    assert code == 0, err
    expected = cube.copy()
    for symbol in "CH":
        expected -= read_density(f"{symbol}.cube")[0].density
    np.testing.assert_allclose(np.load("d.npy"), expected, atol=1e-9)
    assert np.loadtxt("p.txt").shape == (28, 4)


def test_frame_of_a_system(analyze, tmp_path):
    write_small_system(tmp_path / "data")
    code, _, err, report = analyze("data", "-f", 3, "--charges", "C=4", "H=1")
    assert code == 0, err
    frame = DensitySystem("data").frame(3)
    assert report["electrons"] == pytest.approx(frame.electrons, rel=1e-9)
    assert report["periodic"] is False and len(report["dipole"]) == 3


def test_prediction_of_a_model(analyze, frozen_model, make_frozen, tmp_path):
    write_small_system(tmp_path / "data")
    code, out, err, report = analyze("data", "-m", frozen_model, "-f", 2, "--hirshfeld")
    assert code == 0, err
    model = DeepDensity(frozen_model)
    frame = DensitySystem("data", model.type_map).frame(2)
    density = model.eval_grid(frame.coord, frame.box, frame.atype, frame.grid_shape, pbc=False)
    assert report["electrons"] == pytest.approx(density.mean() * 216, rel=1e-12)
    populations = [atom["hirshfeld_electrons"] for atom in report["atoms"]]
    assert sum(populations) == pytest.approx(report["electrons"], rel=1e-3)
    assert report["atoms"][0]["hirshfeld_charge"] is None and "Hirshfeld" in out
    # A model that conserves electrons knows the charges of the cores.
    code, _, err, report = analyze(
        "data", "-m", make_frozen(electrons=[4.0, 1.0]), "--spacing", 0.4
    )
    assert code == 0 and report["core_charge"] == 6.0, err


def test_hirshfeld_of_a_superposition(analyze, cube, tmp_path):
    """Pro-atoms from tables; charged cores make the charges of the atoms."""
    r = np.linspace(0, 4, 400)
    shape = np.exp(-(r**2) / (2 * 0.5**2))
    np.savetxt("pro.txt", np.c_[r, shape])
    code, _, err, report = analyze(
        *("rho.cube", "--nopbc", "--charges", "C=4", "H=1"),
        *("--hirshfeld", "C=pro.txt", "H=pro.txt"),
    )
    assert code == 0, err
    charges = [atom["hirshfeld_charge"] for atom in report["atoms"]]
    np.testing.assert_allclose(charges, 0, atol=2e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nix.cube"], "nix.cube: no such file"),
        (["rho.cube", "--spacing", 0.1], "--spacing: goes with -m"),
        (["rho.cube", "--hirshfeld"], "--hirshfeld: name a frozen model or EL=FILE"),
        (["rho.cube", "--hirshfeld", "C=rho.cube"], "holds 2 atoms, expected one, as a pro-atom"),
        (["rho.cube", "--charges", "C=4"], "charges: found none of H"),
        (["rho.cube", "--minus", "rho.cube"], "--minus and --difference go together"),
        (["rho.cube", "--profile", "l.txt"], "--profile goes with --bond or --line"),
        (["rho.cube", "--planar", "x", "p.txt"], "found axis 'x', expected a, b or c"),
        (["rho.cube", "--planar", "a", "nix/p.txt"], "in a folder that exists"),
        (["rho.cube", "--potential", "CHGCAR"], "potentials go to .cube or .npy"),
        (["rho.cube", "--minus", "other.cube", "--difference", "d.cube"], "expected 28 x 30 x 32"),
        (["rho.cube", "-f", "2"], "frame 2 asked for, found 1 frames"),
        (["rho.cube", "--profile", "l.txt", "--bond", 0, 7], "atom 7 asked for"),
    ],
)
def test_refused(analyze, cube, arguments, message):
    write_volumetric("other.cube", ATOMS, np.full((4, 4, 4), 0.02), ORIGIN)
    code, out, err, report = analyze(*arguments)
    assert code == 2 and message in err and err.count("error:") == 1
    assert out == "" and report is None
