"""Structure files as they come: what ASE guesses or overlooks is seen."""

import gzip

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from deepdensity_tf.analysis.subjects import stored_density
from deepdensity_tf.formats import write_volumetric
from deepdensity_tf.infer.structures import read_structure, read_structures
from deepdensity_tf.utils.errors import InputError

METHANE = Atoms(
    "CH4",
    [[2, 2, 2], [2.63, 2.63, 2.63], [2.63, 1.37, 1.37], [1.37, 2.63, 1.37], [1.37, 1.37, 2.63]],
    cell=[6.0, 6.5, 7.0],
    pbc=True,
)


def text_of(tmp_path, name, atoms=METHANE, **options):
    write(tmp_path / name, atoms, **options)
    return (tmp_path / name).read_text()


def saved(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def assert_methane(found, numbers=METHANE.numbers):
    np.testing.assert_array_equal(found.atoms.numbers, numbers)
    np.testing.assert_allclose(found.atoms.get_all_distances(), METHANE.get_all_distances())


@pytest.fixture
def poscar(tmp_path):
    return text_of(tmp_path, "POSCAR", format="vasp")


@pytest.mark.parametrize("name", ["POSCAR", "CONTCAR.2", "x.poscar", "x.vasp", "new_POSCAR"])
def test_wrapped_and_labelled_poscar(tmp_path, poscar, name):
    wrapped = poscar.replace(" C   H  \n", " C_s\n H1.25\n").replace("   1   4\n", " 1\n 4\n")
    assert wrapped != poscar
    assert_methane(read_structure(saved(tmp_path, name, wrapped)))


def test_compressed_poscar_with_velocities(tmp_path, poscar):
    text = poscar + "\n" + "0.0 0.0 0.1\n" * 5
    (tmp_path / "POSCAR.gz").write_bytes(gzip.compress(text.encode()))
    assert_methane(read_structure(str(tmp_path / "POSCAR.gz")))


def test_elements_of_poscar_are_not_guessed(tmp_path, poscar):
    lines = poscar.split("\n")
    old = "\n".join(["C H", *lines[1:5], *lines[6:]])
    with pytest.raises(InputError, match="has no line of elements"):
        read_structure(saved(tmp_path, "POSCAR", old))


def test_cube_as_structure_keeps_origin_and_frames_are_chosen(tmp_path):
    origin = np.array([1.0, -2.0, 0.5])
    write_volumetric(tmp_path / "rho.cube", METHANE, np.ones((2, 3, 4)), origin)
    found = read_structure(str(tmp_path / "rho.cube"))
    np.testing.assert_allclose(found.atoms.positions, METHANE.positions, atol=1e-9)
    with pytest.raises(InputError, match="found 1 frames"):
        read_structure(str(tmp_path / "rho.cube"), 1)


PWSCF = """&system
  ibrav = 0, nat = 2, ntyp = 2, ecutwfc = 20
/
ATOMIC_SPECIES
  Cs {mass} {pseudo}
  Os 15.999 mine.UPF
CELL_PARAMETERS angstrom
  4.0 0 0
  0 5.0 0
  0 0 6.0
ATOMIC_POSITIONS angstrom
  Cs 0 0 0
  Os 1.1 0 0 1 1 1
K_POINTS automatic
  4 4 4 0 0 0
"""


@pytest.mark.parametrize(
    "mass, pseudo, symbols",
    [
        ("12.011", "mine.UPF", "CO"),
        ("1.0", "C.pbe.UPF", "CO"),
        ("132.905", "mine.UPF", "CsO"),
    ],
)
def test_kinds_of_pwscf(tmp_path, mass, pseudo, symbols):
    found = read_structure(saved(tmp_path, "scf.in", PWSCF.format(mass=mass, pseudo=pseudo)))
    assert str(found.atoms.symbols) == symbols
    np.testing.assert_allclose(found.atoms.positions[1], [1.1, 0, 0])


def test_damaged_pwscf_names_the_reason(tmp_path):
    text = PWSCF.format(mass="1", pseudo="C.UPF").replace("ibrav = 0", "ibrav = 2")
    with pytest.raises(InputError, match="ASE cannot read it as a structure .*ibrav"):
        read_structure(saved(tmp_path, "scf.in", text))


ATOM = "{:6s}{:5d} {:4s}{}LIG A   1    {:8.3f}{:8.3f}{:8.3f}  1.00  0.00          {:2s}\n"


def pdb(names="CHHHH", letters="     ", elements="CHHHH", positions=METHANE.positions):
    rows = zip(names, letters, positions, elements, strict=True)
    return "".join(ATOM.format("ATOM", 1, n, a, *x, f"{e:>2s}") for n, a, x, e in rows)


CELL = "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n"


def test_pdb_of_a_molecule(tmp_path, caplog):
    assert_methane(read_structure(saved(tmp_path, "x.pdb", pdb() + "END\n")))
    assert not caplog.records


def test_pdb_cell_that_means_none(tmp_path):
    path = saved(tmp_path, "x.pdb", CELL + pdb() + "END\n")
    with pytest.raises(InputError, match="stands for 'no crystal' .*--nopbc"):
        read_structure(path)
    found = read_structure(path, nopbc=True)
    assert_methane(found)
    assert found.atoms.cell.rank == 0


def test_pdb_alternate_locations_of_full_occupancy(tmp_path):
    text = pdb(letters=" AB  ")
    with pytest.raises(InputError, match="alternate locations .A B in column 17"):
        read_structure(saved(tmp_path, "x.pdb", text))
    assert_methane(read_structure(saved(tmp_path, "x.pdb", pdb(letters=" AA  "))))


def test_pdb_elements_guessed_are_said(tmp_path, caplog):
    read_structure(saved(tmp_path, "x.pdb", pdb(elements=" " * 5)))
    assert "5 atoms have no element" in caplog.text


def test_pdb_models_that_lack_the_cell(tmp_path):
    model = "MODEL        1\n" + pdb() + "ENDMDL\n"
    text = CELL.replace("1.000 ", "9.000 ") + 2 * model
    with pytest.raises(InputError, match="states its cell once"):
        list(read_structures(saved(tmp_path, "x.pdb", text)))


def cif(tmp_path):
    return text_of(tmp_path, "x.cif")


def test_cif_whose_formula_has_hydrogens_that_it_does_not_place(tmp_path):
    text = cif(tmp_path)
    assert_methane(read_structure(saved(tmp_path, "whole.cif", text)))
    assert "_chemical_formula_sum" in text
    bare = "\n".join(line for line in text.split("\n") if not line.split()[:1] == ["H"])
    with pytest.raises(InputError, match="has the formula C1 H4 but no hydrogen"):
        read_structure(saved(tmp_path, "bare.cif", bare))
    read_structure(saved(tmp_path, "bare.cif", bare), force=True)


def test_cif_with_attached_hydrogens(tmp_path):
    lines = cif(tmp_path).split("\n")
    rows = [k for k, line in enumerate(lines) if line.strip().startswith("_atom_site_")]
    lines.insert(rows[-1] + 1, "_atom_site_attached_hydrogens")
    lines = [
        f"{line} {2 if line.split()[0] == 'C' else 0}" if len(line.split()) == 7 else line
        for line in lines
    ]
    with pytest.raises(InputError, match="2 hydrogens are counted at their atoms"):
        read_structure(saved(tmp_path, "x.cif", "\n".join(lines)))


def test_cif_of_partial_occupancy(tmp_path):
    text = cif(tmp_path)
    with pytest.raises(InputError, match="partial occupancy or alternate locations .C 0.5"):
        read_structure(saved(tmp_path, "x.cif", text.replace("1.0000", "0.5000", 1)))


def test_dump_with_and_without_elements(tmp_path):
    head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n" + "0 9\n" * 3
    named = head + "ITEM: ATOMS id element x y z\n1 C 0 0 0\n"
    assert str(read_structure(saved(tmp_path, "x.dump", named)).atoms.symbols) == "C"
    heavy = head + "ITEM: ATOMS id type mass x y z\n1 1 12.011 0 0 0\n"
    assert str(read_structure(saved(tmp_path, "x.dump", heavy)).atoms.symbols) == "C"
    typed = head + "ITEM: ATOMS id type x y z\n1 1 0 0 0\n"
    (tmp_path / "x.dump.gz").write_bytes(gzip.compress(typed.encode()))
    for path in (saved(tmp_path, "x.dump", typed), str(tmp_path / "x.dump.gz")):
        with pytest.raises(InputError, match="types but without elements"):
            read_structure(path)


@pytest.mark.parametrize("label", ["HW", "OW", "EP", "X"])
def test_labels_of_systems_that_are_no_elements(tmp_path, label):
    folder = tmp_path / "system"
    (folder / "set.000").mkdir(parents=True)
    (folder / "type.raw").write_text("0\n")
    (folder / "type_map.raw").write_text(f"{label}\n")
    arrays = {"coord": np.ones((1, 3)), "box": np.eye(3).reshape(1, 9) * 2}
    arrays |= {"grid_shape": np.array([[2, 2, 2]]), "density": np.ones((1, 8), np.float32)}
    for name, array in arrays.items():
        np.save(folder / "set.000" / f"{name}.npy", array)
    for read in (read_structure, stored_density):
        with pytest.raises(InputError, match="no element" if label == "X" else "no such element"):
            read(str(folder))


@pytest.mark.parametrize("name", ["x.extxyz", "x.extxyz.gz", "x.cif", "x.cif.bz2", "x.pdb"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_first_bytes_tell_how_a_file_is_packed(tmp_path, name, pack, mark):
    text = text_of(tmp_path, name.partition(".")[0] + "." + name.split(".")[1])
    crlf = mark + text.replace("\n", "\r\n").encode()
    (tmp_path / name).write_bytes(pack(crlf))
    assert_methane(read_structure(str(tmp_path / name)))


def test_trajectory_of_ase_in_gzip(tmp_path):
    write(tmp_path / "x.traj", [METHANE, METHANE])
    (tmp_path / "y.traj").write_bytes(gzip.compress((tmp_path / "x.traj").read_bytes()))
    assert_methane(read_structure(str(tmp_path / "y.traj"), 1))


def test_gro_says_no_elements(tmp_path):
    text = text_of(tmp_path, "x.gro")
    with pytest.raises(InputError, match="a .gro file has no elements"):
        read_structure(str(tmp_path / "x.gro"))
    with pytest.raises(InputError, match="states 7 atoms, 5 lines"):
        read_structure(saved(tmp_path, "x.gro", text.replace("\n    5\n", "\n    7\n")), force=True)


ROWS = "\n".join(
    f"{s} {x} {y} {z}" for s, (x, y, z) in zip(METHANE.symbols, METHANE.positions, strict=True)
)


def test_frames_behind_a_blank_line_are_not_lost(tmp_path):
    frame = f"5\nsaid\n{ROWS}\n"
    path = saved(tmp_path, "x.xyz", frame + frame + "\n \n")
    assert len(list(read_structures(path))) == 2
    path = saved(tmp_path, "x.xyz", frame + "\n" + frame)
    assert len(list(read_structures(path, "0"))) == 1
    for frames in (":", "0:2", "-1"):
        with pytest.raises(InputError, match="blank lines between its frames"):
            list(read_structures(path, frames))


def test_frames_may_differ_in_their_atoms(tmp_path):
    path = saved(tmp_path, "x.xyz", f"5\na\n{ROWS}\n2\nb\nH 0 0 0\nH 0 0 0.74\n")
    assert [len(frame.atoms) for frame in read_structures(path)] == [5, 2]


def test_columns_behind_the_positions(tmp_path):
    charged = "\n".join(f"{row} 0.25" for row in ROWS.split("\n"))
    assert_methane(read_structure(saved(tmp_path, "x.xyz", f"5\nq\n{charged}\n")))


@pytest.mark.parametrize("label", ["C1", "Bq", "6"])
def test_labels_that_are_no_elements_are_named(tmp_path, label):
    path = saved(tmp_path, "x.xyz", "5\na\n" + ROWS.replace("C ", f"{label} "))
    with pytest.raises(InputError, match=f"'{label}' is no element"):
        read_structure(path)


DATA = """made here

5 atoms
2 atom types
0 6.0 xlo xhi
0 6.5 ylo yhi
0 7.0 zlo zhi

{masses}Atoms{style}

{rows}
"""


@pytest.mark.parametrize("name", ["x.lmp", "x.data", "data.bulk", "x.lammps-data", "x.lmp.gz"])
@pytest.mark.parametrize(
    "style, row", [(" # full", "{} 1 {} 0.1 {} {} {}"), ("", "{} {} {} {} {}")]
)
def test_data_of_lammps_by_any_name(tmp_path, name, style, row):
    rows = "\n".join(
        row.format(k + 1, 1 if s == "C" else 2, *x)
        for k, (s, x) in enumerate(zip(METHANE.symbols, METHANE.positions, strict=True))
    )
    for masses in ("Masses\n\n1 12.011\n2 1.008\n\n", ""):
        text = DATA.format(masses=masses, style=style, rows=rows)
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        if masses:
            assert_methane(read_structure(str(tmp_path / name)))
            continue
        with pytest.raises(InputError, match="a LAMMPS data file without Masses"):
            read_structure(str(tmp_path / name))


@pytest.mark.parametrize("nat, line", [(2, ""), (1, ""), (2, "  O 0 0 1\n")])
def test_more_atoms_than_nat(tmp_path, nat, line):
    text = PWSCF.format(mass="12.011", pseudo="C.UPF").replace("nat = 2", f"nat = {nat}")
    text = text.replace("1.1 0 0 1 1 1\n", f"1.1 0 0 1 1 1\n{line}")
    if nat == 2 and not line:
        assert len(read_structure(saved(tmp_path, "scf.in", text)).atoms) == 2
        return
    with pytest.raises(InputError, match="atoms in ATOMIC_POSITIONS, expected nat"):
        read_structure(saved(tmp_path, "scf.in", text))


def test_cif_of_labels_alone(tmp_path, caplog):
    lines = cif(tmp_path).split("\n")
    column = [line.strip() for line in lines if line.strip().startswith("_atom_site_")]
    place = column.index("_atom_site_type_symbol")
    lines = [line for line in lines if "_type_symbol" not in line]
    rows = [line.split() for line in lines]
    lines = [
        " ".join(row[:place] + row[place + 1 :]) if len(row) == len(column) else line
        for row, line in zip(rows, lines, strict=True)
    ]
    read_structure(saved(tmp_path, "x.cif", "\n".join(lines)))
    assert "no _atom_site_type_symbol: elements are guessed" in caplog.text


def test_structure_of_an_archive(tmp_path):
    write_volumetric(tmp_path / "rho.npz", METHANE, np.ones((2, 3, 4)))
    assert_methane(read_structure(str(tmp_path / "rho.npz")))
