"""Save folders of pw.x as they come: labels of kinds, coefficients as pairs."""

import h5py
import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.formats import FileOptions, read_density, write_volumetric
from deepdensity_tf.formats.qe_save import PlaneWaves
from deepdensity_tf.utils.errors import InputError


@pytest.fixture
def folder(tmp_path):
    atoms = Atoms("CO", [(0, 0, 0), (1.1, 0, 0)], cell=(4, 5, 6), pbc=True)
    density = np.random.default_rng(1).uniform(0.1, 0.2, (30, 36, 40))
    options = FileOptions(waves=PlaneWaves(20.0, hdf5=True))
    write_volumetric(tmp_path / "x.save", atoms, density, options=options)
    return tmp_path / "x.save"


@pytest.mark.parametrize(
    ("carbon", "expected"),
    [
        ("<mass>132.905</mass><pseudo_file>C.pbe-n.UPF</pseudo_file>", "C"),
        ("<mass>12.011</mass><pseudo_file>mine.UPF</pseudo_file>", "C"),
        ("<mass>132.905</mass><pseudo_file>mine.UPF</pseudo_file>", "Cs"),
        ("<mass>1.0</mass><pseudo_file>cs_pbe.uspp.UPF</pseudo_file>", "Cs"),
    ],
)
def test_kinds_are_what_the_file_says(folder, carbon, expected):
    schema = folder / "data-file-schema.xml"
    text = schema.read_text().replace('name="C"', 'name="Cs"').replace('name="O"', 'name="Os"')
    kinds = f'<species name="Cs">{carbon}</species><species name="Os"><mass>15.999</mass></species>'
    text = text.replace("<output>", f"<output><atomic_species>{kinds}</atomic_species>")
    schema.write_text(text)
    assert list(read_density(folder)[0].atoms.symbols) == [expected, "O"]


def test_coefficients_as_pairs(folder):
    density = read_density(folder)[0].density
    with h5py.File(folder / "charge-density.hdf5", "r+") as file:
        pairs = file["rhotot_g"][:].reshape(-1, 2)
        del file["rhotot_g"]
        file["rhotot_g"] = pairs
    np.testing.assert_array_equal(read_density(folder)[0].density, density)
    with h5py.File(folder / "charge-density.hdf5", "r+") as file:
        del file["rhotot_g"]
        file["rhotot_g"] = pairs.T
    with pytest.raises(InputError, match=r"expected \(n, 2\)"):
        read_density(folder)
