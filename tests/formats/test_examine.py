"""The one examination of structures and densities."""

from contextlib import suppress

import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.formats.examine import closest_pair, examine_atoms
from deepdensity_tf.formats.field import GridField
from deepdensity_tf.formats.findings import report
from deepdensity_tf.formats.integral import examine_integral, examine_prediction, examined
from deepdensity_tf.formats.structure_text import examine_file
from deepdensity_tf.infer.structures import read_structure
from deepdensity_tf.utils.errors import InputError


def _words(findings):
    return " ".join(finding.message for finding in findings)


@pytest.mark.parametrize(
    "atoms, words",
    [
        (Atoms("H2", [[0, 0, 0], [0, 0, 0.01]]), "atoms 0 and 1 0.01 Å apart"),
        (Atoms("XH", [[0, 0, 0], [0, 0, 1]]), "atom 0 is of no element"),
        (Atoms("H", [[0, 0, 1e7]], cell=[6] * 3, pbc=True), "coord holds 1e+07 Å"),
        (Atoms(numbers=[-(2**40), 1]), "atom 0 is of no element"),
        (Atoms("H", cell=[1, 1, 1], pbc=True), "'no crystal'"),
        (Atoms("CH", [[0, 0, 0], [0, 0, 0.5]]), "C0 and H1 are 0.50 Å apart"),
        (Atoms("H2", [[0, 0, 0], [0, 0, 5.99]], cell=[6] * 3, pbc=True), "periodic image"),
        (Atoms("H", info={"occupancy": {"0": {"C": 0.5, "H": 0.5}}}), "C 0.5 H 0.5"),
        (Atoms("H", info={"occupancy": {"0": {"H": "half"}}}), "H half"),
        (Atoms(), "no atoms"),
    ],
)
def test_odd_structure_named(atoms, words):
    assert words in _words(examine_atoms(atoms))


@pytest.mark.parametrize("pbc", [True, False])
@pytest.mark.parametrize("natoms", [5, 60])
def test_closest_pair_by_ratio(natoms, pbc):
    """Brute force over the images; the pair nearest by the sum of the radii."""
    rng = np.random.default_rng(natoms)
    cell = np.diag([4.0, 5.0, 6.0]) + rng.uniform(-0.5, 0.5, (3, 3))
    coord, radii = rng.random((natoms, 3)) @ cell, rng.uniform(0.5, 1.5, natoms)
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1 if pbc else np.zeros((1, 3))
    apart = coord[None, :, None] - coord[None, None] + (shifts @ cell)[:, None, None]
    distance = np.linalg.norm(apart, axis=-1)
    distance[distance < 1e-9] = np.inf
    ratio = distance / (radii[:, None] + radii)
    found = closest_pair(coord, cell, pbc, radii)
    assert ratio.min() < 1
    assert found.distance / (radii[found.first] + radii[found.second]) == pytest.approx(ratio.min())
    far = closest_pair(coord, cell, pbc, 1e-6)
    assert far.distance == np.inf


def test_occupancy_that_is_not_given_is_full():
    assert not examine_atoms(Atoms("H", info={"occupancy": {"0": {"H": "."}}}))


def test_molecule_passes():
    assert not examine_atoms(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]))


@pytest.mark.parametrize(
    "density, electrons, volume, words",
    [
        ([1.0, -1.0], 0.0, None, "an orbital"),
        ([1.0, 1.0], 1000.4, None, "1 electron/bohr^3 = 6.7483 electrons/Å^3"),
        ([1.0] * 1000, 8000.0, 200.0, "is it times the volume of the cell"),
        ([1.0, 1.0], 8e9, None, "no density"),
        ([1.0, 1.0], 8.0, None, ""),
        ([1.0, 1.0], None, None, ""),
    ],
)
def test_impossible_integral(density, electrons, volume, words):
    findings = examine_integral(np.array(density), electrons, 5, volume)
    assert words in _words(findings) and bool(findings) == bool(words)


METHANE = Atoms(
    "CH4", np.vstack([[0] * 3, 1.1 * np.eye(3), [-1.1, 0, 0]]) + 2, cell=[6.0] * 3, pbc=True
)


def volume_of(electrons, atoms=METHANE, **known):
    """A smooth density that integrates to a number of electrons."""
    waves = 1 + 0.5 * np.cos(2 * np.pi * np.arange(12) / 12)
    density = waves[:, None, None] * waves[:, None] * waves
    return GridField(atoms, density * electrons / (density.mean() * atoms.cell.volume), **known)


def moved_bohr(atoms):
    """As if positions in Å had been taken as bohr."""
    small = atoms.copy()
    small.set_cell(atoms.cell * BOHR, scale_atoms=True)
    return small


@pytest.mark.parametrize(
    "volume, words",
    [
        (volume_of(8), ""),
        (volume_of(10), ""),
        (volume_of(8 * 6.75, unit_varies=True), "in e/ang3 (see --unit)"),
        (volume_of(8 / 6.75, unit_varies=True), "in e/bohr3 (see --unit)"),
        (volume_of(8 / 6.75), "some states (PARCHG)"),
        (volume_of(2, unit_varies=True), "some states (PARCHG)"),  # whole: no other unit
        (volume_of(8 / 216), "not times the volume"),
        (volume_of(8 * 6.75), "no density"),
        (volume_of(7.6), "7.6000 electrons, not a whole number"),
        (volume_of(7.6, pseudo=True), ""),
        (volume_of(1.185, moved_bohr(METHANE), unit_varies=True), "lengths in another unit"),
    ],
)
def test_one_doubt_names_the_likely_cause(volume, words, caplog):
    with suppress(InputError):
        examined(volume, "x", pbc=True, force=True)
    assert words in caplog.text and len(caplog.records) == bool(words)


def test_causes_that_the_grid_tells(caplog):
    peaks = volume_of(0.0)
    peaks.density[2, 2, 2] = 50.0 / (216 / 12**3)
    examined(peaks, "x", pbc=True)
    assert "too coarse for core electrons? (50 at one point)" in caplog.text
    waves = volume_of(8)
    waves.density[:6] *= -0.5
    examined(waves, "y", pbc=True, force=True)
    assert "% of the density is negative" in caplog.text
    examined(GridField(METHANE, np.full((1, 1, 1), 8 / 216)), "z", pbc=True)
    assert "points are 6 Å apart" in caplog.text


@pytest.mark.parametrize("bad", ["density", "spin_density", "coord", "box"])
def test_what_is_no_number_is_never_forced(bad):
    volume = volume_of(8)
    arrays = {"density": volume.density, "coord": METHANE.positions, "box": METHANE.cell.array}
    arrays["spin_density"] = volume.density
    arrays = {name: array.copy() for name, array in arrays.items()}
    arrays[bad][0, 0] = np.nan
    atoms = Atoms(METHANE.numbers, arrays["coord"], cell=arrays["box"], pbc=True)
    odd = GridField(atoms, arrays["density"], arrays["spin_density"])
    with pytest.raises(InputError, match=f"x: {bad} holds NaN"):
        examined(odd, "x", pbc=True, force=True)


def test_prediction_doubted():
    atoms = Atoms("CH4", np.arange(15).reshape(5, 3))
    assert examine_prediction(9.0, atoms, 8.0)
    assert not examine_prediction(8.01, atoms, 8.0)
    assert examine_prediction(-1e13, atoms)


def test_dump_of_types_refused_and_forced(tmp_path):
    path = tmp_path / "x.dump"
    path.write_text("ITEM: TIMESTEP\n0\nITEM: ATOMS id type x y z\n1 1 0 0 0\n")
    with pytest.raises(InputError, match="types but without elements"):
        report(examine_file(path), "x")
    report(examine_file(path), "x", force=True)


def test_alternate_locations_refused(tmp_path):
    path = tmp_path / "x.pdb"
    line = "ATOM  {:5d}  H {}LIG A   1    {:8.3f}{:8.3f}{:8.3f}  0.50  0.00           H\n"
    path.write_text(line.format(1, "A", 0, 0, 0) + line.format(2, "B", 0, 0, 1) + "END\n")
    with pytest.raises(InputError, match="alternate locations"):
        read_structure(str(path))
