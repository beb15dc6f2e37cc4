"""Save folders that pw.x starts from: against files of pw.x, and pw.x itself."""

import gzip
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.io import FortranFile

from deepdensity_tf.formats import read_density
from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.formats.qe_save import (
    PlaneWaves,
    fft_grid,
    g_vectors,
    low_pass,
    write_save,
)
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.interfaces.espresso import predict_save, pwscf_settings
from deepdensity_tf.utils.errors import InputError

PWSCF = Path(__file__).parents[1] / "formats" / "pwscf"
CELL = np.array([[5.0, 0.0, 0.0], [0.5, 5.5, 0.0], [0.0, -0.6, 6.0]])


@pytest.mark.parametrize("name", ["gamma", "spin"])
def test_g_vectors_are_those_of_pwscf_in_its_order(name):
    with FortranFile(PWSCF / f"{name}.save" / "charge-density.dat") as file:
        gamma_only, count, _ = file.read_ints(np.int32)
        reciprocal = file.read_reals()
        miller = file.read_ints(np.int32).reshape(count, 3)
    waves = pwscf_settings(PWSCF / f"{name}.in")
    assert waves == PlaneWaves(16.0, bool(gamma_only))
    found = read_density(PWSCF / f"{name}.save")[0]
    np.testing.assert_array_equal(g_vectors(found.atoms.cell.array, waves), miller)
    assert fft_grid(miller) == found.density.shape
    np.testing.assert_allclose(
        2 * np.pi * BOHR * np.linalg.inv(found.atoms.cell.array).T.ravel(), reciprocal, atol=1e-12
    )


def test_order_within_shells_of_a_cubic_cell():
    # pw.x loops over the first, second, third index; equal lengths keep that order.
    miller = g_vectors(4.05 * np.eye(3), PlaneWaves(20.0, gamma_only=False))
    assert miller[:7].tolist() == [
        [0, 0, 0],
        [-1, 0, 0],
        [0, -1, 0],
        [0, 0, -1],
        [0, 0, 1],
        [0, 1, 0],
        [1, 0, 0],
    ]
    half = g_vectors(4.05 * np.eye(3), PlaneWaves(20.0))
    assert half[:4].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    both = np.concatenate([half, -half[1:]])
    assert sorted(both.tolist()) == sorted(miller.tolist())


@pytest.mark.parametrize("hdf5", [False, True])
@pytest.mark.parametrize("name", ["gamma", "spin"])
def test_rewritten_file_is_that_of_pwscf(tmp_path, name, hdf5):
    found = read_density(PWSCF / f"{name}.save")[0]
    waves = replace(pwscf_settings(PWSCF / f"{name}.in"), hdf5=hdf5)
    write_save(tmp_path / "x.save", found.atoms, found.density, waves, found.spin_density)
    if not hdf5:
        again = (tmp_path / "x.save" / "charge-density.dat").read_bytes()
        wanted = (PWSCF / f"{name}.save" / "charge-density.dat").read_bytes()
        assert len(again) == len(wanted)
    (back,) = read_density(tmp_path / "x.save")
    np.testing.assert_allclose(back.density, found.density, rtol=0, atol=1e-12)
    np.testing.assert_allclose(back.atoms.positions, found.atoms.positions, rtol=0, atol=1e-12)
    if found.spin_density is not None:
        np.testing.assert_allclose(back.spin_density, found.spin_density, rtol=0, atol=1e-12)


def test_low_pass_keeps_the_sphere_alone():
    rng = np.random.default_rng(0)
    miller = g_vectors(CELL, PlaneWaves(10.0))
    coefficients = rng.normal(size=len(miller)) + 1j * rng.normal(size=len(miller))
    coefficients[0] = 3.0
    shape = tuple(2 * n for n in fft_grid(miller))
    index = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), -1) / shape
    inside = np.exp(2j * np.pi * index @ miller[1:].T) @ coefficients[1:]
    beyond = np.cos(2 * np.pi * index @ (miller.max(axis=0) + 1))
    density = (3.0 + 2 * inside.real + beyond).reshape(shape) / BOHR**3
    np.testing.assert_allclose(low_pass(density, miller), coefficients, atol=1e-10)


@pytest.mark.parametrize("gamma_only", [True, False])
def test_prediction_reads_back(tmp_path, frozen_model, gamma_only):
    model = DeepDensity(frozen_model)
    atoms = Atoms("CH", [[0.2, 0.3, 0.4], [1.2, 0.5, 0.4]], cell=CELL, pbc=True)
    waves = PlaneWaves(60.0, gamma_only)
    predict_save(tmp_path / "x.save", model, atoms, waves)
    (back,) = read_density(tmp_path / "x.save")
    miller = g_vectors(CELL, waves)
    wanted = model.eval_grid(atoms.positions, CELL, [0, 1], fft_grid(miller))
    np.testing.assert_allclose(
        low_pass(back.density, miller), low_pass(wanted, miller), rtol=0, atol=1e-14
    )
    np.testing.assert_allclose(back.atoms.positions, atoms.positions, atol=1e-12)


def test_errors(tmp_path):
    atoms = Atoms("H", cell=CELL, pbc=True)
    waves = PlaneWaves(16.0)
    with pytest.raises(InputError, match="expected at least"):
        write_save(tmp_path / "x.save", atoms, np.ones((4, 4, 4)), waves)
    atoms.pbc = False
    with pytest.raises(InputError, match="periodic"):
        write_save(tmp_path / "x.save", atoms, np.ones((40, 40, 40)), waves)
    assert not list(tmp_path.iterdir())
    (tmp_path / "pw.in").write_text("&system\n/\nATOMIC_POSITIONS\nH 0 0 0\n")
    with pytest.raises(InputError, match="ecutwfc"):
        pwscf_settings(tmp_path / "pw.in")
    (tmp_path / "POSCAR").write_text("H\n1.0\n")
    assert pwscf_settings(tmp_path / "POSCAR") is None


@pytest.fixture
def aluminium(tmp_path):
    """Input of a distorted fcc cell, and a function that runs pw.x on it: iterations, energy."""
    if shutil.which("pw.x") is None:
        pytest.skip("needs Quantum ESPRESSO")
    folders = ["/usr/share/espresso", "/usr/share/doc/quantum-espresso"]
    found = [path for folder in folders for path in Path(folder).rglob("Al.pz-vbc.UPF*")]
    if not found:
        pytest.skip("needs the pseudopotentials of quantum-espresso-data")
    data = found[0].read_bytes()
    data = gzip.decompress(data) if found[0].suffix == ".gz" else data
    (tmp_path / "Al.UPF").write_bytes(data)
    atoms = bulk("Al", "fcc", a=4.05, cubic=True)[:2]
    atoms.cell = np.diag([2.9, 2.9, 4.05]) + 0.1
    atoms.positions[1] += [0.1, -0.2, 0.05]

    def run(kpts, **electrons):
        settings = {
            "control": {"prefix": "x", "outdir": ".", "pseudo_dir": "."},
            "system": {
                "ecutwfc": 12,
                "nosym": True,
                "occupations": "smearing",
                "degauss": 0.05,
            },
            "electrons": {"conv_thr": 1e-9, **electrons},
        }
        ase.io.write(
            tmp_path / "pw.in",
            atoms,
            format="espresso-in",
            input_data=settings,
            pseudopotentials={"Al": "Al.UPF"},
            kpts=kpts,
        )
        out = subprocess.run(
            ["pw.x", "-in", "pw.in"], cwd=tmp_path, capture_output=True, text=True
        ).stdout
        energy = float(re.findall(r"total energy +=\s+(\S+) Ry", out)[-1])
        return int(re.findall(r"convergence.*? (\d+) iterations", out)[-1]), energy, out

    return tmp_path, run


@pytest.mark.qe
@pytest.mark.parametrize(
    ("kpts", "half"), [(None, True), ((2, 2, 2), False), ((2, 2, 2), True)], ids=str
)
def test_pwscf_starts_from_the_file(aluminium, kpts, half):
    folder, run = aluminium
    iterations, energy, _ = run(kpts)
    (converged,) = read_density(folder / "x.save")
    atoms = ase.io.read(folder / "pw.in", format="espresso-in")
    assert pwscf_settings(folder / "pw.in") == PlaneWaves(48.0, kpts is None)
    shutil.rmtree(folder / "x.save")
    write_save(folder / "x.save", atoms, converged.density, PlaneWaves(48.0, half))
    again, same, out = run(kpts, startingpot="file")
    assert "read from file" in out
    assert iterations > 5 and again <= 3
    assert same == pytest.approx(energy, abs=2e-8)
    # A density with an error: its energy after one diagonalisation is of second order in it.
    wave = 1 + 0.01 * np.cos(2 * np.pi * np.arange(converged.density.shape[0]) / 15)
    shutil.rmtree(folder / "x.save")
    rough = converged.density * wave[:, None, None]
    write_save(folder / "x.save", atoms, rough, PlaneWaves(48.0, half))
    steps, harris, _ = run(
        kpts, startingpot="file", electron_maxstep=1, diago_thr_init=1e-9, mixing_beta=1e-8
    )
    assert steps == 1
    assert 0 < abs(harris - energy) < 1e-3
