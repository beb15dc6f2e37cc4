"""What the writer writes and refuses."""

from __future__ import annotations

import numpy as np
import pytest

from deepdensity_tf.reference.system_writer import write_system
from deepdensity_tf.utils.errors import InputError

SYMBOLS = ["O", "H", "H"]


def arrays() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    labels = {
        "grid_shape": np.tile(np.int32([2, 3, 4]), (2, 1)),
        "density": rng.random((2, 24)).astype(np.float32),
        "spin_density": rng.random((2, 24)).astype(np.float32),
        "energy": np.array([1.0, 2.0]),
        "force": rng.random((2, 3, 3)),
    }
    return rng.random((2, 3, 3)), np.tile(5 * np.eye(3), (2, 1, 1)), labels


@pytest.mark.parametrize("periodic", [True, False])
def test_layout(tmp_path, periodic):
    coord, box, labels = arrays()
    write_system(tmp_path / "w", SYMBOLS, coord, box, labels, periodic=periodic)
    folder = tmp_path / "w"
    assert (folder / "type_map.raw").read_text().split() == ["H", "O"]
    assert (folder / "type.raw").read_text().split() == ["1", "0", "0"]
    assert (folder / "nopbc").exists() is not periodic
    for name, shape in {
        "coord": (2, 9),
        "box": (2, 9),
        "force": (2, 9),
        "energy": (2,),
        "density": (2, 24),
        "spin_density": (2, 24),
        "grid_shape": (2, 3),
    }.items():
        assert np.load(folder / "set.000" / f"{name}.npy").shape == shape
    np.testing.assert_array_equal(np.load(folder / "set.000" / "coord.npy")[1], coord[1].ravel())
    assert np.load(folder / "set.000" / "density.npy").dtype == np.float32


def test_exists_already(tmp_path):
    coord, box, labels = arrays()
    write_system(tmp_path / "w", SYMBOLS, coord, box, labels)
    with pytest.raises(InputError, match="exists already"):
        write_system(tmp_path / "w", SYMBOLS, coord, box, labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": None}, "expected density and one of grid and grid_shape"),
        ({"grid": np.zeros((2, 24, 3))}, "expected density and one of grid and grid_shape"),
        ({"density": np.zeros((2, 23))}, r"spin_density is \(2, 24\), expected \(2, 23\)"),
        ({"energy": np.zeros(3)}, r"energy is \(3,\), expected \(2,\)"),
        ({"energy": np.array([0, np.nan])}, "energy has numbers that are not finite"),
        ({"grid_shape": np.full((2, 3), 3)}, "grid_shape does not multiply to the 24"),
        ({"magic": np.zeros(2)}, "label 'magic' is not one of"),
    ],
)
def test_refusals_leave_nothing(tmp_path, change, message):
    coord, box, labels = arrays()
    labels = {k: v for k, v in (labels | change).items() if v is not None}
    with pytest.raises(InputError, match=message):
        write_system(tmp_path / "w", SYMBOLS, coord, box, labels)
    assert not list(tmp_path.iterdir())


def test_wrong_number_of_atoms(tmp_path):
    coord, box, labels = arrays()
    with pytest.raises(InputError, match=r"coord is \(2, 3, 3\), expected \(2, 2, 3\)"):
        write_system(tmp_path / "w", SYMBOLS[:2], coord, box, labels)
