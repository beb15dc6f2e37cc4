"""CHGCAR and CHG files as they come: elements, steps, order of the ions, donors, sums."""

import numpy as np
import pytest

from deepdensity_tf.data.bulk import convert
from deepdensity_tf.data.conversion import ConvertOptions
from deepdensity_tf.formats import read_density, write_volumetric
from deepdensity_tf.formats.vasp_paw import read_augmentation
from deepdensity_tf.utils.errors import InputError

GRID = (2, 3, 4)
PLACES = ((0.1, 0.1, 0.1), (0.4, 0.4, 0.4), (0.7, 0.7, 0.7), (0.9, 0.2, 0.5))


def step(labels="C H", counts="1 3", electrons=7.0, blocks=1, comment="made here", places=PLACES):
    """One step of a CHG: every density a ramp that integrates to `electrons`."""
    ramp = np.linspace(0.5, 1.5, int(np.prod(GRID))) * electrons
    lines = [comment, "1.0", "4.0 0.0 0.0", "0.0 4.0 0.0", "0.0 0.0 4.0"]
    lines += [*labels.split("\n"), *counts.split("\n")] if labels else [counts]
    lines += ["Direct", *("{:.6f} {:.6f} {:.6f}".format(*place) for place in places), ""]
    for k in range(blocks):
        lines.append("  2  3  4")
        values = [f"{value / (k + 1):.8E}" for value in ramp]
        lines += [" ".join(values[i : i + 5]) for i in range(0, len(values), 5)]
    return "\n".join(lines) + "\n"


@pytest.fixture
def chg(tmp_path):
    def write(text, name="CHGCAR"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


@pytest.mark.parametrize("comment", ["C H in a box", "POSCAR", "No comment"])
def test_elements_are_not_guessed_from_the_comment(chg, comment):
    with pytest.raises(InputError, match="no line of elements.*insert a line of 2"):
        read_density(chg(step(labels="", comment=comment)))


@pytest.mark.parametrize(
    ("labels", "counts"),
    [
        ("C_s H_h", "1 3"),
        ("C/6a2f H1.25", "1 3"),
        ("13C D", "1 3"),
        ("c H.", "1 3"),
        ("C\nH", "1\n3"),
        ("C H\nH", "1 2\n1"),
    ],
)
def test_labels_become_elements(chg, labels, counts):
    atoms = read_density(chg(step(labels, counts)))[0].atoms
    assert list(atoms.symbols) == ["C", "H", "H", "H"]
    assert np.allclose(atoms.get_scaled_positions(), PLACES)


@pytest.mark.parametrize("label", ["X", "HW", "CH"])
def test_a_label_that_is_no_element_is_named(chg, label):
    with pytest.raises(InputError, match=f"'{label}' in the line of elements is no element"):
        read_density(chg(step(f"C {label}")))


def test_reason_of_a_bad_header_is_kept(chg):
    text = step().replace("0.400000 0.400000", "0.400000 0.4x")
    with pytest.raises(InputError, match=r"not a valid POSCAR header \(.*0.4x"):
        read_density(chg(text))


@pytest.mark.parametrize("comment", ["made here", "", "1 2 3", "1.0 2.0 3.0", "direct"])
@pytest.mark.parametrize("labels", ["C H", "C\nH"])
@pytest.mark.parametrize("blocks", [1, 2])
def test_steps_are_frames(chg, comment, labels, blocks):
    texts = [step(labels, electrons=n, blocks=blocks, comment=comment) for n in (7, 8, 9)]
    found = read_density(chg("".join(texts), "CHG"))
    assert [one.electrons for one in found] == pytest.approx([7, 8, 9])
    assert all((one.spin_density is not None) == (blocks == 2) for one in found)


def test_three_densities_of_one_header_are_refused(chg):
    with pytest.raises(InputError, match="holds 3 densities after one header"):
        read_density(chg(step(blocks=3)))


def test_potentials_are_no_densities(chg):
    with pytest.raises(InputError, match="LOCPOT holds a potential"):
        read_density(chg(step(), "LOCPOT"))
    with pytest.raises(InputError, match="integral is negative"):
        read_density(chg(step(electrons=-3)))


def test_interleaved_blocks_keep_their_order(chg, tmp_path):
    found = read_density(chg(step("C H C H", "1 1 1 1")))[0]
    write_volumetric(tmp_path / "CHGCAR_new", found.atoms, found.density)
    again = read_density(tmp_path / "CHGCAR_new")[0]
    assert list(again.atoms.symbols) == ["C", "H", "C", "H"]
    assert np.allclose(again.atoms.positions, found.atoms.positions)


def test_sets_of_one_element_have_one_length(chg):
    sets = ((1, 3), (2, 2), (3, 1), (4, 2))
    tail = "".join(f"augmentation occupancies {k} {n}\n{' 0.5' * n}\n" for k, n in sets)
    with pytest.raises(InputError, match="occupancies of H come with 1 and 2 numbers"):
        read_augmentation(chg(step() + tail))


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_sum_keeps_spin(chg, tmp_path, order):
    chg(step(), "CHG_a"), chg(step(blocks=2), "CHG_b")
    first, second = (str(tmp_path / f"CHG_{name}") for name in order)
    (row,) = convert([first], [second], tmp_path / "new", ConvertOptions()).frames
    assert row.electrons == pytest.approx(14)
    assert list((tmp_path / "new/set.000").glob("spin*"))


def test_sum_compares_atoms(chg, tmp_path):
    first = str(chg(step(), "CHG_a"))
    moved = ((0.1, 0.1, 0.15), *PLACES[1:])
    for other, reason in (
        (step(places=moved), "0.2 Å from its place"),
        (step("Si H"), "has the elements"),
        (step() + step(), "holds 2 densities, expected 1"),
    ):
        with pytest.raises(InputError, match=reason):
            convert([first], [str(chg(other, "CHG_b"))], tmp_path / "new", ConvertOptions())
        assert not (tmp_path / "new").exists()
