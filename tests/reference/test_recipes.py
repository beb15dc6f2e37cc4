"""The recipes for three-dimensional reference data, as small as they go."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

RECIPES = Path(__file__).resolve().parents[2] / "examples" / "data_recipes"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(monkeypatch, name: str, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    monkeypatch.syspath_prepend(RECIPES)  # as for a script; recipes share functions
    load(name).main()


def stored(folder: Path, name: str) -> np.ndarray:
    return np.load(folder / "set.000" / f"{name}.npy")


def test_organic(tmp_path, monkeypatch, caplog):
    """Conformers, one system a molecule; a second process does the others; done ones stay."""
    pytest.importorskip("pyscf")
    pytest.importorskip("rdkit")
    (tmp_path / "list.smi").write_text("hydrogen [H][H]\nmethane C\n")
    arguments = [str(tmp_path / "list.smi"), "--basis", "gth-szv", "-o", str(tmp_path / "out")]
    run(monkeypatch, "organic", *arguments, "--part", "1/2")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["methane"]
    folder = tmp_path / "out" / "methane"
    shape = stored(folder, "grid_shape")[0]
    assert stored(folder, "density").shape == (1, np.prod(shape))
    assert stored(folder, "density").sum() * 0.25**3 == pytest.approx(8, rel=0.01)
    assert (folder / "type_map.raw").read_text().split() == ["C", "H"]
    before = (folder / "set.000" / "density.npy").stat().st_mtime_ns
    run(monkeypatch, "organic", *arguments)
    assert (folder / "set.000" / "density.npy").stat().st_mtime_ns == before
    assert (tmp_path / "out" / "hydrogen" / "type.raw").exists()


@pytest.mark.parametrize(("name", "unpaired", "electrons"), [("H2", 0, 2), ("H", 1, 1)])
def test_molecule(tmp_path, monkeypatch, name, unpaired, electrons):
    pytest.importorskip("pyscf")
    arguments = f"{name} --unpaired {unpaired} --nframes 1 --points 32 --box 8".split()
    run(monkeypatch, "molecule", *arguments, "-o", str(tmp_path / "m"))
    density = stored(tmp_path / "m", "density")
    # A grid of 1/4 Å resolves the electrons of hydrogen to half a percent.
    assert density.sum() / 64 == pytest.approx(electrons, rel=0.005)
    assert (tmp_path / "m" / "nopbc").exists()
    assert (tmp_path / "m" / "set.000" / "spin_density.npy").exists() is bool(unpaired)
    if unpaired:
        # With one electron all of the density is up.
        np.testing.assert_allclose(stored(tmp_path / "m", "spin_density"), density, atol=1e-7)


@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="needs Quantum ESPRESSO")
def test_aluminium(tmp_path, monkeypatch):
    arguments = ["aluminium", "--kpoints", "1", "--nframes", "1", "-o", str(tmp_path / "al")]
    run(monkeypatch, "qe_periodic", *arguments)
    volume = np.linalg.det(stored(tmp_path / "al", "box").reshape(3, 3))
    assert stored(tmp_path / "al", "density").mean() * volume == pytest.approx(12, rel=1e-5)
    first = (tmp_path / "al_work" / "frame_000.npz").stat().st_mtime_ns
    shutil.rmtree(tmp_path / "al")
    run(monkeypatch, "qe_periodic", *arguments)
    assert (tmp_path / "al_work" / "frame_000.npz").stat().st_mtime_ns == first


def test_all_shapes_of_four_atoms():
    """Of the 35 superlattices of index 4 seven remain when rotations do not count."""
    recipes = load("qe_periodic")
    assert len(list(recipes.hermite_normal_forms(4))) == 35
    shells = set()
    for shape in range(7):
        atoms = recipes.fcc_of_shape(shape)
        assert len(atoms) == 4
        assert atoms.get_volume() == pytest.approx(recipes.LATTICE**3)
        # The lattice is fcc: twelve neighbours at a / sqrt 2 of each atom.
        distances = atoms.repeat(5).get_all_distances(mic=True)
        nearest = np.isclose(distances, recipes.LATTICE / np.sqrt(2), atol=1e-6).sum(1)
        np.testing.assert_array_equal(nearest, 12)
        cells = np.indices([7] * 3).reshape(3, -1).T - 3
        lengths = np.sort(np.linalg.norm(cells @ atoms.cell.array, axis=1))[:40]
        shells.add(tuple(lengths.round(4)))
    assert len(shells) == 7


@pytest.mark.parametrize("shape", range(1, 7))
def test_points_of_a_shape_are_those_of_the_cubes_mesh(shape):
    recipes = load("qe_periodic")
    cell = recipes.fcc_of_shape(shape).cell.array
    points = recipes.mesh(cell, (4, 4, 4), (1, 1, 1))
    assert points[:, 3].sum() == 64
    # k . R of the supercell of 4 x 4 x 4 cubes, in turns: whole.
    turns = 4 * recipes.LATTICE * np.eye(3) @ np.linalg.inv(cell) @ points[:, :3].T
    np.testing.assert_allclose(turns, turns.round(), atol=1e-6)
    both = np.concatenate([points[:, :3], -points[:, :3]])
    assert len(np.unique(both.round(6) % 1, axis=0)) == 64


@pytest.mark.qe
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="needs Quantum ESPRESSO")
def test_one_energy_whatever_the_shape(tmp_path):
    """The perfect lattice, k-points of one mesh: the same crystal."""
    recipes = load("qe_periodic")
    energies = []
    for shape in (0, 3):
        atoms = recipes.fcc_of_shape(shape)
        points = recipes.mesh(atoms.cell.array, (4, 4, 4), (1, 1, 1))
        folder = tmp_path / str(shape)
        folder.mkdir()
        energies.append(recipes.solve(atoms, recipes.SYSTEMS["aluminium"], points, folder)[0])
    # Converged to 1e-9 Ry; the coarser grid for exchange and correlation differs: 0.1 meV an atom.
    assert abs(energies[0] - energies[1]) < 4e-4


def test_water_stays_rigid():
    recipes = load("qe_periodic")
    rng = np.random.RandomState(0)
    atoms = recipes.packed_water(8, rng)
    atoms.constraints = recipes.RigidWater()
    atoms.calc = recipes.TIP3P(rc=2.5, width=0.3)
    before = bonds(atoms)
    recipes.langevin(atoms, recipes.units.fs, 350.0, 0.0005, rng).run(20)
    np.testing.assert_allclose(bonds(atoms), before, atol=1e-8)
    assert np.abs(atoms.get_velocities()).max() > 0


def bonds(atoms) -> np.ndarray:
    molecules = atoms.positions.reshape(-1, 3, 3)
    return np.linalg.norm(molecules - np.roll(molecules, 1, axis=1), axis=-1)
