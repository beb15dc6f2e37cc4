"""Cube files as they come: headers, numbers, several data sets, grids that are not the cell."""

import gzip
import logging

import ase
import numpy as np
import pytest

from deepdensity_tf.data.bulk import convert
from deepdensity_tf.data.conversion import ConvertOptions
from deepdensity_tf.formats import read_density
from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.formats.integral import examined
from deepdensity_tf.formats.windows import as_cell
from deepdensity_tf.infer.grids import grid_of_file
from deepdensity_tf.main import main
from deepdensity_tf.utils.errors import InputError
from tests.conftest import gaussian_density

COUNT, EDGE = 12, 5.0  # points, Å
ATOMS = ase.Atoms("OH", [[2.1, 2.3, 2.2], [2.9, 2.7, 2.4]], cell=[EDGE] * 3, pbc=True)


def periodic(points):
    """Seven electrons in the cell, electrons/Å^3."""
    return gaussian_density(points, ATOMS.positions, [6, 1], np.eye(3) * EDGE, 0.55)


def values_of(start, counts, step=EDGE / COUNT):
    index = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1).reshape(-1, 3)
    return periodic(index * step + start) * BOHR**3


def cube(values=None, counts=(COUNT,) * 3, step=EDGE / COUNT / BOHR, **parts):
    """Text of a cube file; `parts` replace those of the usual one."""
    if values is None:
        values = values_of(np.zeros(3), counts)
    rows = [(z, float(z), *x) for z, x in zip(ATOMS.numbers, ATOMS.positions / BOHR, strict=True)]
    rows = parts.get("atoms", rows)
    origin = parts.get("origin", (0.0, 0.0, 0.0))
    lines = [parts.get("comments", "a density\nof a test")]
    lines += [f"{parts.get('natoms', len(rows))} " + " ".join(map(repr, map(float, origin)))]
    for axis, count in enumerate(counts):
        lines += [f"{count} " + " ".join(repr(float(step) * (axis == k)) for k in range(3))]
    lines += [f"{z} " + " ".join(f"{value:.12f}" for value in row) for z, *row in rows]
    if "data_sets" in parts:
        lines += [parts["data_sets"]]
    lines += [f"{value:.12E}" for value in values]
    return "\n".join(lines) + "\n"


def read(tmp_path, text):
    path = tmp_path / "rho.cube"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (found,) = read_density(path)
    return found


def assert_right(found):
    assert found.electrons == pytest.approx(7.0, abs=1e-4)
    np.testing.assert_allclose(found.atoms.positions, ATOMS.positions, atol=1e-9)
    np.testing.assert_allclose(found.atoms.cell.array, ATOMS.cell.array, atol=1e-9)
    assert str(found.atoms.symbols) == "OH"


@pytest.mark.parametrize(
    "comments",
    [
        b"caf\xe9 in \xc5\nof",
        b"page\x0cpage\x0bx\x1c\nb\xe2\x80\xa8c\xc2\x85",
        b"\xef\xbb\xbfa\nb",
        b"\n",
    ],
)
def test_comments_do_not_matter(tmp_path, comments):
    text = cube(comments="@").encode().replace(b"@", comments)
    assert_right(read(tmp_path, text))
    assert_right(read(tmp_path, text.replace(b"\n", b"\r\n")))


def test_numbers_as_fortran_writes_them(tmp_path):
    lines = cube().replace("E", "D").split("\n")
    lines[2:8] = [
        " ".join(word + "D+00" if "." in word else word for word in line.split())
        for line in lines[2:8]
    ]
    assert_right(read(tmp_path, "\n".join(lines)))


def test_negative_numbers_without_blanks(tmp_path):
    values = values_of(np.zeros(3), (COUNT,) * 3)
    header = cube([])
    glued = "\n".join("".join(f"{-v:.8E}" for v in row) for row in values.reshape(-1, 6))
    assert read(tmp_path, header + glued).electrons == pytest.approx(-7.0, abs=1e-4)


def test_one_numbered_data_set_is_a_density(tmp_path):
    assert_right(read(tmp_path, cube(natoms=-2, data_sets="1 1")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (lambda: cube(natoms=-2, data_sets="2 1 2"), "several values a point"),
        (lambda: cube(np.repeat(values_of(np.zeros(3), (COUNT,) * 3), 2)), "more follows the 1728"),
        (lambda: cube() + cube(), "more follows the 1728"),
        (lambda: cube() + "0.5", "more follows the 1728"),
        (lambda: cube()[:-20], "found 1727 densities, expected 1728"),
        (lambda: cube(atoms=[]), "has no atoms"),
        (lambda: cube(atoms=[(0, 0.0, 1, 1, 1)]), "has no atoms"),
        (lambda: cube(comments="only one"), "not a cube file"),
        (lambda: cube(comments="a\nb\nc"), "not a cube file"),
        (lambda: cube(natoms=1), "more follows the 1728"),
        (lambda: cube(natoms=3), "line 9 is .* expected an atom"),
        (lambda: cube().replace("E-01", "E-01\n*******", 1), r"'\*\*\*"),
        (lambda: cube().replace("E-01", "E-01\nNaN", 1), "NaN"),
        (lambda: cube(atoms=[(8, 1.0, 1, 1)]), "line 7 is .* expected an atom"),
        (lambda: cube(atoms=[(8.5, 1.0, 1, 1, 1)]), "line 7 is .* expected an atom"),
        (lambda: cube(atoms=[(119, 1.0, 1, 1, 1)]), "no such element"),
        (lambda: cube(counts=(0, 1, 1)), "expected numbers of one sign"),
        (lambda: cube(counts=(-3, 3, 3)), "expected numbers of one sign"),
    ],
)
def test_refused(tmp_path, text, reason):
    with pytest.raises(InputError, match=reason):
        read(tmp_path, text())


def test_ghost_atoms(tmp_path, caplog):
    rows = [(z, float(z), *x) for z, x in zip(ATOMS.numbers, ATOMS.positions / BOHR, strict=True)]
    with caplog.at_level(logging.WARNING):
        assert_right(read(tmp_path, cube(atoms=[*rows, (0, 0.0, 1.0, 1.0, 1.0)])))
        assert "1 ghost atoms (Z = 0) are left out" in caplog.text
        found = read(tmp_path, cube(atoms=[*rows, (6, 0.0, 1.0, 1.0, 1.0)]))
    assert len(found.atoms) == 3
    assert "1 of 3 atoms have charge 0" in caplog.text


def test_charges_that_are_all_zero_are_usual(tmp_path, caplog):
    rows = [(z, 0.0, *x) for z, x in zip(ATOMS.numbers, ATOMS.positions / BOHR, strict=True)]
    assert_right(read(tmp_path, cube(atoms=rows)))
    assert not caplog.records


def test_header_in_angstrom_is_suspected(tmp_path, caplog):
    rows = [(z, float(z), *x) for z, x in zip(ATOMS.numbers, ATOMS.positions, strict=True)]
    examined(read(tmp_path, cube(atoms=rows, step=EDGE / COUNT)), "a.cube", pbc=True)
    assert "a.cube: atoms O0 and H1 are 0.48 Å apart, a bond has about" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("shift", [0.0, 2.1, 1.0])
def test_repeated_planes_are_cut(tmp_path, shift):
    """N + 1 points, also where the density is large at the border."""
    counts = (COUNT + 1,) * 3
    found = read(tmp_path, cube(values_of(np.full(3, shift), counts), counts))
    cut, findings = as_cell(found, pbc=True)
    assert cut.density.shape == (COUNT,) * 3
    assert cut.electrons == pytest.approx(7.0, abs=1e-4)
    np.testing.assert_allclose(cut.atoms.cell.array, ATOMS.cell.array, atol=1e-9)
    assert "the last planes along x, y, z repeat the first" in findings[0].message
    assert as_cell(found, pbc=False)[0] is found


def test_planes_equal_by_symmetry_stay(tmp_path):
    """Points half a step off a mirror plane: the integral tells that nothing is repeated."""
    step = EDGE / COUNT
    axis = (np.arange(COUNT) + 0.5) * step - EDGE / 2
    squares = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")) ** 2
    values = np.exp(-squares.sum(0)).ravel()
    values *= 7 / values.sum() / (step / BOHR) ** 3
    found = read(tmp_path, cube(values))
    assert as_cell(found, pbc=True) == (found, [])


def test_cut_where_symmetry_and_repetition_meet(tmp_path):
    """An atom at the corner: planes are mirrored; without the last the integral is whole."""
    step, counts = EDGE / COUNT, (COUNT + 1,) * 3
    axis = np.minimum(np.arange(COUNT + 1), COUNT - np.arange(COUNT + 1)) * step
    squares = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")) ** 2
    values = np.exp(-squares.sum(0))
    values *= 7 / values[:-1, :-1, :-1].sum() / (step / BOHR) ** 3
    cut = as_cell(read(tmp_path, cube(values.ravel(), counts)), pbc=True)[0]
    assert cut.electrons == pytest.approx(7.0, abs=1e-6)


def test_step_that_does_not_divide_the_cell(tmp_path, capsys):
    (tmp_path / "whole.cube").write_text(cube())
    assert main(["analyze", str(tmp_path / "whole.cube")]) == 0
    assert "not a whole number" not in capsys.readouterr().err
    step = EDGE / (COUNT + 4)
    values = values_of(np.zeros(3), (COUNT,) * 3, step)
    (tmp_path / "rho.cube").write_text(cube(values, step=step / BOHR))
    assert main(["analyze", str(tmp_path / "rho.cube")]) == 0
    assert "not a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("pbc", [True, False])
def test_window_of_a_molecule(tmp_path, caplog, pbc):
    start, counts = np.array([2.5, 1.0, 1.0]), (6, 6, 6)
    path = tmp_path / "rho.cube"
    path.write_text(cube(values_of(start, counts), counts, origin=start / BOHR))
    convert([str(path)], [], tmp_path / "out", ConvertOptions(pbc=pbc))
    assert "1 of 2 atoms lie outside the box of the grid" in caplog.text
    assert "electrons, not a whole number: a window" in caplog.text
    coord = np.load(tmp_path / "out" / "set.000" / "coord.npy").reshape(-1, 3)
    np.testing.assert_allclose(coord, (ATOMS.positions - start)[::-1], atol=1e-6)


def test_origin_is_kept_whatever_the_name(tmp_path):
    start = np.array([0.3, -0.2, 0.1])
    text = cube(values_of(start, (COUNT,) * 3), origin=start / BOHR)
    for name in ("rho.cube", "rho.dat"):
        (tmp_path / name).write_text(text)
        np.testing.assert_allclose(grid_of_file(tmp_path / name).origin, start, atol=1e-9)
    (tmp_path / "rho.cube.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "packed").write_bytes(gzip.compress(text.encode()))
    for name in ("rho.cube.gz", "packed"):
        np.testing.assert_allclose(grid_of_file(tmp_path / name).origin, start, atol=1e-9)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x89HDF\r\n\x1a\n" + bytes(50), "LCHARGH5"), (b"\x28\xb5\x2f\xfd" + bytes(50), "by zstd")],
)
def test_what_is_not_read_says_what_to_do(tmp_path, capsys, data, reason):
    (tmp_path / "vaspout.h5").write_bytes(data)
    command = ["convert", str(tmp_path / "vaspout.h5"), "-o", str(tmp_path / "out")]
    assert main(command) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
