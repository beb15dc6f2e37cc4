"""GPAW's densities out and in, on a stand-in that has what the interface touches of GPAW."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.formats import FileOptions, read_density, write_volumetric
from deepdensity_tf.interfaces.gpaw import _BOHR, _packed, _unpacked, save_density, start_from
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import blocks_from_matrix

ROOT = Path(__file__).resolve().parents[2]
ATOMS = Atoms("HC", [[0.1, 0, 0], [1.2, 0.1, 0]], cell=np.diag([4.0, 4.5, 5.0]), pbc=True)
CHANNELS = {"H": [0], "C": [0, 1, 0, 1]}
SHAPE = (4, 5, 6)


class Density:
    """Counts what is called."""

    collinear = True
    fixed = False

    def __init__(self, nspins, rng):
        self.nspins, self.calls = nspins, []
        self.nt_sG = rng.uniform(0.1, 0.2, (nspins, *SHAPE))
        sizes = [1, 8]
        self.D_asp = {a: rng.normal(size=(nspins, n * (n + 1) // 2)) for a, n in enumerate(sizes)}
        self.gd = SimpleNamespace(N_c=np.array(SHAPE), distribute=self.distribute)
        self.mixer = SimpleNamespace(reset=lambda: self.calls.append("reset"))

    def distribute(self, source, target):
        target[:] = source

    def initialize_from_atomic_densities(self, basis_functions):
        self.calls.append(basis_functions)

    def calculate_normalized_charges_and_mix(self):
        self.calls.append("mix")


class Calculator:
    """A calculation that is not run yet, or one that is converged."""

    def __init__(self, nspins=1, seed=0, atoms=ATOMS):
        self.atoms, self.density = atoms, Density(nspins, np.random.default_rng(seed))
        self.setups = [SimpleNamespace(symbol=s, l_j=CHANNELS[s]) for s in atoms.symbols]
        self.wfs = SimpleNamespace(world=SimpleNamespace(size=1))
        self.initialized = 0

    def initialize(self, atoms=None, reading=False):
        self.initialized += 1

    def get_potential_energy(self, atoms):
        return -1.5


@pytest.mark.parametrize("nspins", [1, 2])
def test_out_and_in(tmp_path, nspins):
    """What one calculation saves is what another begins with, up to what makes no density."""
    converged, fresh = Calculator(nspins, 1), Calculator(nspins, 2)
    save_density(converged, tmp_path / "a.npz")
    start_from(fresh, tmp_path / "a.npz")
    fresh.initialize(ATOMS)
    density = fresh.density
    density.initialize_from_atomic_densities("basis")
    # From atoms, then ours, with a mixer that knows nothing of the atoms.
    assert density.calls == ["basis", "reset", "mix"] and not density.fixed
    np.testing.assert_allclose(density.nt_sG, converged.density.nt_sG, rtol=1e-12)
    for a, rows in density.D_asp.items():
        channels = tuple(CHANNELS[ATOMS.symbols[a]])
        for found, expected in zip(rows, converged.density.D_asp[a], strict=True):
            np.testing.assert_allclose(
                blocks_from_matrix(channels, _unpacked(found)),
                blocks_from_matrix(channels, _unpacked(expected)),
                atol=1e-12,
            )


def test_once_and_without_occupancies(tmp_path):
    save_density(Calculator(seed=1), tmp_path / "a.npz")
    fresh = Calculator(seed=2)
    before = {a: rows.copy() for a, rows in fresh.density.D_asp.items()}
    start_from(fresh, tmp_path / "a.npz", occupancies=False, fixed=True)
    fresh.initialize()
    fresh.density.initialize_from_atomic_densities("basis")
    assert fresh.density.fixed
    for a, rows in fresh.density.D_asp.items():
        np.testing.assert_array_equal(rows, before[a])
    fresh.density.initialize_from_atomic_densities("moved")  # GPAW's own again
    fresh.initialize()
    assert fresh.density.calls == ["basis", "reset", "mix", "moved"] and fresh.initialized == 2


def test_what_is_saved_is_read_and_written_again(tmp_path):
    calc = Calculator(2)
    save_density(calc, tmp_path / "a.npz")
    (volume,) = read_density(tmp_path / "a.npz")
    np.testing.assert_allclose(volume.density, calc.density.nt_sG.sum(0) / _BOHR**3)
    assert volume.augmentation.channels.of == {"H": (0,), "C": (0, 1, 0, 1)}
    options = FileOptions(
        occupancies=volume.augmentation, spin=volume.spin_density, comment="a model"
    )
    write_volumetric(tmp_path / "b.npz", volume.atoms, volume.density, options=options)
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert str(b["comment"]) == "a model"
        for key in ("density", "spin_density", "coord", "box", "augmentation", "spin_augmentation"):
            np.testing.assert_array_equal(a[key], b[key])
    again = Calculator(2, 3)
    start_from(again, tmp_path / "b.npz")
    again.initialize()
    again.density.initialize_from_atomic_densities("basis")
    np.testing.assert_allclose(again.density.nt_sG, calc.density.nt_sG, rtol=1e-12)


def test_packing_is_that_of_gpaw():
    matrix = np.array([[1.0, 2.0], [2.0, 3.0]])
    np.testing.assert_array_equal(_packed(matrix), [1, 4, 3])
    np.testing.assert_array_equal(_unpacked(np.array([1.0, 4.0, 3.0])), matrix)


def changed(path, **changes):
    with np.load(path) as archive:
        data = {key: archive[key] for key in archive.files}
    data = {key: value for key, value in {**data, **changes}.items() if value is not None}
    np.savez(path, **data)


@pytest.mark.parametrize(
    ("changes", "nspins", "message"),
    [
        ({"symbols": np.array(["C", "H"])}, 1, "has other atoms than the calculation"),
        ({"coord": ATOMS.positions + 0.1}, 1, "atoms or cell are 0.1 Å from those"),
        ({"density": np.ones((4, 5, 7))}, 1, "grid 4 x 5 x 7, expected .* --grid 4 5 6"),
        ({}, 2, "has no spin_density, the calculation is spin-polarised"),
        ({"augmentation_channels": None}, 1, "no channels of PAW occupancies"),
        (
            {"augmentation_channels": np.array('{"code": "vasp", "channels": {"H": [0]}}')},
            1,
            "augmentation of atom 1|PAW occupancies of vasp, expected those of gpaw",
        ),
    ],
)
def test_starts_that_do_not_fit(tmp_path, changes, nspins, message):
    save_density(Calculator(), tmp_path / "a.npz")
    changed(tmp_path / "a.npz", **changes)
    fresh = Calculator(nspins)
    start_from(fresh, tmp_path / "a.npz")
    fresh.initialize()
    with pytest.raises(InputError, match=f"a.npz: .*({message})"):
        fresh.density.initialize_from_atomic_densities("basis")


def test_not_a_start(tmp_path):
    (tmp_path / "text").write_text("nothing")
    with pytest.raises(InputError, match="text: cannot be read as .npz"):
        start_from(Calculator(), tmp_path / "text")
    np.savez(tmp_path / "a.npz", coord=1)
    with pytest.raises(InputError, match=r"a.npz: found no box, density, symbols"):
        start_from(Calculator(), tmp_path / "a.npz")


def test_imports_without_the_rest_of_the_package():
    """Debian's python3 has GPAW but neither TensorFlow nor dargs, dpdata, h5py."""
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'dargs', 'dpdata', 'h5py'): sys.modules[name] = None\n"
        "import deepdensity_tf.interfaces.gpaw\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
