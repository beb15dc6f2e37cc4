"""The 1D solver against published figures, derivatives and symmetries."""

from __future__ import annotations

import numpy as np
import pytest

from deepdensity_tf.reference import kohn_sham_1d
from deepdensity_tf.reference.kohn_sham_1d import Chain, NotConverged, solve
from deepdensity_tf.utils.errors import InputError

EIGHT = np.array([6.5, 15.5, 25.5, 35.5, 45.5, 55.5, 65.5, 75.5])


def test_eight_narrow_atoms():
    solution = solve(Chain(80, (1.0,) * 8), EIGHT)
    assert solution.energy == pytest.approx(4.060710536870, abs=1e-10)
    assert solution.gap == pytest.approx(0.135618, abs=5e-7)
    # The first-order error of a force at the default tolerance is some 1e-11.
    assert solution.forces[0] == pytest.approx(-1.64428e-3, abs=5e-9)
    assert solution.forces[1] == pytest.approx(1.22679e-3, abs=5e-9)
    assert solution.forces[2] == pytest.approx(3.8428e-7, abs=5e-11)


def test_three_atoms_on_a_fine_grid():
    solution = solve(Chain(8, (0.75,) * 3, spacing=0.125), [2, 3.5, 6])
    assert solution.energy == pytest.approx(6.554787802629, abs=1e-10)


@pytest.mark.parametrize(
    ("sigma", "gap"), [((1.0,) * 8, 0.136), ((2.0,) * 8, 0.058), ((1.0,) * 4 + (6.0,) * 4, 0.018)]
)
def test_gaps_at_rest(sigma, gap):
    solution = solve(Chain(80, sigma), 10 * np.arange(8) + 5.5)
    assert solution.gap == pytest.approx(gap, abs=5e-4)


def test_metal_is_almost_uniform_and_gapless():
    solution = solve(Chain(80, (6.0,) * 8), 10 * np.arange(8) + 5.5)
    assert solution.gap < 1e-7
    assert solution.density.min() == pytest.approx(0.1998, abs=5e-5)
    assert solution.density.max() == pytest.approx(0.2002, abs=5e-5)


CHAINS = {
    "insulator": Chain(40, (1.0, 2.0, 1.0, 2.0)),
    "metal": Chain(40, (6.0,) * 4),
    "warm": Chain(40, (3.0,) * 4, temperature=50000.0),
    "mixed": Chain(40, (1.0, 1.0, 6.0, 6.0)),
}
PLACES = np.array([6.1, 15.2, 25.7, 34.8])


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_forces_are_the_derivative_of_the_free_energy(chain):
    forces = solve(chain, PLACES).forces
    step = 0.02
    for atom in range(chain.natoms):
        at = {
            n: solve(chain, PLACES + n * step * np.eye(chain.natoms)[atom]).free_energy
            for n in (-2, -1, 1, 2)
        }
        slope = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
        # Truncation step^4 / 30 times a fifth derivative of about 0.1; energies good to 1e-12.
        assert -slope == pytest.approx(forces[atom], abs=2e-9)


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_electrons_and_occupations(chain):
    solution = solve(chain, PLACES)
    assert solution.density.sum() * chain.spacing == pytest.approx(8, abs=1e-11)
    assert np.all(solution.density > 0)
    # The highest state considered is empty, so none that matters was left out.
    energies, _ = kohn_sham_1d._states(chain, solution.potential, chain._nstates)
    assert kohn_sham_1d._fermi_dirac(energies, 8, chain.kt)[-1] < 1e-14


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_symmetries(chain):
    solution = solve(chain, PLACES)
    moved = solve(chain, PLACES + 3 * chain.spacing)
    np.testing.assert_allclose(moved.density, np.roll(solution.density, 3), atol=1e-9)
    np.testing.assert_allclose(moved.forces, solution.forces, atol=1e-9)
    assert moved.free_energy == pytest.approx(solution.free_energy, abs=1e-11)
    image = solve(chain, PLACES + chain.length * np.array([1, 0, -2, 0]))
    np.testing.assert_allclose(image.density, solution.density, atol=1e-9)
    mirrored = solve(
        Chain(chain.length, chain.sigma[::-1], chain.temperature), chain.length - PLACES[::-1]
    )
    mirror_image = np.roll(solution.density[::-1], 1)
    np.testing.assert_allclose(mirrored.density, mirror_image, atol=1e-9)
    np.testing.assert_allclose(mirrored.forces, -solution.forces[::-1], atol=1e-9)


def test_density_is_a_fixed_point():
    """One more round of potential and diagonalisation gives the same density."""
    chain = CHAINS["mixed"]
    solution = solve(chain, PLACES)
    again = chain.field(solution.density + chain.nuclei(PLACES)[0])
    np.testing.assert_allclose(solution.potential, again, atol=1e-12)
    density = kohn_sham_1d._diagonalise(chain, again).density
    np.testing.assert_allclose(density, solution.density, atol=1e-9)


def test_field_solves_the_screened_poisson_equation():
    chain = Chain(40, (1.0,))
    k = 2 * np.pi * 3 / 40
    wave = np.cos(k * chain.grid)
    expected = 4 * np.pi / (10 * (k**2 + 0.01**2)) * wave
    np.testing.assert_allclose(chain.field(wave), expected, atol=1e-12)
    np.testing.assert_allclose(chain.field(np.ones_like(wave)), 0, atol=1e-15)


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_a_start_nearby_gives_the_same_sooner(chain):
    near = solve(chain, PLACES + [0.05, -0.05, 0.02, 0.0])
    cold = solve(chain, PLACES)
    warm = solve(chain, PLACES, start=near)
    np.testing.assert_allclose(warm.density, cold.density, atol=1e-9)
    assert warm.iterations <= cold.iterations


def test_overshoots_are_taken_back():
    """Once renewed, the search returns towards the best trial, by ever shorter steps."""
    chain = CHAINS["mixed"]
    search = kohn_sham_1d._Search(chain, np.eye(len(chain.grid)))
    best = np.zeros_like(chain.grid)
    residual = np.cos(2 * np.pi / chain.length * chain.grid)
    search.next(best, residual, 0.05)
    search._renew(best)
    lengths = [np.linalg.norm(search.next(best + 9, 9 * residual, 0.5) - best) for _ in range(3)]
    assert lengths[1:] == pytest.approx([0.3 * lengths[0], 0.09 * lengths[0]])
    # Mild growth is left to the mixing.
    assert np.linalg.norm(search.next(best + 0.01, residual, 0.06) - best) > lengths[0]


@pytest.mark.slow
def test_long_mixed_chain_converges_from_scratch():
    """64 atoms of two types at rest: charge sloshes between the blocks."""
    chain = Chain(640, (1.0,) * 32 + (6.0,) * 32)
    solution = solve(chain, 10 * np.arange(64) + 5.5)
    assert solution.density.sum() * chain.spacing == pytest.approx(128, abs=1e-10)


def test_not_converged(monkeypatch):
    monkeypatch.setattr(kohn_sham_1d, "MAX_ITERATIONS", 3)
    with pytest.raises(NotConverged, match="after 3 iterations"):
        solve(CHAINS["mixed"], PLACES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 40.2, "sigma": (1.0,)}, "length: found 40.2, expected a multiple"),
        ({"length": 40, "sigma": ()}, "sigma: found"),
        ({"length": 40, "sigma": (1.0, -1.0)}, "sigma: found"),
        ({"length": 40, "sigma": (1.0,), "temperature": 0.0}, "temperature: found 0.0"),
    ],
)
def test_bad_chains(arguments, message):
    with pytest.raises(InputError, match=message):
        Chain(**arguments)


@pytest.mark.parametrize("positions", [[1.0, 2.0], [np.nan] * 4])
def test_bad_positions(positions):
    with pytest.raises(InputError, match=r"positions: found shape .* expected \(4,\)"):
        solve(CHAINS["metal"], positions)
