"""Hirshfeld populations where they are known, and pro-atoms from each source."""

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.analysis import pro_atoms
from deepdensity_tf.analysis.hirshfeld import ProAtom, hirshfeld_populations, spherical_average
from deepdensity_tf.formats import Grid, write_volumetric
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.utils.errors import InputError
from tests.conftest import gaussian_density

CELL = np.array([[9.0, 0, 0], [1.0, 9.0, 0], [0.0, -0.5, 9.5]])
COORD = np.array([[4.0, 4.0, 4.5], [5.2, 4.2, 5.0], [0.3, 8.0, 0.1]])
SYMBOLS = ["C", "H", "H"]
WIDTH = 0.5


def gaussian(charge):
    norm = charge / (2 * np.pi * WIDTH**2) ** 1.5
    return ProAtom.from_function(lambda r: norm * np.exp(-(r**2) / (2 * WIDTH**2)), 4.0)


PRO_ATOMS = {"C": gaussian(4.0), "H": gaussian(1.0)}


@pytest.mark.parametrize("periodic", [True, False])
def test_superposition_of_pro_atoms_gives_their_electrons(periodic):
    """A triclinic cell; periodic, one atom sits at its corner."""
    natoms = 3 if periodic else 2
    grid = Grid((36, 36, 40), CELL)
    box = CELL if periodic else None
    charges = [4.0, 1.0, 1.0][:natoms]
    density = gaussian_density(grid.points(), COORD[:natoms], charges, box, WIDTH)
    found = hirshfeld_populations(
        density.reshape(grid.shape), grid, COORD[:natoms], SYMBOLS[:natoms], PRO_ATOMS, periodic
    )
    # Linear interpolation of the tables: (0.01 Å)^2 / 8 times the second derivative.
    np.testing.assert_allclose(found, charges, rtol=1e-4)


def test_equal_atoms_share_equally_whatever_the_density():
    grid = Grid((30, 30, 30), np.diag([9.0, 9.0, 9.0]), np.array([-4.5, -4.5, -4.5]))
    coord = np.array([[-0.6, 0, 0], [0.6, 0, 0]])
    density = gaussian_density(grid.points(), np.zeros((1, 3)), [2.0], None, 0.8)
    found = hirshfeld_populations(
        density.reshape(grid.shape), grid, coord, ["H", "H"], PRO_ATOMS, False
    )
    assert found[0] == pytest.approx(found[1], rel=1e-10)
    assert found.sum() == pytest.approx(2.0, abs=1e-3)


def test_electrons_and_scale_of_a_pro_atom():
    assert PRO_ATOMS["C"].electrons == pytest.approx(4.0, rel=1e-6)
    assert PRO_ATOMS["C"].scaled(3.0).electrons == pytest.approx(3.0, rel=1e-6)


def test_element_without_pro_atom():
    grid = Grid((4, 4, 4), CELL)
    with pytest.raises(InputError, match="no pro-atom of N"):
        hirshfeld_populations(np.ones((4, 4, 4)), grid, COORD[:1], ["N"], PRO_ATOMS, True)


def test_spherical_average_of_a_gaussian():
    grid = Grid((48, 48, 48), np.diag([8.0, 8.0, 8.0]))
    center = np.array([0.1, 0.2, 7.9])
    density = gaussian_density(grid.points(), [center], [4.0], grid.cell, WIDTH)
    found = spherical_average(density.reshape(grid.shape), grid, center)
    expected = gaussian(4.0)(found.r)
    # Splines as far apart as the points, 0.17 Å for a Gaussian of 0.5 Å.
    np.testing.assert_allclose(found.density, expected, rtol=0, atol=1e-3 * expected[0])
    assert found.electrons == pytest.approx(4.0, rel=1e-4)


@pytest.mark.parametrize("baseline", ["stored", "missing"])
def test_pro_atoms_of_a_model(frozen_model, baseline, monkeypatch):
    model = DeepDensity(frozen_model)
    alone = model.eval(np.zeros((1, 3)), None, [0], np.array([[0.3, 0.4, 0.5]]))[0]
    if baseline == "stored":
        # The test model's baseline is c exp(-k/5), and its nets add to it.
        assert model.baseline.shape == (2, 24) and np.all(np.diff(model.baseline[0]) < 0)
        found = pro_atoms.of_model(model, ["C"])["C"]
        assert abs(found(np.sqrt(0.5)) - alone) > 1e-3
        return
    monkeypatch.setattr(model, "baseline", None)
    found = pro_atoms.of_model(model, ["C"])["C"]
    assert found(np.sqrt(0.5)) == pytest.approx(max(alone, 0), rel=1e-3)


def test_pro_atoms_of_files(tmp_path):
    grid = Grid((40, 40, 40), np.diag([8.0, 8.0, 8.0]))
    center = np.array([4.0, 4.1, 3.9])
    density = gaussian_density(grid.points(), [center], [1.0], None, WIDTH).reshape(grid.shape)
    write_volumetric(tmp_path / "h.cube", Atoms("H", [center], cell=grid.cell), density)
    found = pro_atoms.of_file(str(tmp_path / "h.cube"))
    assert found.electrons == pytest.approx(1.0, rel=1e-3)
    r = np.linspace(0.01, 4, 300)
    np.savetxt(tmp_path / "h.txt", np.c_[r, gaussian(1.0)(r)])
    assert pro_atoms.of_file(str(tmp_path / "h.txt")).electrons == pytest.approx(1.0, rel=1e-3)
    scaled = pro_atoms.scale_to_charges({"H": found, "C": found}, {"H": 2.0})
    assert scaled["H"].electrons == pytest.approx(2.0) and scaled["C"] is found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n2 3 4\n", "expected two columns"),
        ("1 a\n", "cannot be read as a table"),
        ("2 1\n1 1\n", "rising distances"),
        ("0 0\n1 0\n", "no pro-atom"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "h.dat").write_text(text)
    with pytest.raises(InputError, match=message):
        pro_atoms.of_file(str(tmp_path / "h.dat"))
