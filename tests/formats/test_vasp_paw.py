"""PAW augmentation occupancies taken over from a CHGCAR."""

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.formats import write_volumetric
from deepdensity_tf.formats.vasp_paw import augmentation_text, matched, read_augmentation
from deepdensity_tf.utils.errors import InputError

ATOMS = Atoms("C2H", [[0.1, 0, 0], [2, 2, 2], [3, 0, 1]], cell=np.diag([5.0, 5.5, 6.0]), pbc=True)
SIZES = (8, 8, 3)


@pytest.fixture
def occupancies():
    rng = np.random.default_rng(0)
    return [rng.normal(size=size) for size in SIZES]


@pytest.fixture
def donor(tmp_path, occupancies):
    """A spin-polarised CHGCAR as VASP writes it."""
    path = tmp_path / "CHGCAR"
    write_volumetric(path, ATOMS, np.ones((4, 4, 4)))
    text = path.read_text()
    grid = text[text.index("   4    4    4") :]
    wrong = augmentation_text([9 * values for values in occupancies])
    path.write_text(text + augmentation_text(occupancies) + "  0.5 0.5 0.1\n" + grid + wrong)
    return path


def test_pymatgen_reads_what_we_write(donor, occupancies):
    from pymatgen.io.vasp.outputs import Chgcar

    found = Chgcar.from_file(donor).data_aug["total"]
    for number, wanted in enumerate(occupancies, 1):
        np.testing.assert_allclose(found[number], wanted, rtol=1e-6)


def test_atom_by_atom(donor, occupancies):
    moved = ATOMS[[2, 1, 0]]
    moved.positions += [[0.2, 0, 0], [0, -0.3, 0], [-0.4, 0, 0]]  # one leaves the cell
    found, nmatched = matched(read_augmentation(donor), moved)
    assert nmatched == 3
    for values, wanted in zip(found, occupancies[::-1], strict=True):
        np.testing.assert_allclose(values, wanted, atol=1e-6)


def test_mean_of_the_element(donor, occupancies):
    found, nmatched = matched(read_augmentation(donor), ATOMS[[0, 2, 2]])
    assert nmatched == 0
    np.testing.assert_allclose(found[0], (occupancies[0] + occupancies[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(found[2], occupancies[2], atol=1e-6)
    far = ATOMS.copy()
    far.positions[1] += 1.5
    found, nmatched = matched(read_augmentation(donor), far)
    assert nmatched == 2
    np.testing.assert_allclose(found[1], (occupancies[0] + occupancies[1]) / 2, atol=1e-6)


def test_errors(tmp_path, donor):
    with pytest.raises(InputError, match="expected also O"):
        matched(read_augmentation(donor), Atoms("O", cell=ATOMS.cell, pbc=True))
    bare = tmp_path / "bare.vasp"
    write_volumetric(bare, ATOMS, np.ones((4, 4, 4)))
    with pytest.raises(InputError, match="of 0 atoms, expected"):
        read_augmentation(bare)
    (tmp_path / "text").write_text("nothing\n")
    with pytest.raises(InputError, match="not a CHGCAR"):
        read_augmentation(tmp_path / "text")
    text = donor.read_text()
    (tmp_path / "cut").write_text(text[: text.index("augmentation occupancies   3") + 40])
    with pytest.raises(InputError, match="truncated"):
        read_augmentation(tmp_path / "cut")
