"""Readers of density files against files written by others, and a density known exactly."""

import bz2
import gzip
import logging
import lzma
from pathlib import Path

import ase
import ase.io.cube
import ase.io.ulm
import h5py
import numpy as np
import pytest
from ase.io.trajectory import write_atoms
from pymatgen.core import Lattice, Structure
from pymatgen.io.vasp import Chgcar, Poscar
from scipy.io import FortranFile

from deepdensity_tf.formats import read_density
from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.main import main
from deepdensity_tf.utils.errors import InputError
from tests.conftest import gaussian_density

# A molecule by pw.x 6.7, tiny: densities of its save folders and the cubes of pp.x.
PWSCF = Path(__file__).parent / "pwscf"
CELL = np.array([[5.0, 0.0, 0.0], [1.2, 4.8, 0.0], [-0.6, 0.7, 5.3]])
SHAPE = (12, 10, 14)


@pytest.fixture
def crystal():
    """Atoms and their density of 8 electrons, in electrons/Å^3, in a triclinic cell."""
    atoms = ase.Atoms("OH2", [[2.0, 2, 2], [2.9, 2, 2.3], [1.5, 2.8, 2]], cell=CELL, pbc=True)
    index = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE), -1)
    density = gaussian_density(index / SHAPE @ CELL, atoms.positions, [6, 1, 1], CELL, 0.6)
    return atoms, density.reshape(SHAPE)


def assert_equal(found, atoms, density, rtol=1e-5):
    np.testing.assert_allclose(found.density, density, rtol=rtol, atol=1e-8)
    np.testing.assert_allclose(found.atoms.cell.array, atoms.cell.array, atol=1e-5)
    np.testing.assert_allclose(
        found.atoms.get_scaled_positions(), atoms.get_scaled_positions(), atol=1e-5
    )
    assert list(found.atoms.symbols) == list(atoms.symbols)
    assert found.electrons == pytest.approx(8.0, abs=1e-3)


def test_cube_of_ase(crystal, tmp_path):
    atoms, density = crystal
    with open(tmp_path / "rho.cube", "w") as stream:
        ase.io.cube.write_cube(stream, atoms, density * BOHR**3)
    assert_equal(read_density(tmp_path / "rho.cube")[0], atoms, density)


def test_cube_with_origin_and_compressed(crystal, tmp_path):
    atoms, density = crystal
    moved = atoms.copy()
    moved.positions += [1.0, -2.0, 0.5]
    with open(tmp_path / "rho.cube", "w") as stream:
        ase.io.cube.write_cube(stream, moved, density * BOHR**3, origin=[1.0, -2.0, 0.5])
    (tmp_path / "rho.cube.gz").write_bytes(gzip.compress((tmp_path / "rho.cube").read_bytes()))
    found = read_density(tmp_path / "rho.cube.gz")[0]
    np.testing.assert_allclose(found.atoms.positions, atoms.positions, atol=1e-5)
    np.testing.assert_allclose(found.density, density, rtol=1e-5)


@pytest.mark.parametrize("module, suffix", [(gzip, "gz"), (bz2, "bz2"), (lzma, "xz")])
def test_compressed_chgcar(crystal, tmp_path, module, suffix):
    atoms, density = crystal
    write_chgcar(tmp_path / "CHGCAR", atoms, [density])
    packed = tmp_path / f"CHGCAR.{suffix}"
    packed.write_bytes(module.compress((tmp_path / "CHGCAR").read_bytes()))
    assert_equal(read_density(packed)[0], atoms, density)


def test_three_digit_exponents_of_fortran(tmp_path):
    header = "a\nb\n1 0 0 0\n1 1 0 0\n1 0 1 0\n5 0 0 1\n1 0 0 0 0\n"
    (tmp_path / "rho.cube").write_text(header + "0.5D-01 0.12345-100 -1.5-120 1.0E-101 2.0d+00\n")
    found = read_density(tmp_path / "rho.cube")[0].density.ravel() * BOHR**3
    np.testing.assert_allclose(found, [0.05, 0.12345e-100, -1.5e-120, 1e-101, 2.0], rtol=1e-12)


def test_unit_of_cube_and_npz(crystal, tmp_path):
    atoms, density = crystal
    write_cube(tmp_path / "rho.cube", atoms, density)
    arrays = {"coord": atoms.positions, "box": CELL, "numbers": atoms.numbers}
    np.savez(tmp_path / "x.npz", density=density * BOHR**3, **arrays)
    same = read_density(tmp_path / "rho.cube", unit="e/bohr3")[0]
    np.testing.assert_allclose(same.density, density, rtol=1e-5, atol=1e-8)
    other = read_density(tmp_path / "rho.cube", unit="e/ang3")[0]
    np.testing.assert_allclose(other.density, density * BOHR**3, rtol=1e-5, atol=1e-8)
    assert_equal(read_density(tmp_path / "x.npz", unit="e/bohr3")[0], atoms, density)
    write_chgcar(tmp_path / "CHGCAR", atoms, [density])
    with pytest.raises(InputError, match="the unit of vasp files is fixed"):
        read_density(tmp_path / "CHGCAR", unit="e/ang3")
    with pytest.raises(InputError, match="unit 'bohr' asked for"):
        read_density(tmp_path / "rho.cube", unit="bohr")


def test_cube_in_angstrom(crystal, tmp_path):
    atoms, density = crystal
    lines = ["a", "b", "3 0 0 0"]
    lines += [f"{-n} {' '.join(map(str, row / n))}" for n, row in zip(SHAPE, CELL, strict=True)]
    lines += [
        f"{z} 0 {x[0]} {x[1]} {x[2]}" for z, x in zip(atoms.numbers, atoms.positions, strict=True)
    ]
    lines += [f"{value:.8e}" for value in density.ravel()]
    (tmp_path / "rho.cube").write_text("\n".join(lines))
    assert_equal(read_density(tmp_path / "rho.cube")[0], atoms, density)


@pytest.mark.parametrize("spin", [False, True])
@pytest.mark.parametrize("augmented", [False, True])
def test_chgcar_of_pymatgen(crystal, tmp_path, spin, augmented):
    atoms, density = crystal
    structure = Structure(Lattice(CELL), list(atoms.symbols), atoms.get_scaled_positions())
    volume = atoms.cell.volume
    data = {"total": density * volume}
    augmentation = {"total": ["augmentation occupancies   1   4\n", " 0.1 0.2 0.3 0.4\n"]}
    if spin:
        data["diff"] = 0.25 * density * volume
        augmentation["diff"] = augmentation["total"]
    chgcar = Chgcar(Poscar(structure), data, augmentation if augmented else None)
    chgcar.write_file(str(tmp_path / "CHGCAR"))
    found = read_density(tmp_path / "CHGCAR")[0]
    assert_equal(found, atoms, density)
    if spin:
        np.testing.assert_allclose(found.spin_density, 0.25 * density, rtol=1e-5)
    else:
        assert found.spin_density is None


def write_chgcar(path, atoms, blocks):
    """By hand: density times volume, first index fastest, five numbers a line."""
    lines = ["made here", "1.0", *(" ".join(map(repr, map(float, row))) for row in CELL)]
    lines += [" ".join(atoms.get_chemical_symbols()), " ".join("1" * len(atoms)), "Direct"]
    lines += [" ".join(map(repr, map(float, x))) for x in atoms.get_scaled_positions()] + [""]
    for block in blocks:
        values = block.ravel(order="F") * atoms.cell.volume
        lines.append(" ".join(map(str, SHAPE)))
        lines += [
            " ".join(f"{v:.11E}" for v in values[k : k + 5]) for k in range(0, len(values), 5)
        ]
    path.write_text("\n".join(lines) + "\n")


def test_non_collinear_chgcar_gives_the_density(crystal, tmp_path, caplog):
    atoms, density = crystal
    write_chgcar(tmp_path / "CHGCAR", atoms, [density, 0.1 * density, 0 * density, density])
    found = read_density(tmp_path / "CHGCAR")[0]
    assert_equal(found, atoms, density)
    assert found.spin_density is None and "non-collinear" in caplog.text


@pytest.mark.parametrize("name", ["gamma", "spin"])
def test_save_folder_of_pwscf_against_its_cube(name):
    found, cube = (
        read_density(PWSCF / f"{name}.save")[0],
        read_density(PWSCF / f"{name}.rho.cube")[0],
    )
    # The cube has five digits of densities below 0.1 electrons/bohr^3 (0.67 electrons/Å^3).
    tolerance = 0.51e-6 / BOHR**3
    np.testing.assert_allclose(found.density, cube.density, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.atoms.positions, cube.atoms.positions, atol=1e-6)
    np.testing.assert_allclose(found.atoms.cell.array, cube.atoms.cell.array, atol=1e-5)
    assert found.electrons == pytest.approx(2.0, abs=1e-8)
    if name == "gamma":
        assert found.spin_density is None
    else:
        spin = read_density(PWSCF / "spin.spin.cube")[0]
        np.testing.assert_allclose(found.spin_density, spin.density, rtol=0, atol=tolerance)


def band_limited(density):
    """The density without the highest frequency of the grid, which save folders leave out."""
    coefficients = np.fft.fftn(density)
    for axis, n in enumerate(SHAPE):
        np.moveaxis(coefficients, axis, 0)[n // 2] = 0
    return np.fft.ifftn(coefficients).real


def fourier(density, gamma_only):
    """Miller indices and coefficients of a density in electrons/bohr^3, by an explicit sum."""
    miller = np.stack(
        np.meshgrid(*[np.arange(-(n // 2 - 1), n // 2) for n in SHAPE], indexing="ij"), -1
    ).reshape(-1, 3)
    if gamma_only:
        first = np.sign(miller[:, 0]) * 4 + np.sign(miller[:, 1]) * 2 + np.sign(miller[:, 2])
        miller = miller[first >= 0]
    fractional = [np.arange(n) / n for n in SHAPE]
    phases = [np.exp(-2j * np.pi * np.outer(miller[:, k], fractional[k])) for k in range(3)]
    values = np.einsum("ga,gb,gc,abc->g", *phases, density * BOHR**3, optimize=True)
    return miller.astype(np.int32), values / density.size


def write_save_folder(folder, atoms, channels, gamma_only, hdf5):
    folder.mkdir()
    rows = "".join(
        f"<a{k + 1}>{' '.join(map(repr, map(float, row / BOHR)))}</a{k + 1}>"
        for k, row in enumerate(CELL)
    )
    sites = "".join(
        f'<atom name="{s}1" index="1">{" ".join(map(repr, map(float, x / BOHR)))}</atom>'
        for s, x in zip(atoms.symbols, atoms.positions, strict=True)
    )
    grid = " ".join(f'nr{k + 1}="{n}"' for k, n in enumerate(SHAPE))
    (folder / "data-file-schema.xml").write_text(
        f"<espresso><output><atomic_structure><atomic_positions>{sites}</atomic_positions>"
        f"<cell>{rows}</cell></atomic_structure><basis_set><fft_grid {grid}/></basis_set>"
        "</output></espresso>"
    )
    parts = [fourier(channel, gamma_only) for channel in channels]
    miller = parts[0][0]
    if hdf5:
        with h5py.File(folder / "charge-density.hdf5", "w") as file:
            file.attrs["gamma_only"] = np.bytes_(".TRUE." if gamma_only else ".FALSE.")
            file["MillerIndices"] = miller
            names = (
                ("rhotot_g", "rhodiff_g") if len(parts) < 3 else ("rhotot_g", "m_x", "m_y", "m_z")
            )
            for name, (_, values) in zip(names, parts, strict=False):
                file[name] = values.view(float)
        return
    with FortranFile(folder / "charge-density.dat", "w") as file:
        file.write_record(np.array([gamma_only, len(miller), len(parts)], dtype=np.int32))
        file.write_record(np.eye(3))
        file.write_record(miller)
        for _, values in parts:
            file.write_record(values)


@pytest.mark.parametrize("gamma_only", [False, True])
@pytest.mark.parametrize("hdf5", [False, True])
@pytest.mark.parametrize("nspin", [1, 2])
def test_quantum_espresso_save_folder(crystal, tmp_path, gamma_only, hdf5, nspin):
    atoms, density = crystal
    density = band_limited(density)
    folder = tmp_path / "x.save"
    write_save_folder(folder, atoms, [density, 0.1 * density][:nspin], gamma_only, hdf5)
    found = read_density(folder)[0]
    np.testing.assert_allclose(found.density, density, atol=1e-12)
    assert found.electrons == pytest.approx(8.0, abs=1e-3)
    assert list(found.atoms.symbols) == list(atoms.symbols)
    if nspin == 2:
        np.testing.assert_allclose(found.spin_density, 0.1 * found.density, atol=1e-10)
    file = next(folder.glob("charge-density.*"))
    np.testing.assert_array_equal(read_density(file)[0].density, found.density)


@pytest.mark.parametrize("hdf5", [False, True])
def test_non_collinear_save_folder_gives_the_density(crystal, tmp_path, caplog, hdf5):
    atoms, density = crystal
    density = band_limited(density)
    channels = [density, 0.1 * density, 0 * density, 0.2 * density]
    write_save_folder(tmp_path / "x.save", atoms, channels, False, hdf5)
    found = read_density(tmp_path / "x.save")[0]
    np.testing.assert_allclose(found.density, density, atol=1e-12)
    assert found.spin_density is None and "non-collinear" in caplog.text


def test_save_folder_whose_arrays_do_not_match(crystal, tmp_path):
    atoms, density = crystal
    write_save_folder(tmp_path / "x.save", atoms, [density], False, True)
    with h5py.File(tmp_path / "x.save/charge-density.hdf5", "a") as file:
        short = file["rhotot_g"][:-4]
        del file["rhotot_g"]
        file["rhotot_g"] = short
    with pytest.raises(InputError, match="charge-density.hdf5: not a pw.x charge density"):
        read_density(tmp_path / "x.save")


def test_save_folder_of_another_grid(crystal, tmp_path):
    atoms, density = crystal
    write_save_folder(tmp_path / "x.save", atoms, [density], False, False)
    schema = tmp_path / "x.save/data-file-schema.xml"
    schema.write_text(schema.read_text().replace('nr2="10"', 'nr2="8"'))
    with pytest.raises(InputError, match="G vectors do not fit the grid"):
        read_density(tmp_path / "x.save")


def write_gpw(path, atoms, channels, **parameters):
    with ase.io.ulm.open(path, "w") as writer:
        write_atoms(writer.child("atoms"), atoms)
        writer.child("density").write(density=np.stack(channels))
        writer.child("parameters").write(**parameters)


@pytest.mark.parametrize(
    "mode", ["pw", {"name": "pw", "ecut": 300.0}, {"name": "lcao", "interpolation": "fft"}]
)
def test_gpaw_grids_for_fourier_transforms_are_whole(crystal, tmp_path, mode):
    atoms, density = crystal
    atoms.pbc = False
    write_gpw(tmp_path / "x.gpw", atoms, [density], mode=mode)
    np.testing.assert_array_equal(read_density(tmp_path / "x.gpw")[0].density, density)


def test_gpaw_slab_lacks_one_plane(crystal, tmp_path):
    atoms, density = crystal
    atoms.pbc = (True, True, False)
    write_gpw(tmp_path / "x.gpw", atoms, [density[:, :, 1:]], mode="fd")
    found = read_density(tmp_path / "x.gpw")[0].density
    np.testing.assert_array_equal(found[:, :, 1:], density[:, :, 1:])
    assert found.shape == SHAPE and not found[:, :, 0].any()


def test_non_collinear_gpaw_gives_the_density(crystal, tmp_path, caplog):
    atoms, density = crystal
    write_gpw(tmp_path / "x.gpw", atoms, [density, 0.1 * density, density, density])
    found = read_density(tmp_path / "x.gpw")[0]
    np.testing.assert_array_equal(found.density, density)
    assert found.spin_density is None and "non-collinear" in caplog.text


@pytest.mark.parametrize("pbc", [True, False])
def test_gpaw(crystal, tmp_path, pbc):
    atoms, density = crystal
    atoms.pbc = pbc
    if not pbc:
        density = density.copy()
        density[0] = density[:, 0] = density[:, :, 0] = 0
    stored = density if pbc else density[1:, 1:, 1:]
    write_gpw(tmp_path / "x.gpw", atoms, [0.6 * stored, 0.4 * stored])
    found = read_density(tmp_path / "x.gpw")[0]
    np.testing.assert_allclose(found.density, density, atol=1e-12)
    np.testing.assert_allclose(found.spin_density, 0.2 * density, atol=1e-12)
    assert found.atoms.pbc.all() == pbc


def test_npz(crystal, tmp_path):
    atoms, density = crystal
    np.savez(
        tmp_path / "x.npz", density=density, coord=atoms.positions, box=CELL, numbers=atoms.numbers
    )
    assert_equal(read_density(tmp_path / "x.npz")[0], atoms, density)


@pytest.mark.parametrize("name", ["charge-density.dat", "charge-density.hdf5"])
def test_truncated_quantum_espresso(crystal, tmp_path, name):
    atoms, density = crystal
    folder = tmp_path / "x.save"
    write_save_folder(folder, atoms, [density], False, name.endswith("hdf5"))
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="charge-density"):
        read_density(folder)


def write_cube(path, atoms, density):
    with open(path, "w") as stream:
        ase.io.cube.write_cube(stream, atoms, density * BOHR**3)


def test_convert_makes_frames_and_prints_electrons(crystal, tmp_path, capsys):
    from deepdensity_tf.data.system import DensitySystem

    atoms, density = crystal
    for k in range(3):
        write_cube(tmp_path / f"{k}.cube", atoms, density)
    files = [str(tmp_path / f"{k}.cube") for k in range(3)]
    assert main(["convert", *files, "-o", str(tmp_path / "out"), "--nopbc"]) == 0
    table = capsys.readouterr().out
    assert table.count("12x10x14") == 3 and "8.000" in table
    system = DensitySystem(tmp_path / "out")
    assert (system.nframes, system.pbc, system.type_map) == (3, False, ["H", "O"])
    frame = system.frame(0)
    # Atoms are grouped by type: H H O.
    np.testing.assert_allclose(frame.coord, atoms.positions[[1, 2, 0]], atol=1e-5)
    np.testing.assert_allclose(frame.density, density.ravel(), rtol=1e-4, atol=1e-7)


def test_convert_keeps_formulas_apart(crystal, tmp_path):
    from deepdensity_tf.data.system import find_systems

    atoms, density = crystal
    other = atoms.copy()
    other.symbols[:] = ["O", "O", "H"]
    write_cube(tmp_path / "a.cube", atoms, density)
    write_cube(tmp_path / "b.cube", other, density)
    files = [str(tmp_path / "a.cube"), str(tmp_path / "b.cube")]
    assert main(["convert", *files, "-o", str(tmp_path / "out")]) == 0
    assert sorted(s.path.name for s in find_systems(str(tmp_path / "out"))) == ["H2O", "HO2"]


def test_convert_adds_core_densities(crystal, tmp_path):
    from deepdensity_tf.data.system import DensitySystem

    atoms, density = crystal
    write_cube(tmp_path / "a.cube", atoms, density)
    file, out = str(tmp_path / "a.cube"), str(tmp_path / "out")
    assert main(["convert", file, "--add", file, "-o", out]) == 0
    assert DensitySystem(out).frame(0).electrons == pytest.approx(16.0, abs=1e-3)


def test_convert_follows_the_type_map(crystal, tmp_path):
    from deepdensity_tf.data.system import DensitySystem

    atoms, density = crystal
    write_cube(tmp_path / "a.cube", atoms[[1, 0, 2]], density)
    out = str(tmp_path / "out")
    assert main(["convert", str(tmp_path / "a.cube"), "-o", out, "--type-map", "C", "O", "H"]) == 0
    system = DensitySystem(out)
    assert system.type_map == ["C", "O", "H"] and list(system.atype) == [1, 2, 2]
    np.testing.assert_allclose(system.frame(0).coord, atoms.positions, atol=1e-5)


def test_convert_gives_all_systems_the_same_types(crystal, tmp_path):
    from deepdensity_tf.data.system import find_systems

    atoms, density = crystal
    other = atoms.copy()
    other.symbols[:] = ["O", "C", "C"]
    write_cube(tmp_path / "a.cube", atoms, density)
    write_cube(tmp_path / "b.cube", other, density)
    files = [str(tmp_path / name) for name in ("a.cube", "b.cube", "a.cube")]
    assert main(["convert", *files, "-o", str(tmp_path / "out")]) == 0
    first, second = find_systems(str(tmp_path / "out"))
    assert first.type_map == second.type_map == ["C", "H", "O"]
    assert (first.path.name, list(first.atype)) == ("C2O", [0, 0, 2])
    assert (second.path.name, list(second.atype), len(second)) == ("H2O", [1, 1, 2], 2)


def test_convert_turns_left_handed_cells(crystal, tmp_path):
    from deepdensity_tf.data.system import DensitySystem

    atoms, density = crystal
    turned = atoms.copy()
    turned.set_cell(CELL[[1, 0, 2]])
    write_cube(tmp_path / "a.cube", turned, density.swapaxes(0, 1))
    assert main(["convert", str(tmp_path / "a.cube"), "-o", str(tmp_path / "out")]) == 0
    frame = DensitySystem(tmp_path / "out").frame(0)
    np.testing.assert_allclose(frame.box, CELL, atol=1e-5)
    assert frame.grid_shape == SHAPE
    np.testing.assert_allclose(frame.density, density.ravel(), rtol=1e-4, atol=1e-7)


def test_convert_takes_slabs_as_periodic(crystal, tmp_path, caplog):
    from deepdensity_tf.data.bulk import convert
    from deepdensity_tf.data.conversion import ConvertOptions

    atoms, density = crystal
    atoms.pbc = (True, True, False)
    write_gpw(tmp_path / "x.gpw", atoms, [density[:, :, 1:]])
    with caplog.at_level(logging.INFO):
        (row,) = convert([str(tmp_path / "x.gpw")], [], tmp_path / "out", ConvertOptions()).frames
    assert row.pbc and "periodic along some cell vectors" in caplog.text


@pytest.mark.parametrize("unit, factor", [("e/bohr3", 1 / BOHR**3), ("e/ang3", BOHR**3)])
def test_convert_doubts_the_unit(crystal, tmp_path, caplog, unit, factor):
    from deepdensity_tf.data.bulk import convert
    from deepdensity_tf.data.conversion import ConvertOptions

    atoms, density = crystal
    write_cube(tmp_path / "good.cube", atoms, density)
    write_cube(tmp_path / "odd.cube", atoms, density * factor)
    convert([str(tmp_path / "good.cube")], [], tmp_path / "a", ConvertOptions())
    assert "--unit" not in caplog.text
    convert([str(tmp_path / "odd.cube")], [], tmp_path / "b", ConvertOptions())
    assert f"is the density in {'e/ang3' if factor > 1 else 'e/bohr3'}" in caplog.text


def test_convert_leaves_nothing_when_a_later_file_is_bad(crystal, tmp_path, capsys):
    atoms, density = crystal
    write_cube(tmp_path / "a.cube", atoms, density)
    (tmp_path / "b.cube").write_text("garbage")
    before = sorted(tmp_path.iterdir())
    files = [str(tmp_path / "a.cube"), str(tmp_path / "b.cube")]
    assert main(["convert", *files, "-o", str(tmp_path / "out")]) == 2
    assert "b.cube: not a cube file" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
