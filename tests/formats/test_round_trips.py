"""Any density, cell, origin comes back from every format that we write, by us, ASE, pymatgen."""

import bz2
import gzip
import lzma
import tempfile
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.calculators.vasp import VaspChargeDensity
from ase.io.cube import read_cube
from ase.io.xsf import read_xsf
from hypothesis import given, settings
from hypothesis import strategies as st

from deepdensity_tf.formats import read_density, write_volumetric
from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.utils.errors import InputError


@st.composite
def subjects(draw):
    """Atoms with a cell of right-handed vectors, a density, an origin."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = tuple(draw(st.tuples(*[st.integers(2, 6)] * 3)))
    # Diagonally dominant: far from flat.
    cell = np.diag(rng.uniform(3, 30, 3)) + rng.uniform(-0.9, 0.9, (3, 3))
    # Mostly positive: a negative integral is no density to the reader of CHGCAR.
    density = (rng.random(shape) - 0.05) * 10.0 ** draw(st.integers(-8, 3))
    density[rng.random(shape) < 0.2] = 0.0
    density[0, 0, 0] += 10 * np.abs(density).max()
    origin = rng.uniform(-40, 40, 3) if draw(st.booleans()) else np.zeros(3)
    natoms = draw(st.integers(1, 5))
    numbers = np.sort(rng.integers(1, 99, natoms))
    positions = rng.random((natoms, 3)) @ cell + origin
    return ase.Atoms(numbers, positions, cell=cell, pbc=draw(st.booleans())), density, origin


def assert_same(found, subject):
    atoms, density, origin = subject
    # 11 digits are written, of the density; 12 decimals of lengths.
    np.testing.assert_allclose(found.density, density, rtol=1e-10, atol=0)
    np.testing.assert_allclose(found.atoms.cell.array, atoms.cell.array, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.atoms.positions, atoms.positions - origin, atol=1e-10)
    np.testing.assert_array_equal(found.atoms.numbers, atoms.numbers)


@settings(max_examples=25, deadline=None)
@given(subject=subjects())
@pytest.mark.parametrize("name", ["rho.cube", "rho.xsf", "CHGCAR", "rho.npz"])
def test_read_by_us(name, subject):
    atoms, density, origin = subject
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_volumetric(path, atoms, density, origin)
        (found,) = read_density(path)
    assert_same(found, subject)
    if name in ("rho.cube", "rho.xsf"):
        np.testing.assert_allclose(found.origin, origin, rtol=0, atol=1e-10)
    if name in ("rho.xsf", "rho.npz"):
        assert (found.atoms.pbc == atoms.pbc).all()
    assert found.periodic is (None if name == "rho.cube" else bool(found.atoms.pbc.any()))


@settings(max_examples=15, deadline=None)
@given(subject=subjects())
def test_formats_agree(subject):
    """The same density from every format, whatever packs it and whatever it is called."""
    atoms, density, origin = subject
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rho.cube", "rho.xsf", "CHGCAR", "rho.npz"):
            path = Path(folder) / name
            write_volumetric(path, atoms, density, origin)
            plain = path.read_bytes()
            for pack in (bytes, gzip.compress, bz2.compress, lzma.compress):
                path.write_bytes(pack(plain))
                (found,) = read_density(path)
                assert_same(found, subject)


@settings(max_examples=25, deadline=None)
@given(subject=subjects())
def test_read_by_ase(subject):
    atoms, density, origin = subject
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rho.cube", "rho.xsf", "CHGCAR"):
            write_volumetric(Path(folder) / name, atoms, density, origin)
        with open(Path(folder) / "rho.cube") as stream:
            cube = read_cube(stream)
        with open(Path(folder) / "rho.xsf") as stream:
            data, start, vectors, structure = read_xsf(stream, read_data=True)
        chgcar = VaspChargeDensity(str(Path(folder) / "CHGCAR"))
    np.testing.assert_allclose(cube["data"] / BOHR**3, density, rtol=1e-10, atol=0)
    # ASE's bohr is that of CODATA 2014: 6e-10 relative off.
    np.testing.assert_allclose(cube["origin"], origin, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(cube["atoms"].positions, atoms.positions, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(chgcar.chg[0], density, rtol=1e-10, atol=0)
    np.testing.assert_allclose(chgcar.atoms[0].positions, atoms.positions - origin, atol=1e-10)
    nx, ny, nz = density.shape
    np.testing.assert_allclose(data[:nx, :ny, :nz] / BOHR**3, density, rtol=1e-10, atol=0)
    np.testing.assert_allclose(start, origin, rtol=0, atol=1e-11)
    np.testing.assert_allclose(structure.positions, atoms.positions, rtol=0, atol=1e-11)
    if atoms.pbc.any():
        np.testing.assert_array_equal(data[-1], data[0])
        np.testing.assert_array_equal(data[:, :, -1], data[:, :, 0])
        np.testing.assert_allclose(structure.cell, vectors, rtol=0, atol=1e-11)
    else:
        ends = np.array(atoms.cell) * ((np.array(density.shape) - 1) / density.shape)[:, None]
        np.testing.assert_allclose(vectors, ends, rtol=0, atol=1e-11)


@settings(max_examples=10, deadline=None)
@given(subject=subjects())
def test_read_by_pymatgen(subject):
    from pymatgen.io.common import VolumetricData
    from pymatgen.io.vasp import Chgcar

    atoms, density, origin = subject
    with tempfile.TemporaryDirectory() as folder:
        for name in ("rho.cube", "CHGCAR"):
            write_volumetric(Path(folder) / name, atoms, density, origin)
        cube = VolumetricData.from_cube(Path(folder) / "rho.cube")
        chgcar = Chgcar.from_file(Path(folder) / "CHGCAR")
    np.testing.assert_allclose(cube.data["total"] / BOHR**3, density, rtol=1e-10, atol=0)
    volume = chgcar.structure.volume
    np.testing.assert_allclose(chgcar.data["total"] / volume, density, rtol=1e-10, atol=0)
    for found in (cube.structure, chgcar.structure):
        # pymatgen's bohr is SciPy's: CODATA 2022, 2e-10 relative off.
        np.testing.assert_allclose(found.lattice.matrix, atoms.cell.array, rtol=1e-9, atol=1e-9)
        assert [site.specie.Z for site in found] == atoms.numbers.tolist()
        apart = found.frac_coords - np.linalg.solve(atoms.cell.T, (atoms.positions - origin).T).T
        np.testing.assert_allclose(apart, np.round(apart), rtol=0, atol=1e-8)


ATOMS = ase.Atoms("OH", [[1.0, 1, 1], [1.9, 1, 1]], cell=[3.0, 4, 5], pbc=True)
DENSITY = np.random.default_rng(0).random((3, 4, 5))


def write_by_ase(path, density=DENSITY, vectors=None, atoms=ATOMS):
    """A general grid by another program, values in electrons/bohr^3."""
    from ase.io.xsf import write_xsf

    data = np.pad(density * BOHR**3 * 1e6, (0, 1), mode="wrap")
    with open(path, "w") as stream:
        write_xsf(stream, [atoms], data, np.zeros(3), atoms.cell if vectors is None else vectors)


def test_xsf_of_ase(tmp_path):
    write_by_ase(tmp_path / "named_otherwise")
    (found,) = read_density(tmp_path / "named_otherwise")
    # Six decimals are written.
    np.testing.assert_allclose(found.density / 1e6, DENSITY, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.atoms.positions, ATOMS.positions, atol=1e-12)
    np.testing.assert_allclose(found.atoms.cell, ATOMS.cell, atol=1e-12)


def test_unit_of_xsf(tmp_path):
    write_volumetric(tmp_path / "rho.xsf", ATOMS, DENSITY)
    (found,) = read_density(tmp_path / "rho.xsf", unit="e/ang3")
    np.testing.assert_allclose(found.density, DENSITY * BOHR**3, rtol=1e-9)


def test_xsf_with_forces_symbols_comments_and_wrapped_lines(tmp_path):
    write_volumetric(tmp_path / "rho.xsf", ATOMS, DENSITY)
    text = (tmp_path / "rho.xsf").read_text()
    text = text.replace("8 1.000", "O 1.000").replace("\nPRIMCOORD", "\n # said\n\nPRIMCOORD")
    text = text.replace("1.900000000000 1.000000000000 1.000000000000", "1.9 1 1 0.1 0.2 0.3")
    start = text.index("density\n4 5 6")
    head, body = text[:start], text[start:].split("\n")
    numbers = " ".join(body[6:-3]).split()
    wrapped = "\n".join(" ".join(numbers[k : k + 7]) for k in range(0, len(numbers), 7))
    (tmp_path / "rho.xsf").write_text(head + "\n".join(body[:6] + [wrapped] + body[-3:]))
    (found,) = read_density(tmp_path / "rho.xsf")
    np.testing.assert_allclose(found.density, DENSITY, rtol=1e-9)
    assert str(found.atoms.symbols) == "OH"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("END_DATAGRID_3D\n", "1.0\nEND_DATAGRID_3D\n", "more follows the 120 densities"),
        ("END_DATAGRID_3D\n", "BEGIN_DATAGRID_3D_b\n1\nEND\n", "found 2 3D grids"),
        ("END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n", "", "truncated"),
        ("density\n4 5 6", "density\n4 5 7", "found 120 densities, expected 140"),
        ("density\n4 5 6", "density\n1 1 1", "expected two or more"),
        ("CRYSTAL", "ANIMSTEPS 2\nCRYSTAL", "of several steps"),
        ("PRIMVEC\n3.0", "PRIMVEC\n3.1", "along x differs from that of PRIMVEC by 0.1 Å"),
        ("\n2 1\n", "\n99 1\n", "atoms, expected some"),
        ("8 1.0", "0 1.0", "Z = 0"),
        ("8 1.0", "Qq 1.0", "no such element"),
        ("PRIMCOORD", "NOTHING", "found no PRIMCOORD or ATOMS"),
        ("DATAGRID_3D", "SOMETHING", "found 0 3D grids"),
        ("density\n4 5 6", "density\n6 5 4", "does not repeat the first"),
    ],
)
def test_xsf_refused(tmp_path, old, new, reason):
    write_volumetric(tmp_path / "rho.xsf", ATOMS, DENSITY)
    text = (tmp_path / "rho.xsf").read_text()
    assert old in text
    (tmp_path / "rho.xsf").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=reason):
        read_density(tmp_path / "rho.xsf")
