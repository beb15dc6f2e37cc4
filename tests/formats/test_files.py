"""Grids, and density files read back by ASE and pymatgen."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.vasp import VaspChargeDensity
from ase.io.cube import read_cube

from deepdensity_tf.formats import (
    Grid,
    box_around,
    fft_shape,
    file_format,
    read_density,
    write_volumetric,
)
from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.utils.errors import InputError

CELL = np.array([[3.1, 0.0, 0.0], [0.4, 4.2, 0.0], [0.3, -0.8, 5.123456789]])


@pytest.fixture
def atoms():
    positions = np.random.default_rng(0).random((5, 3)) * 3
    return Atoms("OHHOC", positions=positions, cell=CELL, pbc=True)


@pytest.fixture
def density():
    """Many decades, with zeros and negative values as models make them."""
    rng = np.random.default_rng(1)
    values = rng.random((6, 5, 8)) ** 40 * 10
    values[0, 0, :3] = 0.0, -1.234567890123e-7, 1e-120
    return values


def test_cube_reads_back(tmp_path, atoms, density):
    origin = np.array([0.1, -2.0, 3.0])
    write_volumetric(tmp_path / "rho.cube", atoms, density, origin)
    with open(tmp_path / "rho.cube") as stream:
        back = read_cube(stream)
    # 11 digits are written: half a unit of the last one is 5e-11 of the value.
    np.testing.assert_allclose(back["data"] / BOHR**3, density, rtol=1e-10, atol=0)
    # ASE's bohr is that of CODATA 2014: 6e-10 relative off.
    np.testing.assert_allclose(back["atoms"].positions, atoms.positions, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(back["atoms"].cell, CELL, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(back["origin"], origin, rtol=1e-9, atol=1e-12)
    assert list(back["atoms"].symbols) == list("OHHOC")


@pytest.mark.parametrize("name", ["rho.cube", "CHGCAR"])
def test_own_readers_take_it(tmp_path, atoms, density, name):
    write_volumetric(tmp_path / name, atoms, density)
    (back,) = read_density(tmp_path / name)
    np.testing.assert_allclose(back.density, density, rtol=1e-10, atol=0)
    np.testing.assert_allclose(back.atoms.cell, CELL, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", ["CHGCAR", "CHGCAR_model", "rho.vasp"])
def test_chgcar_reads_back(tmp_path, atoms, density, name):
    write_volumetric(tmp_path / name, atoms, density)
    back = VaspChargeDensity(str(tmp_path / name))
    np.testing.assert_allclose(back.chg[0], density, rtol=1e-10, atol=0)
    assert list(back.atoms[0].symbols) == list("OHHOC")  # in their order
    np.testing.assert_allclose(back.atoms[0].positions, atoms.positions, rtol=0, atol=1e-12)
    np.testing.assert_allclose(back.atoms[0].cell, CELL, rtol=0, atol=1e-12)


def test_chgcar_is_what_pymatgen_reads(tmp_path, atoms, density):
    from pymatgen.io.vasp import Chgcar

    write_volumetric(tmp_path / "CHGCAR", atoms, density)
    back = Chgcar.from_file(tmp_path / "CHGCAR")
    volume = back.structure.volume
    np.testing.assert_allclose(back.data["total"] / volume, density, rtol=1e-10, atol=0)


def test_chgcar_moves_atoms_into_the_box(tmp_path, density):
    molecule = Atoms("CO", positions=[[-1.0, 0, 0], [0.2, 0, 0]], cell=CELL)
    write_volumetric(tmp_path / "CHGCAR", molecule, density, origin=np.array([-2.0, -1.0, -1.5]))
    back = VaspChargeDensity(str(tmp_path / "CHGCAR")).atoms[0]
    np.testing.assert_allclose(back.positions, [[1, 1, 1.5], [2.2, 1, 1.5]], rtol=0, atol=1e-12)
    assert molecule.positions[0, 0] == -1.0


def test_npy_is_the_array(tmp_path, atoms, density):
    write_volumetric(tmp_path / "rho.npy", atoms, density)
    np.testing.assert_array_equal(np.load(tmp_path / "rho.npy"), density)


@pytest.mark.parametrize("name", ["rho.txt", "density", "POSCAR"])
def test_unknown_kind(tmp_path, atoms, density, name):
    with pytest.raises(InputError, match=rf"{name}: unknown kind of density file, expected"):
        write_volumetric(tmp_path / name, atoms, density)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a/rho.CUBE", "cube"), ("chgcar.1", "vasp"), ("CHGCAR.npy", "npy"), ("x.vasp", "vasp")],
)
def test_kind_by_name(name, kind):
    assert file_format(name) == kind


def test_grid_points_and_volume():
    grid = Grid((2, 3, 4), CELL, np.array([1.0, 2.0, 3.0]))
    points = grid.points().reshape(2, 3, 4, 3)
    expected = np.array([1.0, 2.0, 3.0]) + CELL[0] / 2 + CELL[1] * 2 / 3 + CELL[2] * 3 / 4
    np.testing.assert_allclose(points[1, 2, 3], expected, rtol=1e-15)
    assert grid.volume_element * 24 == pytest.approx(3.1 * 4.2 * 5.123456789, rel=1e-14)


def test_fft_shape_is_smooth_and_fine_enough():
    for spacing in np.linspace(0.05, 2.0, 40):
        shape = fft_shape(CELL, spacing)
        for n, length in zip(shape, np.linalg.norm(CELL, axis=1), strict=True):
            assert length / n <= spacing * (1 + 1e-8)
            for factor in (2, 3, 5, 7):
                while n % factor == 0:
                    n //= factor
            assert n == 1
    assert fft_shape(np.diag([1.1, 1.3, 10.0]), 0.1) == (12, 14, 100)


def test_box_around():
    positions = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, -1.0]])
    cell, origin = box_around(positions, 2.5)
    np.testing.assert_array_equal(cell, np.diag([8.0, 5.0, 8.0]))
    np.testing.assert_array_equal(origin, [-2.5, -1.5, -3.5])
