"""Counts in headers that no file can hold are refused at once, not believed."""

import io
import zipfile

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.formats import read_density, write_volumetric
from deepdensity_tf.infer.structures import read_structure, read_structures
from deepdensity_tf.utils.errors import InputError
from tests.fuzz.readers import DUMP

COUNTS = ["9", "1000000000000", "9" * 400, "9" * 5000]
ATOMS = Atoms("OH", [[1.0, 1, 1], [1.9, 1, 1]], cell=[3.0, 4, 5], pbc=True)
DATA = """made here

2 atoms
1 atom types
0 9 xlo xhi
0 9 ylo yhi
0 9 zlo zhi

Masses

1 1.008

Atoms # atomic

1 1 0 0 0
2 1 0 0 0.8
"""


def write_text(path, options):
    if path.suffix == ".dump":
        path.write_text(DUMP)
    elif path.suffix == ".lmp":
        path.write_text(DATA)
    else:
        ase.io.write(path, ATOMS, **options)
    return path.read_text()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "name, options, header",
    [
        ("a.extxyz", {}, "2\n"),
        ("a.xyz", {"plain": True}, "2\n"),
        ("a.gen", {}, "2"),
        ("a.xsf", {}, "2 1\n"),
        ("a.gro", {}, "2\n"),
        ("a.dump", {}, "2\n"),
        ("a.lmp", {}, "2 atoms"),
        ("POSCAR", {"format": "vasp"}, "   1   1\n"),
        ("XDATCAR", {"format": "vasp-xdatcar"}, "1\nDirect"),
    ],
)
def test_structures(tmp_path, name, options, header, count):
    text = write_text(tmp_path / name, options)
    assert header in text
    changed = text.replace(header, header.replace(header.split()[0], count), 1)
    (tmp_path / name).write_text(changed)
    with pytest.raises(InputError, match=r"\A[^\n]{1,400}\Z"):
        read_structure(str(tmp_path / name))


@pytest.mark.parametrize("count", [1, 2])
def test_dump_whose_last_atoms_are_missing(tmp_path, count):
    lines = DUMP.splitlines(keepends=True)
    (tmp_path / "a.dump").write_text("".join(lines[:-count]))
    for frames in ("0", ":", "-1"):
        with pytest.raises(InputError, match="a.dump: ends before what its header counts"):
            list(read_structures(str(tmp_path / "a.dump"), frames))
    for text in (DUMP.rstrip(), DUMP):
        (tmp_path / "a.dump").write_text(DUMP + text)
        for frames, count in (("0", 1), ("1", 1), (":", 2), ("-1", 1)):
            assert len(list(read_structures(str(tmp_path / "a.dump"), frames))) == count


def test_the_reason_is_given(tmp_path):
    (tmp_path / "a.extxyz").write_text("9" * 400 + "\n\nH 0 0 0\n")
    with pytest.raises(InputError, match=r"a.extxyz: ends before what its header counts"):
        read_structure(str(tmp_path / "a.extxyz"))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "name, old, new",
    [
        ("rho.cube", "    2  ", "{} "),
        ("rho.cube", "    2  ", "-{} "),
        ("rho.cube", "\n    3 ", "\n {} "),
        ("rho.xsf", "\n2 1\n", "\n{} 1\n"),
        ("rho.xsf", "\n4 5 6\n", "\n4 {} 6\n"),
        ("CHGCAR", "   1   1\n", " 1 {}\n"),
        ("CHGCAR", "    3    4    5\n", " 3 {} 5\n"),
        ("CHGCAR", "    3    4    5\n", " {0} {0} {0}\n"),
    ],
)
def test_densities(tmp_path, name, old, new, count):
    write_volumetric(tmp_path / name, ATOMS, np.full((3, 4, 5), 0.1))
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new.format(count), 1))
    with pytest.raises(InputError, match=r"\A[^\n]{1,400}\Z"):
        read_density(tmp_path / name)


def test_products_beyond_64_bits(tmp_path):
    write_volumetric(tmp_path / "CHGCAR", ATOMS, np.full((3, 4, 5), 0.1))
    text = (tmp_path / "CHGCAR").read_text()
    # 2^64 points: 0 in 64 bits.
    huge = text.replace("    3    4    5\n", f" {2**32} {2**16} {2**16}\n")
    (tmp_path / "CHGCAR").write_text(huge)
    with pytest.raises(InputError, match="truncated: found 60 densities"):
        read_density(tmp_path / "CHGCAR")


@pytest.mark.parametrize("word", ["²", "3.", "0x3"])
def test_words_that_are_nearly_numbers(tmp_path, word):
    write_volumetric(tmp_path / "CHGCAR", ATOMS, np.full((3, 4, 5), 0.1))
    text = (tmp_path / "CHGCAR").read_text()
    for old in ("    3    4    5\n", "   1   1\n"):
        (tmp_path / "CHGCAR").write_text(text.replace(old, old.replace(old.split()[0], word, 1)))
        with pytest.raises(InputError, match=r"\A[^\n]{1,400}\Z"):
            read_density(tmp_path / "CHGCAR")


@pytest.mark.parametrize("shape", [(3, 4, 6), (10**6, 10**6, 10**6), (10**400, 1, 1)])
def test_shapes_in_npz(tmp_path, shape):
    write_volumetric(tmp_path / "good.npz", ATOMS, np.full((3, 4, 5), 0.1))
    with (
        zipfile.ZipFile(tmp_path / "good.npz") as good,
        zipfile.ZipFile(tmp_path / "rho.npz", "w") as bad,
    ):
        for name in good.namelist():
            data = good.read(name)
            if name == "density.npy":
                stream = io.BytesIO()
                header = {"descr": "<f8", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                data = stream.getvalue() + bytes(480)
            bad.writestr(name, data)
    with pytest.raises(InputError, match="density.npy says that it has the shape"):
        read_density(tmp_path / "rho.npz")


def test_hdf5_that_was_never_written(tmp_path):
    with h5py.File(tmp_path / "data.hdf5", "w") as file:
        file["type.raw"] = np.array([0])
        file["type_map.raw"] = np.array(["H"], dtype=object)
        part = file.create_group("set.000")
        part["coord.npy"], part["box.npy"] = np.ones((1, 3)), 2 * np.eye(3).reshape(1, 9)
        part["grid_shape.npy"] = np.array([[2, 2, 2]])
        part.create_dataset("density.npy", (1, 8), dtype="f4", chunks=(1, 8))
    with pytest.raises(InputError, match=r"density.npy: has the shape \(1, 8\) but no numbers"):
        DensitySystem(f"{tmp_path}/data.hdf5")
