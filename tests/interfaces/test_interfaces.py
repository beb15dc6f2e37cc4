"""ASE, dpdata and PySCF."""

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.formats import read_density
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.interfaces.ase import DeepDensityCalculator
from deepdensity_tf.utils.errors import InputError

CELL = np.array([[5.0, 0.0, 0.0], [0.5, 5.5, 0.0], [0.0, -0.6, 6.0]])
CRYSTAL = Atoms("CH", [[0.2, 0.3, 0.4], [1.2, 0.5, 0.4]], cell=CELL, pbc=True)
MOLECULE = Atoms("CH", [[9.0, -3.0, 1.0], [10.0, -2.8, 1.1]])


@pytest.mark.parametrize("atoms", [CRYSTAL, MOLECULE], ids=["crystal", "molecule"])
def test_calculator(frozen_model, tmp_path, atoms):
    calculator = DeepDensityCalculator(frozen_model, spacing=0.6, pad=2.0, atoms=atoms)
    density = calculator.get_pseudo_density()
    grid = calculator.get_grid()
    assert density.shape == tuple(calculator.get_number_of_grid_points()) == grid.shape
    box = CELL if atoms is CRYSTAL else None
    wanted = calculator.model.eval(atoms.positions, box, [0, 1], grid.points())
    np.testing.assert_allclose(density.ravel(), wanted, rtol=1e-9, atol=1e-12)
    calculator.write(tmp_path / "rho.cube")
    (back,) = read_density(tmp_path / "rho.cube")
    np.testing.assert_allclose(back.density, density, rtol=1e-8, atol=1e-12)


def test_calculator_spin(make_frozen):
    calculator = DeepDensityCalculator(make_frozen(spin=True), spacing=0.7)
    up = calculator.get_pseudo_density(CRYSTAL, spin=0)
    down = calculator.get_pseudo_density(CRYSTAL, spin=1)
    np.testing.assert_allclose(up + down, calculator.get_pseudo_density(CRYSTAL), atol=1e-12)
    np.testing.assert_allclose(up - down, calculator.get_pseudo_spin_density(CRYSTAL), atol=1e-12)


def test_calculator_says_what_it_makes_of_a_slab(frozen_model, caplog):
    """Periodic along two cell vectors: taken along three, with a word about it, once a call."""
    calculator = DeepDensityCalculator(frozen_model, spacing=0.7)
    wanted = calculator.get_pseudo_density(CRYSTAL)
    assert not caplog.records
    slab = CRYSTAL.copy()
    slab.pbc = (True, True, False)
    np.testing.assert_array_equal(calculator.get_pseudo_density(slab), wanted)
    assert "periodic along some cell vectors, taken so along all" in caplog.text
    assert len(caplog.records) == 1 and slab.pbc.tolist() == [True, True, False]
    slab.cell[2] = 0
    with pytest.raises(InputError, match="periodic with 2 cell vectors, expected 3"):
        calculator.get_pseudo_density(slab)


def test_calculator_errors(frozen_model):
    calculator = DeepDensityCalculator(frozen_model)
    with pytest.raises(InputError, match="no atoms"):
        calculator.get_pseudo_density()
    with pytest.raises(InputError, match="spin"):
        calculator.get_pseudo_density(CRYSTAL, spin=0)
    with pytest.raises(InputError, match="expected 0"):
        calculator.get_pseudo_density(CRYSTAL, spin=2)


def test_dpdata_finds_the_plugin(tmp_path):
    """In a process that never imports the package itself."""
    script = (
        "import sys, dpdata\n"
        "system = dpdata.System(sys.argv[1], fmt='density')\n"
        "system.to('deepmd/npy', 'npy')\n"
        "again = dpdata.System('npy', fmt='deepmd/npy')\n"
        "again.to('density', 'rho.npy')\n"
        "again.to('density', 'rho.cube')\n"
        "print(again['density'].shape, again['grid_shape'].tolist(), 'tensorflow' in sys.modules)\n"
    )
    from deepdensity_tf.formats import write_volumetric

    density = np.random.default_rng(0).uniform(0, 1, (4, 5, 6))
    write_volumetric(tmp_path / "in.cube", CRYSTAL, density)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "in.cube")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "(1, 120) [[4, 5, 6]] False"
    # dpdata keeps single precision in its npy folders.
    np.testing.assert_allclose(np.load(tmp_path / "rho.npy"), density, rtol=1e-6)
    (back,) = read_density(tmp_path / "rho.cube")
    np.testing.assert_allclose(back.density, density, rtol=1e-6)
    assert list(back.atoms.symbols) == list(CRYSTAL.symbols)


class ExactModel:
    """Stands for a model: the density that PySCF itself converged to."""

    def __init__(self, mf):
        self.mf, self.dm = mf, mf.make_rdm1()

    def atype_of(self, symbols):
        return np.zeros(len(symbols), dtype=np.int32)

    def _rho(self, points):
        from deepdensity_tf.formats.base import BOHR

        ni = self.mf._numint
        ao = ni.eval_ao(self.mf.mol, points / BOHR, deriv=1)
        return ni.eval_rho(self.mf.mol, ao, self.dm, xctype="GGA")

    def eval(self, _coord, _box, _atype, points):
        from deepdensity_tf.formats.base import BOHR

        return self._rho(points)[0] / BOHR**3

    def eval_gradient(self, _coord, _box, _atype, points):
        from deepdensity_tf.formats.base import BOHR

        return self._rho(points)[1:].T / BOHR**4


@pytest.fixture(scope="module")
def water():
    pytest.importorskip("pyscf")
    from pyscf import dft, gto

    mol = gto.M(
        atom="O 0 0 0; H 0 0.76 0.59; H 0 -0.76 0.59",
        basis="gth-szv",
        pseudo="gth-pbe",
        verbose=0,
    )
    return dft.RKS(mol, xc="PBE").run(conv_tol=1e-11)


@pytest.mark.parametrize("kind", ["RKS", "ROKS", "UKS", "GKS"])
def test_guess_from_the_converged_density(water, kind):
    """Its potential is that of the converged calculation, so are its orbitals."""
    from pyscf import dft

    from deepdensity_tf.interfaces.pyscf import init_guess

    mf = getattr(dft, kind)(water.mol, xc="PBE")
    dm = init_guess(mf, ExactModel(water))
    nao = water.mol.nao
    if kind == "GKS":
        assert dm.shape == (2 * nao, 2 * nao)
        total = dm[:nao, :nao] + dm[nao:, nao:]
    else:
        total = dm.reshape(-1, nao, nao)[:2].sum(axis=0)
    # The coarser quadrature of the guess and the Coulomb fit leave 1e-3.
    np.testing.assert_allclose(total, water.make_rdm1(), atol=2e-3)
    assert mf.energy_tot(dm) == pytest.approx(water.e_tot, abs=1e-5)
    assert mf.kernel(dm0=dm) == pytest.approx(water.e_tot, abs=1e-8)


def test_guess_for_hartree_fock_and_hybrids(water):
    from pyscf import dft, scf

    from deepdensity_tf.interfaces.pyscf import init_guess

    for mf in (scf.RHF(water.mol), dft.RKS(water.mol, xc="B3LYP")):
        guess, default = init_guess(mf, ExactModel(water)), mf.get_init_guess()
        energy = mf.kernel()
        errors = [mf.energy_tot(dm) - energy for dm in (guess, default)]
        assert 0 < errors[0] < 0.1 * errors[1]


def test_guess_does_not_depend_on_blocks(water, monkeypatch):
    from deepdensity_tf.interfaces import pyscf

    wanted = pyscf.init_guess(water, ExactModel(water))
    monkeypatch.setattr(pyscf, "_BLOCK", 9_999)
    found = pyscf.init_guess(water, ExactModel(water))
    np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_guess_errors(water, frozen_model):
    from pyscf import dft, gto

    from deepdensity_tf.interfaces.pyscf import init_guess

    with pytest.raises(InputError, match="expected an LDA or GGA"):
        init_guess(water, ExactModel(water), xc="TPSS")
    all_electron = gto.M(atom=water.mol.atom, basis="sto-3g", verbose=0)
    with pytest.raises(InputError, match="8.* electrons, the molecule has 10"):
        init_guess(dft.RKS(all_electron, xc="PBE"), ExactModel(water))
    with pytest.raises(InputError, match="found DKS with a Hamiltonian of shape"):
        init_guess(dft.DKS(all_electron, xc="PBE"), ExactModel(water))
    with pytest.raises(InputError, match="knows C H"):
        init_guess(water, DeepDensity(frozen_model))
