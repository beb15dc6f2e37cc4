"""Systems on disk: layouts, points, messages; dpdata reads the same arrays."""

from dataclasses import replace

import numpy as np
import pytest

from deepdensity_tf.data.dpdata_types import register
from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.data.system import DensitySystem, find_systems
from deepdensity_tf.data.writer import write_system
from deepdensity_tf.utils.errors import InputError


def test_frames_points_and_electrons(small_system):
    system = DensitySystem(small_system)
    assert (system.nframes, system.natoms, system.pbc) == (6, 3, False)
    frame = system.frame(4)
    points = frame.points()
    assert points.shape == (4096, 3)
    # C order: the last axis runs fastest.
    np.testing.assert_allclose(points[1], [0, 0, 6 / 16])
    np.testing.assert_allclose(points[16], [0, 6 / 16, 0])
    np.testing.assert_array_equal(frame.points(np.array([5, 300])), points[[5, 300]])
    assert frame.volume_element == pytest.approx(216 / 4096)
    # Six Gaussian electrons, all but a little inside the window.
    assert frame.electrons == pytest.approx(6.0, abs=0.01)
    np.testing.assert_array_equal(frame.model_box, np.zeros(9))


def test_densities_stay_on_disk(small_system):
    density = DensitySystem(small_system).frame(0).density
    base = density
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_points_of_a_triclinic_cell(small_system):
    box = np.array([[6.0, 0, 0], [1.0, 5.5, 0], [0.3, -0.4, 6.2]])
    np.save(small_system / "set.000/box.npy", np.tile(box.ravel(), (6, 1)))
    (small_system / "nopbc").unlink()
    frame = DensitySystem(small_system).frame(0)
    np.testing.assert_allclose(
        frame.points(np.array([16 * 16 * 3 + 16 * 5 + 7]))[0], np.array([3, 5, 7]) / 16 @ box
    )
    np.testing.assert_array_equal(frame.model_box, box.ravel())


def test_types_follow_the_given_type_map(small_system):
    assert list(DensitySystem(small_system, ["H", "O", "C"]).atype) == [2, 0, 0]


def test_loose_points(small_system):
    part = small_system / "set.000"
    (part / "grid_shape.npy").unlink()
    rng = np.random.default_rng(0)
    grid = rng.uniform(0, 6, (6, 50, 3))
    np.save(part / "grid.npy", grid)
    for shape in ((6, 50), (6, 50, 1)):
        np.save(part / "density.npy", rng.random(shape))
        frame = DensitySystem(small_system).frame(2)
        assert frame.density.shape == (50,)
        np.testing.assert_array_equal(frame.points(np.array([3])), grid[2, [3]])
        assert frame.volume_element is None and frame.electrons is None


def test_loose_points_of_a_molecule_need_no_box(small_system):
    part = small_system / "set.000"
    (part / "grid_shape.npy").unlink()
    rng = np.random.default_rng(0)
    np.save(part / "grid.npy", rng.uniform(0, 6, (6, 50, 3)))
    np.save(part / "density.npy", rng.random((6, 50)))
    (part / "box.npy").unlink()
    system = DensitySystem(small_system)
    system.check()
    np.testing.assert_array_equal(system.frame(0).model_box, np.zeros(9))
    (small_system / "nopbc").unlink()
    with pytest.raises(InputError, match="box.npy: missing"):
        DensitySystem(small_system)


def test_atoms_close_through_the_boundary(small_system):
    path = small_system / "set.000/coord.npy"
    coord = np.load(path)
    coord[3, :6] = [0.02, 1.0, 1.0, 5.99, 1.0, 7.0]
    np.save(path, coord)
    DensitySystem(small_system).check()
    (small_system / "nopbc").unlink()
    with pytest.raises(
        InputError, match="frame 3: coord has atoms 0 and a periodic image of 1 0.03 Å"
    ):
        DensitySystem(small_system).check()


def test_sets_of_different_grids(small_system, tmp_path):
    frames = list(DensitySystem(small_system))
    coarse = DensitySystem(small_system).frame(0)
    coarse = replace(
        coarse,
        grid_shape=(8, 8, 8),
        density=coarse.density.reshape(16, 16, 16)[::2, ::2, ::2].ravel(),
    )
    write_system(tmp_path / "both", [*frames, coarse], ["C", "H"])
    system = DensitySystem(tmp_path / "both")
    assert system.nframes == 7
    assert {frame.grid_shape for frame in system} == {(16, 16, 16), (8, 8, 8)}
    system.check()


def test_written_and_read_back(small_system, tmp_path):
    frames = list(DensitySystem(small_system))
    write_system(tmp_path / "copy", frames, ["C", "H"])
    for a, b in zip(frames, DensitySystem(tmp_path / "copy"), strict=True):
        np.testing.assert_array_equal(a.coord, b.coord)
        np.testing.assert_array_equal(a.density, b.density)
        assert a.pbc == b.pbc and a.grid_shape == b.grid_shape


def test_written_from_an_iterator_with_all_arrays(small_system, tmp_path):
    spin = [0.3 * frame.density for frame in DensitySystem(small_system)]
    frames = (
        replace(frame, spin_density=one)
        for frame, one in zip(DensitySystem(small_system), spin, strict=True)
    )
    write_system(tmp_path / "copy", frames, ["C", "H"])
    array = np.load(tmp_path / "copy/set.000/spin_density.npy")
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, np.array(spin, np.float32))
    grid = np.load(tmp_path / "copy/set.000/grid_shape.npy")
    np.testing.assert_array_equal(grid, np.full((6, 3), 16))


def test_loose_points_written_and_read_back(small_system, tmp_path):
    rng = np.random.default_rng(1)
    frames = [
        replace(frame, grid_shape=None, loose_points=points, density=rng.random(40))
        for frame, points in zip(DensitySystem(small_system), rng.random((6, 40, 3)), strict=True)
    ]
    write_system(tmp_path / "copy", frames, ["C", "H"])
    for a, b in zip(frames, DensitySystem(tmp_path / "copy"), strict=True):
        np.testing.assert_array_equal(a.loose_points, b.loose_points)
        np.testing.assert_allclose(a.density, b.density, rtol=1e-7)


def test_writing_refuses(small_system, tmp_path):
    frames = list(DensitySystem(small_system))
    other = replace(frames[1], atype=frames[1].atype[::-1])
    spin = replace(frames[1], spin_density=frames[1].density)
    for wrong in ([], [frames[0], other], [frames[0], spin]):
        with pytest.raises(InputError):
            write_system(tmp_path / "copy", wrong, ["C", "H"])
        assert sorted(tmp_path.iterdir()) == [small_system]


def test_find_systems(small_system, tmp_path):
    assert [s.path for s in find_systems(str(tmp_path))] == [small_system]
    with pytest.raises(InputError, match="found no type.raw"):
        find_systems(str(small_system / "set.000"))
    with pytest.raises(InputError, match="no such folder"):
        find_systems([str(tmp_path / "nowhere")])


@pytest.mark.parametrize(
    "text, expected",
    [
        ("0:3", [0, 1, 2]),
        (":", range(6)),
        ("4:", [4, 5]),
        ("::2", [0, 2, 4]),
        ("-1", [5]),
        ("2", [2]),
    ],
)
def test_select_frames(text, expected):
    assert list(select_frames(text, 6, "frames")) == list(expected)


@pytest.mark.parametrize("text", ["9", "7:", "a:b", "", "1:2:0"])
def test_select_frames_refuses(text):
    with pytest.raises(InputError, match="frames: "):
        select_frames(text, 6, "frames")


def test_dpdata_reads_subselects_and_writes(small_system, tmp_path):
    import dpdata

    register()
    system = dpdata.System(str(small_system), fmt="deepmd/npy")
    reference = np.load(small_system / "set.000/density.npy")
    np.testing.assert_array_equal(system["density"], reference)
    assert system["grid_shape"].shape == (6, 3)
    part = system.sub_system([1, 4])
    np.testing.assert_array_equal(part["density"], reference[[1, 4]])
    part.to("deepmd/npy", str(tmp_path / "part"), prec=np.float64)
    again = DensitySystem(tmp_path / "part")
    again.check()
    np.testing.assert_array_equal(again.frame(1).density, reference[4])
    # dpdata itself would forget the box of a molecule, and with it the grid.
    np.testing.assert_array_equal(again.frame(1).box, np.diag([6.0, 6.0, 6.0]))
    assert not again.pbc


def test_dpdata_carries_weighted_points_of_mixed_systems(small_system, tmp_path):
    import dpdata

    register()
    part = small_system / "set.000"
    (part / "grid_shape.npy").unlink()
    rng = np.random.default_rng(0)
    arrays = {
        "grid": rng.uniform(0, 6, (6, 50, 3)),
        "density": rng.uniform(0, 0.1, (6, 50)),
        "weight": rng.dirichlet(np.ones(50), 6),
        "electrons": np.linspace(5.9, 6.1, 6),
    }
    for name, array in arrays.items():
        np.save(part / f"{name}.npy", array)
    (small_system / "nopbc").unlink()
    system = dpdata.System(str(small_system), fmt="deepmd/npy").sub_system([4, 2])
    for name, array in arrays.items():
        np.testing.assert_array_equal(system[name], array[[4, 2]])
    system.to("deepmd/npy/mixed", str(tmp_path / "mixed"), prec=np.float64)
    (mixed,) = find_systems(tmp_path / "mixed")
    assert mixed.mixed
    mixed.check()
    np.testing.assert_array_equal(mixed.frame(0).weight, arrays["weight"][4])
    assert mixed.frame(1).electrons == arrays["electrons"][2]


def test_dpdata_shuffles_and_appends_whole_frames(small_system):
    import dpdata

    register()
    system = dpdata.System(str(small_system), fmt="deepmd/npy")
    coord, density = system["coords"].copy(), system["density"].copy()
    order = np.random.default_rng(3).permutation(6)
    shuffled = system.sub_system(order)
    np.testing.assert_array_equal(shuffled["coords"], coord[order])
    np.testing.assert_array_equal(shuffled["density"], density[order])
    assert system.append(shuffled)
    np.testing.assert_array_equal(system["density"], np.concatenate([density, density[order]]))
    assert system["cells"].shape == (12, 3, 3) and system["cells"].any()


def test_dpdata_does_not_keep_an_old_box(small_system, tmp_path):
    import dpdata

    register()
    (small_system / "nopbc").unlink()
    system = dpdata.System(str(small_system), fmt="deepmd/npy")
    system.data["cells"] = 1.1 * system["cells"]
    system.to("deepmd/npy", str(tmp_path / "wider"), prec=np.float64)
    np.testing.assert_allclose(
        DensitySystem(tmp_path / "wider").frame(0).box, np.diag([6.6, 6.6, 6.6])
    )


def test_dpdata_labeled_system_keeps_densities(small_system, tmp_path):
    import dpdata

    register()
    part = small_system / "set.000"
    np.save(part / "energy.npy", np.arange(6.0))
    np.save(part / "force.npy", np.zeros((6, 9)))
    np.save(part / "spin_density.npy", 0.5 * np.load(part / "density.npy"))
    system = dpdata.LabeledSystem(str(small_system), fmt="deepmd/npy")
    system.shuffle()
    system.to("deepmd/npy", str(tmp_path / "copy"), prec=np.float64)
    reference = np.load(part / "density.npy")
    energies = np.load(tmp_path / "copy/set.000/energy.npy").ravel().astype(int)
    for frame, number in zip(DensitySystem(tmp_path / "copy"), energies, strict=True):
        np.testing.assert_array_equal(frame.density, reference[number])
        np.testing.assert_array_equal(frame.spin_density, 0.5 * reference[number])


@pytest.mark.parametrize("shape", [(6, 50), (6, 50, 1)])
def test_dpdata_carries_loose_points(small_system, tmp_path, shape):
    import dpdata

    register()
    part = small_system / "set.000"
    (part / "grid_shape.npy").unlink()
    rng = np.random.default_rng(0)
    np.save(part / "grid.npy", rng.uniform(0, 6, (6, 50, 3)))
    np.save(part / "density.npy", rng.random(shape))
    system = dpdata.System(str(small_system), fmt="deepmd/npy")
    system[[5, 2]].to("deepmd/npy", str(tmp_path / "part"), prec=np.float64)
    frame = DensitySystem(tmp_path / "part").frame(1)
    reference = DensitySystem(small_system).frame(2)
    np.testing.assert_array_equal(frame.points(), reference.points())
    np.testing.assert_array_equal(frame.density, reference.density)


def test_dpdata_refuses_a_wrong_number_of_frames(small_system):
    import dpdata
    from dpdata.data_type import DataError

    register()
    system = dpdata.System(str(small_system), fmt="deepmd/npy")
    system.data["density"] = system.data["density"][:3]
    with pytest.raises(DataError, match="Shape of density"):
        system.check_data()


def test_dpdata_refuses_a_wrong_number_of_points(small_system):
    import dpdata
    from dpdata.data_type import DataError

    register()
    system = dpdata.System(str(small_system), fmt="deepmd/npy")
    system.data["grid_shape"][2] = [16, 16, 8]
    with pytest.raises(DataError, match="density has 4096 points, grid_shape .2048, 4096."):
        system.check_data()
