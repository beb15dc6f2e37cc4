"""Our files read by ASE and pymatgen, and files of PySCF read by us: to 1e-8."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.vasp import VaspChargeDensity
from ase.io.cube import read_cube_data

from deepdensity_tf.formats import read_density, write_volumetric
from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.interfaces.pymatgen import to_chgcar, to_volumetric

CELL = np.array([[5.0, 0.0, 0.0], [0.5, 5.5, 0.0], [0.0, -0.6, 6.0]])
SHAPE = (8, 9, 10)


@pytest.fixture
def atoms():
    positions = [[0.2, 0.3, 0.4], [1.2, 0.5, 0.4], [2.5, 3.0, 3.0]]
    return Atoms("CHH", positions, cell=CELL, pbc=True)


@pytest.fixture
def density():
    return 10 ** np.random.default_rng(1).uniform(-6, 1, SHAPE)


def same(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=0)


def test_cube_in_ase_and_pymatgen(tmp_path, atoms, density):
    from pymatgen.io.common import VolumetricData

    path = tmp_path / "rho.cube"
    write_volumetric(path, atoms, density)
    # Both give the numbers of the file: electrons/bohr^3.
    found, structure = read_cube_data(path)
    same(found / BOHR**3, density)
    np.testing.assert_allclose(structure.positions, atoms.positions, atol=1e-8)
    other = VolumetricData.from_cube(path)
    same(other.data["total"] / BOHR**3, density)
    np.testing.assert_allclose(other.structure.cart_coords, atoms.positions, atol=1e-7)


def test_chgcar_in_ase_and_pymatgen(tmp_path, atoms, density):
    from pymatgen.io.vasp.outputs import Chgcar

    path = tmp_path / "CHGCAR"
    write_volumetric(path, atoms, density)
    same(VaspChargeDensity(str(path)).chg[0], density)
    chgcar = Chgcar.from_file(path)
    same(chgcar.data["total"] / chgcar.structure.volume, density)
    np.testing.assert_allclose(chgcar.structure.cart_coords, atoms.positions, atol=1e-8)


@pytest.mark.parametrize("spin", [False, True])
def test_pymatgen_objects(tmp_path, atoms, density, spin):
    volumetric = GridField(atoms, density, 0.1 * density if spin else None)
    chgcar = to_chgcar(volumetric)
    assert chgcar.is_spin_polarized is spin
    chgcar.write_file(str(tmp_path / "CHGCAR"))
    (back,) = read_density(tmp_path / "CHGCAR")
    same(back.density, density)
    if spin:
        same(back.spin_density, 0.1 * density)
    to_volumetric(volumetric).to_cube(str(tmp_path / "rho.cube"))
    (back,) = read_density(tmp_path / "rho.cube")
    # pymatgen writes cubes with six digits.
    np.testing.assert_allclose(back.density, density, rtol=1e-5)


def test_cube_of_pyscf(tmp_path):
    pytest.importorskip("pyscf")
    from pyscf import gto, scf
    from pyscf.dft.numint import NumInt
    from pyscf.tools import cubegen

    mol = gto.M(atom="H 0 0 0; H 0 0 0.74", basis="sto-3g", verbose=0)
    dm = scf.RHF(mol).run().make_rdm1()
    path = tmp_path / "rho.cube"
    cubegen.density(mol, str(path), dm, nx=9, ny=10, nz=12, margin=3.0)
    (found,) = read_density(path)
    points = cubegen.Cube(mol, nx=9, ny=10, nz=12, margin=3.0).get_coords()
    ao = NumInt().eval_ao(mol, points)
    wanted = np.einsum("pi,ij,pj->p", ao, dm, ao).reshape(9, 10, 12)
    # PySCF writes six digits.
    np.testing.assert_allclose(found.density * BOHR**3, wanted, rtol=0, atol=1e-6)
    assert found.density.shape == (9, 10, 12)
