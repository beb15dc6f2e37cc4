"""dd-tf predict: save folders of pw.x and CHGCAR files with PAW occupancies."""

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms

from deepdensity_tf.formats import read_density, write_volumetric
from deepdensity_tf.formats.qe_save import PlaneWaves, fft_grid, g_vectors, low_pass
from deepdensity_tf.formats.vasp_paw import augmentation_text, read_augmentation
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.main import main
from deepdensity_tf.utils.paw_blocks import Channels

CELL = np.array([[5.0, 0.0, 0.0], [0.5, 5.5, 0.0], [0.0, -0.6, 6.0]])
CRYSTAL = Atoms("HCH", [[0.2, 0.3, 0.4], [1.2, 0.5, 0.4], [2, 2, 2]], cell=CELL, pbc=True)


@pytest.fixture
def predict(capsys, make_frozen, tmp_path, monkeypatch):
    """Runs `dd-tf predict` in tmp_path; gives exit code and stderr."""
    monkeypatch.chdir(tmp_path)
    ase.io.write("crystal.extxyz", CRYSTAL)
    ase.io.write("two.traj", [CRYSTAL, CRYSTAL])
    for name, kpts in (("gamma.in", None), ("k.in", (2, 2, 2))):
        ase.io.write(
            name,
            CRYSTAL,
            format="espresso-in",
            input_data={"system": {"ecutwfc": 10, "ecutrho": 50}},
            pseudopotentials={"C": "C.UPF", "H": "H.UPF"},
            kpts=kpts,
        )

    def run(*arguments, spin=False, augmentation=False):
        model = make_frozen(spin=spin, augmentation=augmentation)
        code = main(["predict", "-m", str(model), *map(str, arguments)])
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("arguments", "waves"),
    [
        (["gamma.in"], PlaneWaves(50.0, True)),
        (["k.in"], PlaneWaves(50.0, False)),
        (["k.in", "--ecutrho", 40], PlaneWaves(40.0, False)),
        (["crystal.extxyz", "--ecutrho", 40], PlaneWaves(40.0, True)),
        (["k.in", "--hdf5"], PlaneWaves(50.0, False)),
        (["crystal.extxyz", "--ecutrho", 40, "--grid", 24, 25, 27], PlaneWaves(40.0, True)),
    ],
    ids=str,
)
def test_save_folder(predict, make_frozen, arguments, waves):
    code, err = predict(*arguments, "-o", "x.save")
    assert code == 0, err
    assert Path("x.save/charge-density.hdf5").exists() is ("--hdf5" in arguments)
    (found,) = read_density("x.save")
    miller = g_vectors(CELL, waves)
    assert found.density.shape == fft_grid(miller)
    shape = tuple(arguments[-3:]) if "--grid" in arguments else found.density.shape
    model = DeepDensity(make_frozen())
    on_grid = model.eval_grid(CRYSTAL.positions, CELL, [1, 0, 1], shape)
    np.testing.assert_allclose(
        low_pass(found.density, miller), low_pass(on_grid, miller), atol=1e-9
    )


def test_save_folder_with_spin_and_of_a_trajectory(predict, tmp_path):
    command = ("two.traj", "--frames", "0:", "--ecutrho", 40, "--spin", "-o", "x.save")
    code, err = predict(*command, spin=True)
    assert code == 0, err
    assert sorted(path.name for path in tmp_path.glob("*.save")) == [
        "x.000000.save",
        "x.000001.save",
    ]
    assert read_density("x.000001.save")[0].spin_density is not None
    assert predict(*command, spin=True)[0] == 0
    code, err = predict(*command[:4], 41, *command[5:], spin=True)
    assert code == 2 and "waves" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["crystal.extxyz", "-o", "x.save"], "--ecutrho"),
        (["crystal.extxyz", "-o", "rho.cube", "--ecutrho", 40], "save output"),
        (["crystal.extxyz", "-o", "rho.cube", "--augmentation", "a"], "CHGCAR output"),
        (["crystal.extxyz", "-o", "x.save", "--ecutrho", 40, "--grid", 9, 9, 9], "at least"),
        (["crystal.extxyz", "--nopbc", "-o", "x.save", "--ecutrho", 40], "periodic"),
        (["crystal.extxyz", "-o", "old.save", "--ecutrho", 40], "exists already"),
        (["crystal.extxyz", "-o", "CHGCAR", "--augmentation", "nothing"], "nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_errors(predict, tmp_path, arguments, message):
    (tmp_path / "old.save").mkdir()
    before = sorted(tmp_path.iterdir())
    code, err = predict(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_chgcar_with_and_without_occupancies(predict, tmp_path):
    code, err = predict("crystal.extxyz", "--spacing", 0.6, "-o", "CHGCAR")
    assert code == 0 and "--augmentation" in err
    bare = read_density("CHGCAR")[0].density
    donor = CRYSTAL[[1, 0, 2]]
    occupancies = [np.full(8, 0.5), np.full(3, 0.25), np.full(3, 0.75)]
    write_volumetric("donor.vasp", donor, np.ones((3, 3, 3)))
    with open("donor.vasp", "a") as stream:
        stream.write(augmentation_text(occupancies))
    arguments = ["crystal.extxyz", "--spacing", 0.6, "-o", "CHGCAR"]
    arguments += ["--augmentation", "donor.vasp"]
    before = Path("CHGCAR").read_text()
    code, err = predict(*arguments)
    assert code == 2 and "CHGCAR: exists already; --force replaces it" in err
    assert Path("CHGCAR").read_text() == before
    code, err = predict(*arguments, "--force")
    assert code == 0 and "--augmentation" not in err
    assert "3 atoms atom by atom" in err
    # In the order of the structure: H, C, H.
    found = read_augmentation("CHGCAR")
    assert list(found.atoms.symbols) == ["H", "C", "H"]
    assert [values[0] for values in found.occupancies] == [0.25, 0.5, 0.75]
    np.testing.assert_array_equal(read_density("CHGCAR")[0].density, bare)


def test_chgcar_of_a_model_with_occupancies_and_spin(predict, make_frozen):
    """Complete without being asked for spin: both sets, in the order of the ions, and a comment."""
    channels = Channels("vasp", {"C": (0, 1), "H": (0,)}).to_json()
    arguments = ["crystal.extxyz", "--grid", 8, 9, 10, "-o", "CHGCAR", "start.npz"]
    code, err = predict(*arguments, spin=True, augmentation=channels)
    assert code == 0 and "holds no PAW" not in err, err
    assert Path("CHGCAR").read_text().startswith("Predicted by deepdensity_tf ")
    assert not list(Path().glob("*.spin*"))
    model = DeepDensity(make_frozen(spin=True, augmentation=channels))
    atype = model.atype_of(["H", "C", "H"])
    wanted = model.eval_augmentation(CRYSTAL.positions, CELL, atype)
    for name in ("CHGCAR", "start.npz"):
        (volume,) = read_density(name)
        spin = model.eval_grid(CRYSTAL.positions, CELL, atype, (8, 9, 10), spin=True)
        np.testing.assert_allclose(volume.spin_density, spin, atol=1e-8)
        for found, expected in zip(volume.augmentation.sets, wanted.sets, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6)
