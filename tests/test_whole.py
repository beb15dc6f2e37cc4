"""Whole numbers are taken as they are or refused, wherever they come from."""

import numpy as np
import pytest

from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.formats import read_density
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.whole import whole_numbers
from tests.data.test_layouts import make_mixed

CELL = 5 * np.eye(3)


@pytest.mark.parametrize(
    "values", [[], [3, -4], [3.0, -4.0], np.array([3], "uint8"), np.array([[2.0**40]], "float32")]
)
def test_taken(values):
    found = whole_numbers(values, "shape")
    assert found.dtype == np.int64 and found.shape == np.shape(values)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    "values",
    [0.9, [4.9, 5], [np.nan], [np.inf], [1e300], [2**64 - 1], ["1"], [True], [None], [[1], [1, 2]]],
)
def test_refused(values):
    with pytest.raises(InputError, match=r"\Ashape: found [^\n]*, expected whole numbers\Z"):
        whole_numbers(values, "shape")


def test_model(frozen_model):
    model = DeepDensity(frozen_model)
    coord = [[0.0, 0, 0], [1, 0, 0]]
    wanted = model.eval(coord, None, [0, 1], [[0.5, 0, 0]])
    np.testing.assert_array_equal(model.eval(coord, None, [0.0, 1.0], [[0.5, 0, 0]]), wanted)
    with pytest.raises(InputError, match=r"atype: found 0.9, expected whole"):
        model.eval(coord, None, [0, 0.9], [[0.5, 0, 0]])
    with pytest.raises(InputError, match=r"grid_shape: found 4.9, expected whole"):
        model.eval_grid(coord, CELL, [0, 1], (4, 4.9, 5))


def test_types_of_a_mixed_system(small_system):
    """dpdata stores them as floating-point numbers."""
    make_mixed(small_system)
    file = small_system / "set.000/real_atom_types.npy"
    types = np.load(file).astype("float64")
    np.save(file, types)
    assert DensitySystem(small_system, ["C", "H"]).type_counts()[0].tolist() == [1, 2]
    types[3, 1] = 0.9
    np.save(file, types)
    system = DensitySystem(small_system, ["C", "H"])
    for read in (lambda: system.frame(3), system.type_counts):
        with pytest.raises(InputError, match=r"real_atom_types.npy: found 0.9, expected whole"):
            read()


def test_density_files(tmp_path):
    density = np.ones((2, 2, 2))
    np.savez(tmp_path / "a.npz", density=density, coord=[0.0] * 3, box=CELL, numbers=[6.9])
    with pytest.raises(InputError, match=r"a.npz: numbers: found 6.9, expected whole"):
        read_density(tmp_path / "a.npz")
    lines = ["ATOMS", "6 0 0 0", "BEGIN_BLOCK_DATAGRID_3D", "rho", "BEGIN_DATAGRID_3D_rho"]
    lines += ["2 2 2.9", "0 0 0", "5 0 0", "0 5 0", "0 0 5", "1 " * 8, "END_DATAGRID_3D"]
    (tmp_path / "a.xsf").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"a.xsf: '2 2 2.9': found 2.9, expected whole"):
        read_density(tmp_path / "a.xsf")
