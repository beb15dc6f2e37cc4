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
    chain = make_chain(kind, 4)
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
    chain = make_chain(KINDS["insulator"], 1)
    moments = list(islice(run(chain, [5.5], [0.5], 1.0), 3))
    # The nucleus is cut half a cell away, where it has fallen to exp(-12.5) = 4e-6.
    np.testing.assert_allclose([m.positions[0] for m in moments], [5.5, 6.0, 6.5], atol=1e-5)


def test_seeds_make_different_trajectories():
    def first(seed: int) -> np.ndarray:
        frames = trajectory(KINDS["metal"], 4, Start(seed), nframes=2, stride=2, timestep=1.0)
        assert len(frames) == 2
        return frames[1].positions

    np.testing.assert_array_equal(first(1), first(1))
    assert np.abs(first(1) - first(2)).min() > 1e-3


def test_stride_skips_steps():
    every = trajectory(KINDS["metal"], 4, Start(0), nframes=5, stride=1, timestep=1.0)
    some = trajectory(KINDS["metal"], 4, Start(0), nframes=3, stride=2, timestep=1.0)
    for a, b in zip(every[::2], some, strict=True):
        np.testing.assert_array_equal(a.positions, b.positions)


def test_mixed_halves():
    assert make_chain(KINDS["mixed"], 4).sigma == (1.0, 1.0, 6.0, 6.0)
    with pytest.raises(InputError, match="natoms: found 5, expected a multiple of 2"):
        make_chain(KINDS["mixed"], 5)


def test_written_system(tmp_path):
    import dpdata

    kind = KINDS["mixed"]
    frames = trajectory(kind, 4, Start(0), nframes=2, stride=1, timestep=1.0)
    write_chain(tmp_path / "mixed", kind, frames)
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
    chain = make_chain(KINDS["mixed"], 4)
    places = sites(chain) + [0.3, -0.2, 0.1, 0.0]
    total = sum(locality.response(chain, places, atom, 0.01) for atom in range(4))
    # rho follows the atoms: sum_i d rho / d R_i = -d rho / dx.
    spectrum = np.fft.rfft(solve(chain, places).density)
    slope = np.fft.irfft(2j * np.pi * np.fft.rfftfreq(80, 0.5) * spectrum)
    # Off the grid points a nucleus of sigma 1 is resolved to 1e-4 by steps of 0.5.
    np.testing.assert_allclose(total, -slope, atol=1e-4)


def test_floor_is_the_mean_error_of_what_is_unseen():
    chain = make_chain(KINDS["warm_metal"], 6)
    rest = sites(chain)
    derivative = locality.response(chain, rest, 3)
    distance = locality.distances(chain, rest[3])
    floor = locality.floor_nmae(chain, derivative, distance, 8.0, 0.1)
    unseen = np.where(distance > 8, derivative, 0)
    steps = round(10 / chain.spacing)
    responses = np.array([np.roll(unseen, steps * shift) for shift in range(6)])
    shifts = np.random.default_rng(0).normal(0, 0.1, (20000, 6))
    sampled = 100 * np.abs(shifts @ responses).mean() / 0.2
    # 20000 draws: the mean of |normal| is good to 0.5 %.
    assert floor == pytest.approx(sampled, rel=0.02)
    assert floor < locality.floor_nmae(chain, derivative, distance, 0.0, 0.1)


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


def test_locality_script(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["locality.py", "--kind", "warm_metal", "--natoms", "4"])
    _script("locality").main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [float(row.split()[0]) for row in rows] == [0, 10]


def _script(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
