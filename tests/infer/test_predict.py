"""dd-tf predict: its files against the model asked directly."""

import ase.io
import ase.io.cube
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.vasp import VaspChargeDensity

from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.formats import Grid, read_density, write_volumetric
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.main import main
from tests.conftest import write_small_system

CELL = np.array([[5.0, 0.0, 0.0], [0.5, 5.5, 0.0], [0.0, -0.6, 6.0]])
SHAPE = (8, 9, 10)


@pytest.fixture(scope="module")
def model(frozen_model):
    return DeepDensity(frozen_model)


@pytest.fixture
def crystal(tmp_path):
    """A periodic structure file; its elements are not grouped."""
    positions = [[0.2, 0.3, 0.4], [1.2, 0.5, 0.4], [2.5, 3.0, 3.0], [2.0, 3.8, 3.5]]
    atoms = Atoms("HCHC", positions=positions, cell=CELL, pbc=True)
    ase.io.write(tmp_path / "crystal.extxyz", atoms)
    return atoms


@pytest.fixture
def molecule(tmp_path):
    """A structure file without a cell, far from the origin."""
    atoms = Atoms("CHH", positions=[[9.0, -3.0, 1.0], [10.0, -2.8, 1.1], [8.6, -2.1, 1.3]])
    ase.io.write(tmp_path / "molecule.xyz", atoms)
    return atoms


@pytest.fixture
def predict(capsys, frozen_model, tmp_path, monkeypatch):
    """Runs `dd-tf predict` in tmp_path; gives exit code and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model=frozen_model):
        try:
            code = main(["predict", "-m", str(model), *map(str, arguments)])
        except SystemExit as stop:  # argparse
            code = stop.code
        out, err = capsys.readouterr()
        assert out == ""
        return code, err

    return run


def expected(model, atoms, grid, pbc):
    """The density without grids, images of the command line or shifts."""
    box = grid.cell if pbc else None
    atype = model.atype_of(list(atoms.symbols))
    return model.eval(atoms.positions, box, atype, grid.points()).reshape(grid.shape)


def close(found, wanted, rtol=1e-10):
    """Rounding of a sum over atoms is relative to the largest term."""
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-12 * np.abs(wanted).max())


def test_crystal_in_all_formats(predict, model, crystal):
    code, err = predict("crystal.extxyz", "--grid", *SHAPE, "-o", "rho.cube", "CHGCAR", "rho.npy")
    assert code == 0, err
    wanted = expected(model, crystal, Grid(SHAPE, CELL), True)
    close(np.load("rho.npy"), wanted)
    (cube,) = read_density("rho.cube")
    close(cube.density, wanted)
    np.testing.assert_allclose(cube.atoms.positions, crystal.positions, rtol=0, atol=1e-7)
    chgcar = VaspChargeDensity("CHGCAR")
    close(chgcar.chg[0], wanted)
    assert list(chgcar.atoms[0].symbols) == list(crystal.symbols)
    assert "grid 8 x 9 x 10, 720 points" in err and "points/s" in err
    electrons = wanted.sum() * abs(np.linalg.det(CELL)) / 720
    assert f"{electrons:.6f} electrons on the grid" in err
    assert "CHGCAR: holds no PAW augmentation occupancies" in err


def test_spacing_is_rounded_for_fft(predict, crystal):
    code, err = predict("crystal.extxyz", "--spacing", 0.53, "-o", "rho.npy")
    assert code == 0, err
    # 5.0, 5.523 and 6.03 Å: 10, 11 and 12 intervals; 11 is no product of 2, 3, 5 and 7.
    assert np.load("rho.npy").shape == (10, 12, 12)


def test_molecule_gets_a_box(predict, model, molecule):
    code, err = predict(
        "molecule.xyz", "--pad", 2, "--spacing", 0.5, "-o", "m.cube", "m.vasp", "m.npy"
    )
    assert code == 0, err
    low, high = molecule.positions.min(0) - 2, molecule.positions.max(0) + 2
    found = np.load("m.npy")
    assert found.shape == (12, 10, 9)
    grid = Grid(found.shape, np.diag(high - low), low)
    close(found, expected(model, molecule, grid, False))
    # The cube has the atoms where the structure has them.
    with open("m.cube") as stream:
        cube = ase.io.cube.read_cube(stream)
    np.testing.assert_allclose(cube["atoms"].positions, molecule.positions, rtol=0, atol=1e-7)
    np.testing.assert_allclose(cube["origin"], low, rtol=0, atol=1e-7)
    chgcar = VaspChargeDensity("m.vasp").atoms[0]
    np.testing.assert_allclose(chgcar.positions, molecule.positions - low, rtol=0, atol=1e-7)


def test_default_pad_and_output(predict, molecule):
    code, err = predict("molecule.xyz", "--grid", 4, 4, 4)
    assert code == 0, err
    (cube,) = read_density("rho.cube")
    lengths = np.ptp(molecule.positions, axis=0) + 8
    np.testing.assert_allclose(cube.atoms.cell.lengths(), lengths, rtol=1e-7)


@pytest.mark.parametrize("pbc", [True, False])
def test_system_frame_on_its_own_grid(predict, model, tmp_path, pbc):
    write_small_system(tmp_path / "data", pbc=pbc)
    frame = DensitySystem("data", model.type_map).frame(4)
    code, err = predict("data", "-f", 4, "-o", "rho.npy")
    assert code == 0, err
    wanted = model.eval_grid(frame.coord, frame.box, frame.atype, (16, 16, 16), pbc=pbc)
    np.testing.assert_array_equal(np.load("rho.npy"), wanted)


def test_nopbc_takes_the_cell_as_window(predict, model, crystal):
    code, err = predict("crystal.extxyz", "--nopbc", "--grid", *SHAPE, "-o", "rho.npy")
    assert code == 0, err
    grid = Grid(SHAPE, CELL)
    wanted = expected(model, crystal, grid, False)
    close(np.load("rho.npy"), wanted)
    assert np.abs(wanted - expected(model, crystal, grid, True)).max() > 1e-3


def test_electrons_rescale_all_quantities(predict, make_frozen, crystal):
    """Spin polarisation and gradient of the density stay in step with it."""
    model = make_frozen(spin=True)
    found = []
    for options in ([], ["--electrons", 10]):
        arguments = ["crystal.extxyz", "--grid", *SHAPE, "--spin", "--gradient", *options]
        code, err = predict(*arguments, "-o", "rho.npy", model=model)
        assert code == 0, err
        found.append([np.load(f"rho{kind}.npy") for kind in ("", ".spin", ".gradient")])
    factor = 10 / (found[0][0].mean() * abs(np.linalg.det(CELL)))
    for before, after in zip(*found, strict=True):
        np.testing.assert_allclose(after, factor * before, rtol=1e-12)


def test_electrons_are_exact(predict, crystal):
    code, err = predict(
        "crystal.extxyz", "--grid", *SHAPE, "--electrons", 10, "-o", "rho.npy", "CHGCAR"
    )
    assert code == 0, err
    volume = abs(np.linalg.det(CELL))
    assert np.load("rho.npy").mean() * volume == pytest.approx(10, rel=1e-13)
    assert VaspChargeDensity("CHGCAR").chg[0].mean() * volume == pytest.approx(10, rel=1e-9)
    assert "density times " in err and ": 10 electrons" in err


def test_gradient_is_that_of_the_density(predict, model, molecule):
    code, err = predict(
        "molecule.xyz", "--grid", 4, 5, 6, "--electrons", 3, "--gradient", "-o", "rho.npy"
    )
    assert code == 0, err
    gradient = np.load("rho.gradient.npy")
    assert gradient.shape == (4, 5, 6, 3)
    low, high = molecule.positions.min(0) - 4, molecule.positions.max(0) + 4
    grid, step = Grid((4, 5, 6), np.diag(high - low), low), 1e-3
    moved = (Grid(grid.shape, grid.cell, low + step * e) for e in [np.eye(3)[2], -np.eye(3)[2]])
    up, down = (expected(model, molecule, one, False) for one in moved)
    raw = expected(model, molecule, grid, False)
    slope = (up - down) / (2 * step) * (np.load("rho.npy") / np.where(raw == 0, 1, raw))
    # Central differences: step^2 / 6 times the third derivative.
    np.testing.assert_allclose(gradient[..., 2], slope, rtol=0, atol=1e-4 * np.abs(slope).max())


@pytest.mark.parametrize("name", ["like.cube", "CHGCAR_like"])
def test_like_takes_the_grid(predict, model, crystal, name):
    write_volumetric(name, crystal, np.ones(SHAPE))
    code, err = predict("crystal.extxyz", "--like", name, "-o", "rho.npy")
    assert code == 0, err
    close(np.load("rho.npy"), expected(model, crystal, Grid(SHAPE, CELL), True), rtol=1e-6)


def test_like_takes_the_window_of_a_cube(predict, model, molecule):
    origin = molecule.positions.min(0) - 1.5
    window = Atoms("C", positions=[molecule.positions[0]], cell=[5, 6, 4])
    write_volumetric("like.cube", window, np.ones(SHAPE), origin)
    code, err = predict("molecule.xyz", "--like", "like.cube", "-o", "rho.npy")
    assert code == 0, err
    grid = Grid(SHAPE, np.diag([5.0, 6.0, 4.0]), origin)
    # The file has the window to 12 decimals.
    close(np.load("rho.npy"), expected(model, molecule, grid, False), rtol=1e-9)


def test_chgcar_as_structure(predict, model, crystal):
    write_volumetric("CHGCAR", crystal, np.ones(SHAPE))
    code, err = predict("CHGCAR", "--grid", *SHAPE, "-o", "rho.npy")
    assert code == 0, err
    close(np.load("rho.npy"), expected(model, crystal, Grid(SHAPE, CELL), True))


def test_partly_periodic_is_said(predict, crystal, tmp_path):
    crystal.pbc = [True, True, False]
    ase.io.write(tmp_path / "slab.extxyz", crystal)
    code, err = predict("slab.extxyz", "--grid", 4, 4, 4, "-o", "rho.npy")
    assert code == 0 and "warning: slab.extxyz frame 0: is periodic along some cell vectors" in err


def test_atoms_outside_the_window_are_said(predict, molecule, tmp_path):
    molecule.cell = [5, 5, 5]
    ase.io.write(tmp_path / "out.extxyz", molecule)
    code, err = predict("out.extxyz", "--grid", 4, 4, 4, "-o", "rho.npy")
    assert code == 0 and "3 of 3 atoms lie outside the box of the grid" in err


def test_nopbc_of_a_wire(predict, tmp_path):
    """Cell vectors may be missing where none is needed."""
    ase.io.write("wire.extxyz", Atoms("C", cell=[2, 0, 0], pbc=[True, False, False]))
    code, err = predict("wire.extxyz", "--nopbc", "--grid", 4, 4, 4, "-o", "rho.npy")
    assert code == 0, err


def test_quiet(predict, crystal):
    code, err = predict("-q", "crystal.extxyz", "--grid", 4, 4, 4)
    # The weights are random: their electrons are doubted.
    assert code == 0 and all(line.startswith("warning: ") for line in err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nix.xyz"], "nix.xyz: no such file, expected a structure or a density system"),
        (["."], ".: found no type.raw in it or below"),
        (["text.txt"], "text.txt: ASE cannot read it as a structure"),
        (["molecule.xyz", "-f", "7"], "molecule.xyz: has no frame 7"),
        (["wire.extxyz"], "wire.extxyz frame 0: periodic with 1 cell vectors, expected 3"),
        (["nan.xyz"], "nan.xyz frame 0: coord holds NaN or infinity"),
        (["flat.extxyz"], "flat.extxyz frame 0: the cell has no volume"),
        (["nitrogen.xyz"], "knows C H, found N"),
        (["crystal.extxyz", "--pad", "3"], "--pad: the structure is periodic, expected a molecule"),
        (["crystal.extxyz", "--like", "nix.cube"], "nix.cube: no such file"),
        (["crystal.extxyz", "--like", "other.cube"], "its cell differs from that of the periodic"),
        (["crystal.extxyz", "-o", "rho.txt"], "rho.txt: unknown kind of density file"),
        (["crystal.extxyz", "-o", "nix/rho.cube"], "expected a file name in a folder that exists"),
        (["CHGCAR", "-o", "CHGCAR"], "CHGCAR: is also an input, choose another name"),
        (["crystal.extxyz", "--grid", "4", "4", "0"], "found '0', expected a whole number above 0"),
        (["crystal.extxyz", "--spacing", "nan"], "found 'nan', expected a number above 0"),
        (["crystal.extxyz", "--electrons", "-1"], "found '-1', expected a number above 0"),
        (["crystal.extxyz", "--spacing", "1", "--grid", "1", "1", "1"], "not allowed with"),
    ],
)
def test_refused(predict, crystal, molecule, arguments, message, tmp_path):
    ase.io.write("nitrogen.xyz", Atoms("N2", positions=[[0, 0, 0], [0, 0, 1.1]]))
    wire = Atoms("C", cell=[2, 0, 0], pbc=[True, False, False])
    ase.io.write("wire.extxyz", wire)
    (tmp_path / "nan.xyz").write_text("1\n\nC nan 0 0\n")
    flat = Atoms("C", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 1e-12]], pbc=True)
    ase.io.write("flat.extxyz", flat)
    (tmp_path / "text.txt").write_text("no structure\n")
    write_volumetric("CHGCAR", crystal, np.ones((2, 2, 2)))
    crystal.cell = 1.01 * CELL
    write_volumetric("other.cube", crystal, np.ones((2, 2, 2)))
    before = sorted(path.name for path in tmp_path.iterdir())
    code, err = predict(*arguments)
    assert code == 2 and message in err and err.count("error:") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_spin_density_beside_each_output(make_frozen, molecule, tmp_path, capsys, frozen_model):
    file = make_frozen(spin=True)
    arguments = [str(tmp_path / "molecule.xyz"), "--grid", "6", "7", "8"]
    outputs = [str(tmp_path / "rho.cube"), str(tmp_path / "rho.npy")]
    assert main(["predict", "-m", str(file), *arguments, "--spin", "-o", *outputs]) == 0
    stored = np.load(tmp_path / "rho.spin.npy")
    np.testing.assert_allclose(
        read_density(tmp_path / "rho.spin.cube")[0].density, stored, rtol=1e-8
    )
    assert np.abs(stored - np.load(tmp_path / "rho.npy")).max() > 1e-3
    assert main(["predict", "-m", str(frozen_model), *arguments, "--spin", "-o", outputs[0]]) == 2
    assert "was trained without spin" in capsys.readouterr().err


def test_correction_of_the_electrons_is_reported(make_frozen, molecule, tmp_path, capsys):
    file = make_frozen(electrons=[4.0, 1.0])
    arguments = [str(tmp_path / "molecule.xyz"), "--spacing", "0.3", "-o", str(tmp_path / "a.npy")]
    assert main(["predict", "-m", str(file), *arguments]) == 0
    error = capsys.readouterr().err
    assert "the model conserves electrons" in error and "6.000000 after" in error
