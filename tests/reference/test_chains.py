"""Trajectories of chains, their files, and how far an atom is felt."""

from __future__ import annotations

import importlib.util
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from deepdensity_tf.reference import locality
from deepdensity_tf.reference.chains import (
    KINDS,
    Start,
    Steps,
    blocks,
    constant_nmae,
    make_chain,
    sites,
    trajectory,
    write_chain,
)
from deepdensity_tf.reference.dynamics_1d import Tether, run
from deepdensity_tf.reference.kohn_sham_1d import solve
from deepdensity_tf.utils.errors import InputError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "one_d"


@pytest.mark.parametrize("name", ["insulator2", "warm_metal", "mixed"])
def test_total_energy_is_conserved_to_second_order(name):
    kind = KINDS[name]
    chain = make_chain(kind, blocks(kind, 4))
    tether = Tether(sites(chain), kind.stiffness)
    start = sites(chain) + [0.6, 0.0, -0.3, 0.2]

    def spread(timestep: float) -> float:
        moments = run(chain, start, np.zeros(4), timestep, tether)
        return np.ptp([m.total_energy for m in islice(moments, round(40 / timestep))])

    coarse, fine = spread(2.0), spread(1.0)
    assert fine < 1e-3
    assert coarse / fine == pytest.approx(4, rel=0.3)


def test_free_motion_is_uniform():
    """A single atom alone in its cell feels no force: V moves along with it."""
    chain = make_chain(KINDS["insulator"], "A")
    moments = list(islice(run(chain, [5.5], [0.5], 1.0), 3))
    # The nucleus is cut half a cell away, where it has fallen to exp(-12.5) = 4e-6.
    np.testing.assert_allclose([m.positions[0] for m in moments], [5.5, 6.0, 6.5], atol=1e-5)


def test_seeds_make_different_trajectories():
    def first(seed: int) -> np.ndarray:
        frames = trajectory(KINDS["metal"], "AAAA", Start(seed), Steps(2, 2, 1.0))
        assert len(frames) == 2
        return frames[1].positions

    np.testing.assert_array_equal(first(1), first(1))
    assert np.abs(first(1) - first(2)).min() > 1e-3


def test_stride_skips_steps():
    every = trajectory(KINDS["metal"], "AAAA", Start(0), Steps(5, 1, 1.0))
    some = trajectory(KINDS["metal"], "AAAA", Start(0), Steps(3, 2, 1.0))
    for a, b in zip(every[::2], some, strict=True):
        np.testing.assert_array_equal(a.positions, b.positions)


def test_a_start_without_noise_pushes_the_first_atom_alone():
    kind = KINDS["metal"]
    (moment,) = trajectory(kind, "AAAA", Start(0, 0.0, 0.0, push=1.0), Steps(1))
    np.testing.assert_allclose(moment.positions - sites(make_chain(kind, "AAAA")), [1, 0, 0, 0])
    np.testing.assert_array_equal(moment.velocities, 0)


def test_arrangements():
    mixed = KINDS["mixed"]
    assert blocks(mixed, 4) == "AABB"
    assert make_chain(mixed, "ABBA").sigma == (1.0, 6.0, 6.0, 1.0)
    with pytest.raises(InputError, match="natoms: found 5, expected a multiple of 2"):
        blocks(mixed, 5)
    with pytest.raises(InputError, match="types: found 'AC', expected letters of AB"):
        make_chain(mixed, "AC")
    with pytest.raises(InputError, match="types: found 'AB', expected letters of A"):
        make_chain(KINDS["metal"], "AB")


def test_written_system(tmp_path):
    import dpdata

    kind = KINDS["mixed"]
    frames = trajectory(kind, "AABB", Start(0), Steps(2, 1, 1.0))
    write_chain(tmp_path / "mixed", kind, "AABB", frames)
    system = dpdata.LabeledSystem(str(tmp_path / "mixed"), "deepmd/npy")
    assert system["atom_names"] == ["A", "B"]
    assert list(system["atom_types"]) == [0, 0, 1, 1]
    np.testing.assert_allclose(system["cells"][1], np.diag([40, 1000, 1000]))
    np.testing.assert_allclose(system["coords"][1, :, 0], frames[1].positions)
    np.testing.assert_array_equal(system["coords"][:, :, 1:], 0)
    np.testing.assert_allclose(system["forces"][1, :, 0], frames[1].solution.forces)
    folder = tmp_path / "mixed" / "set.000"
    grid, density = np.load(folder / "grid.npy"), np.load(folder / "density.npy")
    assert grid.shape == (2, 80, 3)
    np.testing.assert_allclose(grid[1, :, 0], 0.5 * np.arange(80))
    np.testing.assert_allclose(density.sum(1) * 0.5, 8, atol=1e-10)


def test_constant_nmae():
    assert constant_nmae(np.array([[1.0, 3.0], [2.0, 2.0]])) == pytest.approx(25)


def test_responses_add_up_to_a_translation():
    chain = make_chain(KINDS["mixed"], "AABB")
    places = sites(chain) + [0.3, -0.2, 0.1, 0.0]
    total = sum(locality.response(chain, places, atom, 0.01) for atom in range(4))
    # rho follows the atoms: sum_i d rho / d R_i = -d rho / dx.
    spectrum = np.fft.rfft(solve(chain, places).density)
    slope = np.fft.irfft(2j * np.pi * np.fft.rfftfreq(80, 0.5) * spectrum)
    # Off the grid points a nucleus of sigma 1 is resolved to 1e-4 by steps of 0.5.
    np.testing.assert_allclose(total, -slope, atol=1e-4)


def test_responses_at_rest_are_those_of_every_atom():
    chain = make_chain(KINDS["metal"], "AAA")
    each = [locality.response(chain, sites(chain), atom) for atom in range(3)]
    np.testing.assert_allclose(locality.responses_at_rest(chain), each, atol=1e-8)


def test_floor_is_the_mean_error_of_what_is_unseen():
    chain = make_chain(KINDS["mixed"], "AABB")
    derivatives = locality.responses_at_rest(chain)
    distance = locality.distances(chain, sites(chain))
    floor = locality.floor_nmae(chain, derivatives, 8.0, 0.1)
    unseen = np.where(distance > 8, derivatives, 0)
    shifts = np.random.default_rng(0).normal(0, 0.1, (20000, 4))
    sampled = 100 * np.abs(shifts @ unseen).mean() / 0.2
    # 20000 draws: the mean of |normal| is good to 0.5 %.
    assert floor == pytest.approx(sampled, rel=0.02)
    assert floor < locality.floor_nmae(chain, derivatives, 0.0, 0.1)


def test_repetition():
    places = [0.3, 9.8]
    chain = make_chain(KINDS["insulator2"], "AA")
    twice = solve(make_chain(KINDS["insulator2"], "AAAA"), [0.3, 9.8, 20.3, 29.8]).density
    once = np.tile(solve(chain, places).density, 2)
    expected = 100 * np.abs(once - twice).sum() / twice.sum()
    assert locality.repetition_nmae(chain, places, 2) == pytest.approx(expected, rel=1e-6)
    # Cells longer than the reach of the electrons are like one another.
    warm = make_chain(KINDS["warm_metal"], "AAAA")
    assert locality.repetition_nmae(warm, sites(warm), 2) < 1e-3 * expected


def test_composition():
    mixed = KINDS["mixed"]
    chain = make_chain(mixed, "AAABBB")
    # Whoever has seen the chain itself knows it, if all cells look different.
    assert locality.composition_nmae(chain, [chain], 2) == pytest.approx(0, abs=1e-12)
    # With the own type alone, the mean of the two cells of one type is the best.
    short = make_chain(mixed, "AABB")
    cells = solve(short, sites(short)).density.reshape(2, 2, -1)
    expected = 100 * np.abs(cells - cells.mean(1, keepdims=True)).sum() / cells.sum()
    assert locality.composition_nmae(short, [short], 0) == pytest.approx(expected)
    with pytest.raises(LookupError, match="no known chain has surroundings"):
        locality.composition_nmae(chain, [make_chain(mixed, "AAAA")], 1)


def test_make_data_script(tmp_path, monkeypatch, capsys):
    script = _script("make_data")
    target = tmp_path / "metal"
    arguments = "--kind metal --natoms 2 --nframes 2 --stride 1 --seed 3 -o"
    monkeypatch.setattr(sys, "argv", ["make_data.py", *arguments.split(), str(target)])
    script.main()
    assert np.load(target / "set.000" / "coord.npy").shape == (2, 6)
    assert "metal" in capsys.readouterr().out
    with pytest.raises(InputError, match="exists already"):
        script.main()


def test_options_of_the_start(tmp_path, monkeypatch):
    script = _script("make_data")
    options = "--kind mixed --types ABB --displacement 0 --velocity 0 --push 0.5 --nframes 1 -o"
    monkeypatch.setattr(sys, "argv", ["make_data.py", *options.split(), str(tmp_path / "m")])
    script.main()
    coord = np.load(tmp_path / "m" / "set.000" / "coord.npy").reshape(3, 3)
    np.testing.assert_allclose(coord[:, 0], [6.0, 15.5, 25.5])
    assert (tmp_path / "m" / "type.raw").read_text().split() == ["0", "1", "1"]


@pytest.mark.parametrize("name", KINDS)
def test_no_trajectory_is_both_trained_and_tested_on(name):
    recipes = list(_script("make_data").standard(KINDS[name]))
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    assert len({recipe.start.seed for recipe in recipes}) == len(recipes)
    sizes = {r.name: len(r.types) for r in recipes}
    assert {size for path, size in sizes.items() if not path.startswith("test")} == {8}
    assert (sizes["test8"], sizes["test32"], sizes["test64"]) == (8, 32, 64)


def test_all_skips_what_exists(tmp_path, monkeypatch, capsys):
    script = _script("make_data")
    metal = KINDS["metal"]
    recipes = [script.Recipe(f"train8/{n}", "AA", Start(n), Steps(1)) for n in (1, 2)]
    monkeypatch.setattr(script, "standard", lambda kind: iter(recipes))
    (tmp_path / "metal" / "train8").mkdir(parents=True)
    script.make(metal, recipes[0], tmp_path / "metal" / "train8" / "1")
    monkeypatch.setattr(sys, "argv", ["make_data.py", "--all", "metal", "-o", str(tmp_path)])
    script.main()
    assert "exists already" in capsys.readouterr().out
    assert (tmp_path / "metal" / "train8" / "2" / "type.raw").is_file()


def test_locality_script(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["locality.py", "--kind", "mixed", "--natoms", "8"])
    _script("locality").main()
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    assert [float(row.split()[0]) for row in rows] == [0, 10, 20, 30]
    assert len([line for line in lines if "NMAE 0.0e+00 %" in line]) == 2  # once is no repetition
    assert len([line for line in lines if "each way" in line]) == 3


def test_plot_shows_the_difference(tmp_path):
    from deepdensity_tf.data.system import DensitySystem

    kind = KINDS["mixed"]
    write_chain(tmp_path / "m", kind, "AABB", trajectory(kind, "AABB", Start(0), Steps(1)))
    frame = DensitySystem(tmp_path / "m").frame(0)
    figure = _script("plot").draw(frame, frame.density + 0.25, ["A", "B"])
    above, below = figure.axes
    np.testing.assert_array_equal(above.lines[0].get_ydata(), frame.density)
    np.testing.assert_allclose(below.lines[0].get_ydata(), 0.25)
    np.testing.assert_array_equal(above.lines[3].get_xdata(), frame.coord[2:, 0])


def _script(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
