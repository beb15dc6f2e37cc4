"""Densities that are read without complaint and wrong: what tells them."""

import logging

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.data.checks import examine_frame, report_frame
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.formats import read_density, write_volumetric
from deepdensity_tf.formats.integral import examined
from deepdensity_tf.utils.errors import InputError

METHANE = Atoms(
    "CH4",
    [[3, 3.2, 3.5], [3.63, 3.83, 4.13], [3.63, 2.57, 2.87], [2.37, 3.83, 2.87], [2.37, 2.57, 4.13]],
    cell=[6.0, 6.4, 7.0],
    pbc=True,
)
SHAPE = (20, 21, 24)


def gaussians(atoms=METHANE, shape=SHAPE):
    """Eight electrons: Gaussians of 0.45 Å at the atoms."""
    points = np.stack(np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij"), -1)
    density = np.zeros(shape)
    for symbol, place in zip(atoms.symbols, atoms.get_scaled_positions(), strict=True):
        away = points - place
        away = (away - np.round(away)) @ atoms.cell.array
        bump = np.exp(-np.sum(away**2, axis=-1) / (2 * 0.45**2))
        density += {"C": 4, "H": 1}[symbol] * bump / bump.sum()
    return density * density.size / atoms.cell.volume


RHO = gaussians()


def archive(path, **changes):
    data = {"density": RHO, "coord": METHANE.positions, "box": METHANE.cell.array}
    data |= {"symbols": np.array(METHANE.get_chemical_symbols())}
    np.savez(path, **(data | changes))
    return path


def system(folder, **changes):
    (folder / "set.000").mkdir(parents=True)
    data = {"coord": METHANE.positions.reshape(1, -1), "box": METHANE.cell.array.reshape(1, 9)}
    data |= {"grid_shape": np.array([SHAPE]), "density": RHO.reshape(1, -1)}
    (folder / "type.raw").write_text(changes.pop("types", "0 1 1 1 1"))
    (folder / "type_map.raw").write_text(changes.pop("type_map", "C\nH\n"))
    for name, array in (data | changes).items():
        np.save(folder / f"set.000/{name}.npy", array)
    return str(folder)


def doubts(path, caplog):
    """What is said of a density in .npz and in a system alike."""
    for volume in read_density(path):
        examined(volume, "x", pbc=True)
    return caplog.text


def test_nothing_is_said_of_a_sound_density(tmp_path, caplog):
    caplog.set_level(logging.INFO, "deepdensity_tf")
    spin = np.where(RHO > RHO.mean(), 0.3, 0.0) * RHO
    assert not doubts(archive(tmp_path / "a.npz", spin_density=spin), caplog)
    frame = DensitySystem(system(tmp_path / "data", spin_density=spin.reshape(1, -1))).frame(0)
    report_frame(frame, ["C", "H"])
    assert not caplog.text


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"density": RHO.ravel(order="F").reshape(SHAPE)}, "its first index runs fastest"),
        ({"density": np.roll(RHO, 10, 0)}, "the density around the atoms is 0.0"),
        ({"spin_density": 3 * RHO}, "is 3 times that of the density"),
        ({"coord": METHANE.get_scaled_positions()}, "are the positions fractions of the cell?"),
        ({"coord": METHANE.positions * 1.8897}, "all others are farther; are the lengths in bohr?"),
    ],
)
def test_arrays_that_do_not_go_together_are_doubted(tmp_path, caplog, changes, words):
    assert words in doubts(archive(tmp_path / "a.npz", **changes), caplog)
    flat = {name: array.reshape(1, -1) for name, array in changes.items()}
    frame = DensitySystem(system(tmp_path / "data", **flat)).frame(0)
    assert words in examine_frame(frame, ["C", "H"])[0].message


def test_axes_that_are_reversed_are_doubted(tmp_path, caplog):
    moved = METHANE.copy()
    moved.positions -= [1.5, 0, -1.5]
    density = gaussians(moved).T
    path = archive(tmp_path / "a.npz", density=density, coord=moved.positions)
    assert "its indices are reversed" in doubts(path, caplog)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"pbc": np.array("F F F")}, "pbc holds <U5 of shape ()"),
        ({"pbc": np.array([True, False])}, "expected one or three booleans"),
        ({"numbers": np.array([6, 1, 1, 1, 8])}, "symbols and numbers are not the same atoms"),
        ({"numbers": np.array([6, 1, 1, 1])}, "symbols and numbers are not the same atoms"),
    ],
)
def test_archives_that_contradict_themselves_are_refused(tmp_path, changes, reason):
    with pytest.raises(InputError) as error:
        read_density(archive(tmp_path / "a.npz", **changes))
    assert reason in str(error.value)


@pytest.mark.parametrize("pbc", [True, False])
def test_pbc_of_an_archive(tmp_path, pbc):
    for value in (np.array(pbc), np.array([int(pbc)] * 3)):
        (found,) = read_density(archive(tmp_path / "a.npz", pbc=value))
        assert (found.atoms.pbc == pbc).all()


@pytest.mark.parametrize("types", ["0 1 1 1", "0 1 1 1 1 1"])
def test_types_that_are_not_those_of_the_positions(tmp_path, types):
    count = len(types.split())
    with pytest.raises(InputError, match=f"for the {count} atoms of type.raw"):
        DensitySystem(system(tmp_path / "data", types=types))


def test_type_map_that_names_an_element_twice(tmp_path):
    with pytest.raises(InputError, match="type_map.raw names C twice"):
        DensitySystem(system(tmp_path / "data", type_map="C\nC\n"))


def test_lengths_of_a_system_in_bohr(tmp_path):
    changes = {"box": METHANE.cell.array.reshape(1, 9) * 1.8897}
    frame = DensitySystem(system(tmp_path / "data", **changes)).frame(0)
    (finding,) = examine_frame(frame, ["C", "H"])
    assert "is the density in e/ang3 or the lengths in bohr" in finding.message


@pytest.mark.parametrize("name", ["rho.cube", "CHGCAR"])
@pytest.mark.parametrize("missing", [1, 2, 5, 9])
def test_a_file_that_ends_within_a_number(tmp_path, name, missing):
    write_volumetric(tmp_path / name, METHANE, RHO)
    text = (tmp_path / name).read_text().rstrip()
    (tmp_path / name).write_text(text)
    np.testing.assert_allclose(read_density(tmp_path / name)[0].density, RHO, rtol=1e-9)
    (tmp_path / name).write_text(text[:-missing])
    with pytest.raises(InputError, match="truncated: ends within a number|could not convert"):
        read_density(tmp_path / name)


def test_numbers_without_exponents_may_differ_in_length(tmp_path):
    write_volumetric(tmp_path / "rho.cube", METHANE, np.ones((2, 2, 2)))
    head = (tmp_path / "rho.cube").read_text().split("\n")[:11]
    (tmp_path / "rho.cube").write_text(
        "\n".join([*head, "0.25 0.125 0.25 0.375 0.25 0.25 0.125 1"])
    )
    assert read_density(tmp_path / "rho.cube")[0].density.size == 8


def test_times_the_volume_is_told_from_a_coarse_grid(tmp_path):
    write_volumetric(tmp_path / "CHGCAR", METHANE, RHO * METHANE.cell.volume)
    with pytest.raises(InputError, match="is it times the volume of the cell"):
        examined(read_density(tmp_path / "CHGCAR")[0], "x", pbc=True)


@pytest.mark.parametrize("steps, said", [(1, ""), (2, "of several steps")])
def test_steps_of_xsf(tmp_path, steps, said):
    write_volumetric(tmp_path / "rho.xsf", METHANE, RHO)
    text = (tmp_path / "rho.xsf").read_text().replace("PRIMVEC", "PRIMVEC 1")
    (tmp_path / "named_otherwise").write_text(f"ANIMSTEPS {steps}\n" + text)
    if said:
        with pytest.raises(InputError, match=said):
            read_density(tmp_path / "named_otherwise")
    else:
        np.testing.assert_allclose(read_density(tmp_path / "named_otherwise")[0].density, RHO)


@pytest.mark.parametrize("name", ["rho.cube", "CHGCAR", "rho.xsf"])
@pytest.mark.parametrize(
    "text, words",
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS"),
        ("<!DOCTYPE html>\n<html>404</html>\n", "a page of the web"),
        ("\n<HTML><body>no</body>", "a page of the web"),
    ],
)
def test_what_was_downloaded_in_place_of_a_file(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_density(tmp_path / name)
