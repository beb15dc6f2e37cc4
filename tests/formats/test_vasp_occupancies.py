"""CHGCAR files with PAW occupancies and spin: layout, labels, channels by count and by POTCAR."""

import logging

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.vasp import VaspChargeDensity

from deepdensity_tf.data.augmentation import frame_occupancies, read_channels
from deepdensity_tf.data.bulk import convert
from deepdensity_tf.data.conversion import ConvertOptions
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.formats import FileOptions, read_density, write_volumetric
from deepdensity_tf.formats.vasp_outcar import is_outcar, outcar_grid
from deepdensity_tf.formats.vasp_potcar import (
    channels_of_potcar,
    check_channels,
    check_valence,
    guessed_channels,
    read_potcar,
)
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import Channels, Occupancies, count_of, padded

CELL = np.diag([5.0, 5.5, 6.0])
# Ions in two blocks of carbon: their order must stay.
ATOMS = Atoms("CH2C", [[0.1, 0, 0], [2, 2, 2], [3, 0, 1], [4, 4, 4]], cell=CELL, pbc=True)
CHANNELS = Channels("vasp", {"C": (0, 0, 1, 1), "H": (0, 0, 1)})
SHAPE = (4, 5, 3)  # 60 points; the last line of numbers is full
POTCAR = """\
  PAW_PBE {title} 01Jan2000
   {valence}
 parameters from PSCTR are:
   VRHFIN ={element}: made up
   LEXCH  = PE
   TITEL  = PAW_PBE {title} 01Jan2000
   POMASS =   12.011; ZVAL   =    {valence}    mass and valenz
   Description
     l       E      TYP  RCUT    TYP  RCUT
{projectors} PAW radial sets
 End of Dataset
"""


def occupancies(channels=CHANNELS, spin=True, seed=0):
    """Numbers with as many digits as a CHGCAR holds."""
    rng = np.random.default_rng(seed)
    sets = []
    for _ in range(1 + spin):
        rows = [rng.normal(size=channels.count(s)) for s in ATOMS.symbols]
        sets.append(
            padded([np.array([float(f"{x:.7E}") for x in row]) for row in rows], channels.width)
        )
    return Occupancies(channels, *sets)


def potcar(*sets):
    """A POTCAR of (element, valence, {l: number of channels}, in their order)."""
    text = ""
    for element, valence, numbers in sets:
        projectors = "".join(
            f" Non local Part\n           {ls}           {n}   1.20000000000000     \n"
            "  0.1E+01  0.2E+01\n"
            for ls, n in numbers
        )
        text += POTCAR.format(
            title=f"{element}_x", element=element, valence=valence, projectors=projectors
        )
    return text


@pytest.fixture
def densities():
    rng = np.random.default_rng(1)
    return rng.uniform(0.1, 0.2, SHAPE), rng.uniform(-0.1, 0.1, SHAPE)


def write(path, densities, found, comment="made up"):
    density, spin = densities
    options = FileOptions(
        occupancies=found, spin=None if found.spin is None else spin, comment=comment
    )
    write_volumetric(path, ATOMS, density, options=options)


@pytest.mark.parametrize("spin", [False, True])
def test_what_is_written_is_read(tmp_path, densities, spin):
    found = occupancies(spin=spin)
    write(tmp_path / "CHGCAR", densities, found)
    (volume,) = read_density(tmp_path / "CHGCAR")
    np.testing.assert_allclose(volume.density, densities[0], rtol=1e-9)
    assert volume.augmentation.channels == CHANNELS
    assert (volume.spin_density is None) == (not spin)
    for ours, theirs in zip(found.sets, volume.augmentation.sets, strict=True):
        np.testing.assert_array_equal(theirs, ours)
    assert list(volume.atoms.symbols) == list(ATOMS.symbols)


def test_written_again_it_is_the_same_file(tmp_path, densities):
    """Byte by byte: nothing is reordered, rounded or lost on the way through our reader."""
    write(tmp_path / "CHGCAR", densities, occupancies())
    (volume,) = read_density(tmp_path / "CHGCAR")
    options = FileOptions(
        occupancies=volume.augmentation, spin=volume.spin_density, comment="made up"
    )
    write_volumetric(tmp_path / "CHGCAR2", volume.atoms, volume.density, options=options)
    assert (tmp_path / "CHGCAR2").read_text() == (tmp_path / "CHGCAR").read_text()


def test_layout_is_that_of_vasp(tmp_path, densities):
    write(tmp_path / "CHGCAR", densities, occupancies(), comment="a\nb")
    lines = (tmp_path / "CHGCAR").read_text().splitlines()
    assert lines[0] == "a b"
    assert lines[5].split() == ["C", "H", "C"] and lines[6].split() == ["1", "2", "1"]
    grid = [k for k, line in enumerate(lines) if line.split() == ["4", "5", "3"]]
    assert len(grid) == 2 and lines[grid[0] - 1] == ""
    heads = [k for k, line in enumerate(lines) if line.startswith("augmentation occupancies")]
    assert [lines[k].split()[2:] for k in heads] == [
        ["1", "33"], ["2", "15"], ["3", "15"], ["4", "33"]
    ] * 2  # fmt: skip
    # 60 densities in 12 lines, then the sets, then the moments of four ions, then the spin.
    assert heads[0] == grid[0] + 13 and grid[1] == heads[3] + 7 + 2
    assert len(lines[grid[1] - 1].split()) == 4
    assert heads[4] == grid[1] + 13 and len(lines) == heads[7] + 8


def test_ase_and_pymatgen_read_it(tmp_path, densities):
    from pymatgen.io.vasp.outputs import Chgcar

    found = occupancies()
    write(tmp_path / "CHGCAR", densities, found)
    theirs = VaspChargeDensity(str(tmp_path / "CHGCAR"))
    np.testing.assert_allclose(theirs.chg[0], densities[0], rtol=1e-9)
    np.testing.assert_allclose(theirs.chgdiff[0], densities[1], atol=1e-10)
    chgcar = Chgcar.from_file(tmp_path / "CHGCAR")
    volume = ATOMS.cell.volume
    for name, density, numbers in zip(("total", "diff"), densities, found.sets, strict=True):
        np.testing.assert_allclose(chgcar.data[name] / volume, density, atol=1e-10)
        for atom, row in enumerate(found.rows(ATOMS.get_chemical_symbols(), numbers)):
            np.testing.assert_allclose(chgcar.data_aug[name][atom + 1], row, rtol=1e-7)


def test_labels_of_converted_files(tmp_path, densities):
    """In the order of types, with what the numbers are."""
    found = occupancies()
    write(tmp_path / "CHGCAR", densities, found)
    convert([str(tmp_path / "CHGCAR")], [], tmp_path / "s", ConvertOptions())
    system = DensitySystem(tmp_path / "s")
    assert read_channels(system.files) == CHANNELS
    label = frame_occupancies(system.frame(0), CHANNELS, system.type_map)
    for ours, theirs in zip(found.of_atoms([0, 3, 1, 2]).sets, label.sets, strict=True):
        np.testing.assert_array_equal(theirs, ours)


def test_channels_by_their_number():
    for channels in ([0], [0, 0], [0, 0, 1], [0, 0, 1, 1]):
        assert guessed_channels(count_of(channels)) == tuple(channels)
    assert guessed_channels(138) is None  # iron: d before s or after it
    assert guessed_channels(4) is None  # of no data set


def test_d_elements_need_a_potcar(tmp_path, densities, caplog):
    channels = Channels("vasp", {"C": (2, 2, 0, 0, 1, 1), "H": (0, 0, 1)})
    write(tmp_path / "CHGCAR", densities, occupancies(channels))
    files = [str(tmp_path / "CHGCAR")]
    with caplog.at_level(logging.WARNING):
        convert(files, [], tmp_path / "bare", ConvertOptions())
    assert "which channels those of C are does not follow" in caplog.text
    assert read_channels(DensitySystem(tmp_path / "bare").files) is None
    path = tmp_path / "POTCAR"
    path.write_text(potcar(("C", "14.0", [(2, 2), (0, 2), (1, 2)]), ("H", "1.0", [(0, 2), (1, 1)])))
    convert(files, [], tmp_path / "s", ConvertOptions(potcar=str(path)))
    assert read_channels(DensitySystem(tmp_path / "s").files) == channels
    path.write_text(potcar(("C", "4.0", [(0, 2), (1, 2)]), ("H", "1.0", [(0, 2), (1, 1)])))
    with pytest.raises(InputError, match=r"atom 0 \(C\) has 138 numbers, expected 33"):
        convert(files, [], tmp_path / "t", ConvertOptions(potcar=str(path)))


def test_potcar(tmp_path):
    path = tmp_path / "POTCAR"
    path.write_text(potcar(("Fe", "8.0", [(2, 2), (0, 2), (1, 2)]), ("O", "6.0", [(0, 2), (1, 2)])))
    iron, oxygen = read_potcar(path)
    assert (iron.element, iron.valence, iron.title) == ("Fe", 8.0, "PAW_PBE Fe_x 01Jan2000")
    assert channels_of_potcar(path) == {"Fe": (2, 2, 0, 0, 1, 1), "O": (0, 0, 1, 1)}
    assert oxygen.valence == 6.0
    path.write_text(potcar(("O", "6.0", [(0, 2), (1, 2)]), ("O", "6.0", [(0, 2), (1, 1)])))
    with pytest.raises(InputError, match="two data sets of O with other channels"):
        channels_of_potcar(path)
    for text in ("nothing\n", potcar(("O", "6.0", []))):
        path.write_text(text)
        with pytest.raises(InputError, match="POTCAR: (holds no data set|data set 1 says no)"):
            read_potcar(path)


def test_models_of_other_potentials_are_refused(tmp_path):
    path = tmp_path / "POTCAR"
    path.write_text(potcar(("C", "4.0", [(0, 2), (1, 2)]), ("H", "1.0", [(0, 2), (1, 1)])))
    check_channels(CHANNELS, path, ["C", "H"])
    check_channels(None, path, ["H"])
    check_valence(10.1, path, ATOMS)
    with pytest.raises(InputError, match="POTCAR: has no data set of O"):
        check_channels(None, path, ["O", "H"])
    with pytest.raises(InputError, match="POTCAR: PAW occupancies of gpaw, expected those of vasp"):
        check_channels(Channels("gpaw", CHANNELS.of), path, ["C"])
    with pytest.raises(InputError, match=r"channels of H have l = \[0\], expected \[0, 0, 1\]"):
        check_channels(Channels("vasp", {"H": (0,)}), path, ["H"])
    with pytest.raises(InputError, match="has 10 valence electrons .* the model predicts 13.9"):
        check_valence(13.9, path, ATOMS)


def test_grid_of_an_outcar(tmp_path):
    path = tmp_path / "OUTCAR.1"
    path.write_text("   dimension x,y,z NGX =    24\n   NGXF=    48 NGYF=   50 NGZF=  108\n")
    assert is_outcar(path) and outcar_grid(path) == (48, 50, 108)
    path.write_text("nothing\n")
    with pytest.raises(InputError, match="OUTCAR.1: has no line NGXF="):
        outcar_grid(path)


def test_occupancies_of_some_atoms_are_left_out(tmp_path, densities, caplog):
    write(tmp_path / "CHGCAR", densities, occupancies(spin=False))
    text = (tmp_path / "CHGCAR").read_text()
    (tmp_path / "CHGCAR").write_text(text[: text.index("augmentation occupancies   3")])
    (volume,) = read_density(tmp_path / "CHGCAR")
    assert volume.augmentation is None
    assert "of some atoms are missing: left out" in caplog.text
