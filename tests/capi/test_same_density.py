"""One density, whoever asks: Python, C, C++, plain TensorFlow; one thread or several."""

import subprocess
import sys
import threading

import ase
import ase.io
import numpy as np
import pytest
import tensorflow as tf
from ase.io.cube import read_cube

from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.infer.compression import compress
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.utils.ops import LIBRARY
from deepdensity_tf.utils.paw_blocks import Channels, channels_from
from deepdensity_tf.utils.shipped import shipped_models
from tests.capi.conftest import EXAMPLES
from tests.capi.library import BAD_MODEL, GRADIENT, INVALID_ARGUMENT, OK, SPIN_DENSITY, Structure
from tests.model.test_frozen import SCRIPT, graph_of

CELL = np.array([[4.0, 0, 0], [0.5, 4.4, 0], [0, -0.3, 5.0]])
COORD = np.array([[1.0, 1, 1], [2.0, 1.1, 1], [-0.6, 1.9, 1.3]])
ATYPE = [0, 1, 1]
SHAPE = (8, 9, 10)


def same(found, expected):
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def points(npoints=50):
    return np.random.default_rng(0).uniform(-3, 6, (npoints, 3))


@pytest.mark.parametrize("changes", [{}, {"fitting_net": {"type": "pair", "neuron": [8]}}])
@pytest.mark.parametrize("box", [None, CELL])
def test_points_and_grids_as_in_python(load, make_frozen, changes, box):
    path = make_frozen(**changes)
    python, model, structure = DeepDensity(path), load(path), Structure(COORD, ATYPE, box)
    for quantity, reference in [(0, python.eval), (GRADIENT, python.eval_gradient)]:
        status, found = model.eval(structure, points(), quantity)
        assert status == OK
        same(found, reference(COORD, box, ATYPE, points()))
        status, grid = model.eval_grid(structure, SHAPE, CELL, quantity=quantity)
        assert status == OK
        index = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE), -1)
        wanted = reference(COORD, box, ATYPE, index / SHAPE @ CELL)
        same(grid.reshape(wanted.shape), wanted)


def test_origin_of_the_grid(load, frozen_model):
    model, origin = load(frozen_model), np.array([0.3, -0.2, 1.0])
    _, moved = model.eval_grid(Structure(COORD, ATYPE), SHAPE, CELL, origin)
    same(moved, model.eval_grid(Structure(COORD - origin, ATYPE), SHAPE, CELL)[1])


def test_spin_and_electrons(load, make_frozen):
    path = make_frozen(spin=True)
    python, model, structure = DeepDensity(path), load(path), Structure(COORD, ATYPE, CELL)
    status, spin = model.eval(structure, points(), SPIN_DENSITY)
    assert status == OK
    same(spin, python.eval_spin(COORD, CELL, ATYPE, points()))
    status, electrons = model.eval_electrons(structure)
    assert status == OK
    same(electrons, python.eval_electrons(COORD, CELL, ATYPE)[0])


def test_initial_moments(load, make_frozen):
    """A model of two elements takes six types."""
    path = make_frozen(spin=True, initial_magmom=True)
    python, model, types = DeepDensity(path), load(path), [2, 5, 1]
    structure = Structure(COORD, types, CELL)
    status, spin = model.eval(structure, points(), SPIN_DENSITY)
    assert status == OK
    same(spin, python.eval_spin(COORD, CELL, types, points()))
    status, _ = model.eval(Structure(COORD, [2, 6, 1], CELL), points())
    assert status == INVALID_ARGUMENT and "expected 0 to 5" in model.error()


def test_occupancies(load, make_frozen, frozen_model):
    channels = Channels("gpaw", {"C": (0, 1), "H": (0,)})
    path = make_frozen(spin=True, augmentation=channels.to_json())
    model, structure = load(path), Structure(COORD, ATYPE, CELL)
    expected = DeepDensity(path).eval_augmentation(COORD, CELL, ATYPE)
    for spin, wanted in enumerate(expected.sets):
        status, found = model.eval_occupancies(structure, spin)
        assert status == OK and found.shape == (3, channels.width)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        same(np.nan_to_num(found), np.nan_to_num(wanted))
    said = model.lib.DD_OccupancyChannels(model.handle).decode()
    assert channels_from(said, "model") == channels
    assert model.eval_occupancies(structure, 2)[0] == INVALID_ARGUMENT
    assert "spin is 2, expected 0 or 1" in model.error()
    without_spin = load(make_frozen(augmentation=channels.to_json()))
    assert without_spin.eval_occupancies(structure, 1)[0] == INVALID_ARGUMENT
    assert "was trained without spin" in without_spin.error()
    bare = load(frozen_model)
    assert bare.lib.DD_NumOccupancies(bare.handle) == 0
    assert bare.lib.DD_OccupancyChannels(bare.handle) is None
    assert bare.eval_occupancies(structure)[0] == INVALID_ARGUMENT
    assert "was trained without PAW occupancies" in bare.error()


def test_many_chunks_are_one_grid(load, frozen_model, tmp_path):
    """A model that allows few pairs at once: the grid in pieces, the atoms' state computed once."""
    graph = graph_of(frozen_model)
    for node in graph.node:
        if node.name == "model_attr/max_pairs":
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(150, tf.int32))
    (tmp_path / "few_pairs.pb").write_bytes(graph.SerializeToString())
    structure = Structure(COORD, ATYPE, CELL)
    for quantity in (0, GRADIENT):
        _, whole = load(frozen_model).eval_grid(structure, SHAPE, CELL, quantity=quantity)
        status, pieces = load(tmp_path / "few_pairs.pb").eval_grid(
            structure, SHAPE, CELL, quantity=quantity
        )
        assert status == OK
        np.testing.assert_allclose(pieces, whole, rtol=1e-12, atol=1e-12)


def test_compressed_models(load, frozen_model, tmp_path):
    compress(frozen_model, tmp_path / "compressed.pb", step=1 / 64)
    python, model = DeepDensity(tmp_path / "compressed.pb"), load(tmp_path / "compressed.pb")
    for box in (None, CELL):
        for quantity, reference in [(0, python.eval), (GRADIENT, python.eval_gradient)]:
            status, found = model.eval(Structure(COORD, ATYPE, box), points(), quantity)
            assert status == OK
            same(found, reference(COORD, box, ATYPE, points()))


@pytest.mark.parametrize("box", [None, CELL])
def test_grids_of_compressed_models(load, make_frozen, tmp_path, box):
    compress(make_frozen(spin=True), tmp_path / "compressed.pb")
    python, model = DeepDensity(tmp_path / "compressed.pb"), load(tmp_path / "compressed.pb")
    structure = Structure(COORD, ATYPE, box)
    for shape in (SHAPE, (110, 100, 100)):  # the latter in two parts
        for quantity in (0, SPIN_DENSITY):
            status, grid = model.eval_grid(structure, shape, CELL, quantity=quantity)
            assert status == OK
            wanted = python.eval_grid(
                COORD, CELL, ATYPE, shape, pbc=box is not None, spin=quantity == SPIN_DENSITY
            )
            np.testing.assert_array_equal(grid, wanted)


def test_grids_of_compressed_models_that_are_not_the_box(load, frozen_model, tmp_path):
    compress(frozen_model, tmp_path / "compressed.pb")
    python, model = DeepDensity(tmp_path / "compressed.pb"), load(tmp_path / "compressed.pb")
    index = np.stack(np.unravel_index(np.arange(np.prod(SHAPE)), SHAPE), -1)
    for cell, origin in [(CELL, np.array([0.3, -0.2, 1.0])), (2 * CELL, np.zeros(3))]:
        status, grid = model.eval_grid(Structure(COORD, ATYPE, CELL), SHAPE, cell, origin)
        assert status == OK
        wanted = python.eval(COORD, CELL, ATYPE, index / SHAPE @ cell + origin)
        same(grid.ravel(), wanted)


def test_no_atoms_and_no_points(load, frozen_model):
    model = load(frozen_model)
    status, found = model.eval(Structure(COORD, ATYPE), np.zeros((0, 3)))
    assert status == OK and found.shape == (0,)
    status, found = model.eval(Structure(np.zeros((0, 3)), []), points())
    assert status == OK and np.all(found == 0)


def test_what_the_model_is(load, frozen_model):
    python, model = DeepDensity(frozen_model), load(frozen_model)
    lib, handle = model.lib, model.handle
    names = [lib.DD_TypeName(handle, i).decode() for i in range(lib.DD_NumTypes(handle))]
    assert names == python.type_map
    assert [lib.DD_TypeOf(handle, name.encode()) for name in names] == [0, 1]
    assert (lib.DD_RCut(handle), lib.DD_RCutPoint(handle)) == (python.rcut, python.rcut_point)
    assert lib.DD_HasSpin(handle) == 0


def test_threads_share_a_model(load, frozen_model):
    """Calls leave Python's lock: they do run at the same time."""
    model, failures = load(frozen_model), []
    cases = [(Structure(COORD + 0.1 * k, ATYPE, CELL), k % 2) for k in range(4)]
    expected = [model.eval_grid(s, SHAPE, CELL, quantity=q)[1] for s, q in cases]

    def work(case, wanted):
        for _ in range(5):
            status, found = model.eval_grid(case[0], SHAPE, CELL, quantity=case[1])
            if status != OK or not np.array_equal(found, wanted):
                failures.append(model.error())
            # Errors are the thread's own.
            if model.eval(Structure(COORD, [0, 1, 7]), points(1))[0] == OK:
                failures.append("types")
            if "atom 2 is 7" not in model.error():
                failures.append(model.error())

    threads = [threading.Thread(target=work, args=a) for a in zip(cases, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.slow
@pytest.mark.parametrize("pbc", [True, False])
def test_programs_write_the_same_cube(compiled, frozen_model, tmp_path, pbc):
    """The examples in C and C++, plain TensorFlow and Python: equal to 1e-10 relative."""
    atoms = ase.Atoms("CHH", COORD, cell=CELL, pbc=pbc)
    ase.io.write(tmp_path / "a.extxyz", atoms, columns=["symbols", "positions"])
    atoms = ase.io.read(tmp_path / "a.extxyz")
    wanted = DeepDensity(frozen_model).eval_grid(atoms.positions, CELL, ATYPE, SHAPE, pbc=pbc)
    arguments = [str(a) for a in (frozen_model, tmp_path / "a.extxyz", *SHAPE)]
    for source in ("density.c", "density.cpp"):
        program, cube = compiled(EXAMPLES / source), tmp_path / f"{source}.cube"
        subprocess.run([program, *arguments, cube], check=True, capture_output=True)
        with open(cube) as stream:
            content = read_cube(stream)
        same(content["data"] * BOHR**-3, wanted)
        assert list(content["atoms"].symbols) == ["C", "H", "H"]
        np.testing.assert_allclose(content["atoms"].cell, CELL, atol=1e-6)
    command = [sys.executable, SCRIPT, LIBRARY, *arguments, tmp_path / "rho.npy"]
    subprocess.run(command, check=True, capture_output=True)
    same(np.load(tmp_path / "rho.npy"), wanted)


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_by_name(load, name, tmp_path, monkeypatch, frozen_model):
    """As in Python: a file of that name comes first, and a path is no name."""
    monkeypatch.chdir(tmp_path)
    python, model = DeepDensity(name), load(name)
    atype = np.minimum(ATYPE, len(python.type_map) - 1)
    found = model.eval(Structure(COORD, atype), points())[1]
    same(found, python.eval(COORD, None, atype, points()))
    for path in (f"./{name}", f"nosuch/{name}", "nosuch", ""):
        assert load(path).status == BAD_MODEL
    (tmp_path / name).write_bytes(frozen_model.read_bytes())
    other = load(name)
    assert other.lib.DD_NumTypes(other.handle) == 2


@pytest.mark.slow
def test_programs_know_shipped_models(compiled, tmp_path):
    command = [compiled(EXAMPLES / "density.c"), "organic", EXAMPLES / "ethane.extxyz", *"888"]
    subprocess.run([*command, "rho.cube"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "rho.cube").stat().st_size > 0


@pytest.mark.slow
def test_programs_say_what_is_wrong(compiled, frozen_model, tmp_path):
    (tmp_path / "oxygen.xyz").write_text('1\nLattice="4 0 0 0 4 0 0 0 4"\nO 1 1 1\n')
    (tmp_path / "short.xyz").write_text('2\nLattice="4 0 0 0 4 0 0 0 4"\nC 1 1 1\n')
    cases = [
        ("density.c", frozen_model, "oxygen.xyz", "knows C H, found O"),
        ("density.c", frozen_model, "short.xyz", "short.xyz: expected a line with element"),
        ("density.cpp", frozen_model, "none.xyz", "none.xyz: cannot be opened"),
        ("density.cpp", tmp_path / "no.pb", "oxygen.xyz", "no such file"),
    ]
    for source, model, structure, message in cases:
        command = [compiled(EXAMPLES / source), model, structure, "8", "8", "8", "rho.cube"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 2 and message in done.stderr
        assert not (tmp_path / "rho.cube").exists()
