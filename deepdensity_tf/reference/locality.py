"""What a local model cannot know of a chain's density, and the error this leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deepdensity_tf.reference.chains import SPACING, sites
from deepdensity_tf.reference.kohn_sham_1d import Chain, Solution, solve


def response(
    chain: Chain,
    positions: np.ndarray,
    atom: int,
    step: float = 0.1,
    start: Solution | None = None,
) -> np.ndarray:
    """Derivative d rho(x) / d R_atom by a central difference.

    Parameters
    ----------
    chain : Chain
        Cell, atoms and temperature.
    positions : np.ndarray
        (natoms,).
    atom : int
        Which one moves.
    step : float
        By how much to either side.
    start : Solution, optional
        At `positions`; saves iterations.

    Returns
    -------
    np.ndarray
        (npoints,), electrons per length^2.
    """
    shift = np.zeros(chain.natoms)
    shift[atom] = step
    places = [np.asarray(positions) + s for s in (shift, -shift)]
    ahead, behind = (solve(chain, place, start=start).density for place in places)
    return (ahead - behind) / (2 * step)


def responses_at_rest(chain: Chain) -> np.ndarray:
    """Derivatives with respect to every atom's position at rest, (natoms, npoints).

    In a chain of equal atoms one is calculated and the others are shifted.
    """
    rest = sites(chain)
    start = solve(chain, rest)
    if len(set(chain.sigma)) > 1:
        return np.array([response(chain, rest, i, start=start) for i in range(chain.natoms)])
    first = response(chain, rest, 0, start=start)
    cell = round(SPACING / chain.spacing)
    return np.array([np.roll(first, cell * i) for i in range(chain.natoms)])


def distances(chain: Chain, places: np.ndarray) -> np.ndarray:
    """Of all grid points from each of `places`, minimum image, (nplaces, npoints)."""
    apart = chain.grid - np.asarray(places)[:, None]
    return np.abs(apart - chain.length * np.round(apart / chain.length))


def floor_nmae(chain: Chain, derivatives: np.ndarray, horizon: float, spread: float) -> float:
    """NMAE in percent that no model can beat which sees atoms within `horizon` alone.

    To first order in the displacements, the density at x is off by the sum of derivative times
    displacement over all atoms beyond the horizon. For independent normal displacements of
    standard deviation `spread` that sum is normal, and its mean absolute value sqrt(2 / pi) times
    its standard deviation.

    Parameters
    ----------
    chain : Chain
        The chain at rest.
    derivatives : np.ndarray
        (natoms, npoints), of `responses_at_rest`.
    horizon, spread : float
        Lengths.
    """
    unseen = np.where(distances(chain, sites(chain)) > horizon, derivatives, 0.0)
    deviation = spread * np.sqrt((unseen**2).sum(0))
    mean_density = chain.nelectrons / chain.length
    return float(100 * np.sqrt(2 / np.pi) * deviation.mean() / mean_density)


def repetition_nmae(chain: Chain, positions: np.ndarray, times: int) -> float:
    """NMAE in percent between a cell's density and that of the cell repeated `times` times.

    All atoms and points have the same surroundings in both, out to any distance. A model that
    sums over atoms gives both the same density; one that is exact for the short cell is off by
    this much for the long one.
    """
    positions = np.asarray(positions, float)
    short = solve(chain, positions).density
    repeated = replace(chain, length=chain.length * times, sigma=tuple(chain.sigma) * times)
    places = (positions + chain.length * np.arange(times)[:, None]).ravel()
    return _nmae(np.tile(short, times), solve(repeated, places).density)


def composition_nmae(chain: Chain, known: Sequence[Chain], reach: int) -> float:
    """NMAE in percent of the best model that knows other chains and sees `reach` atoms each way.

    All chains are at rest, so that surroundings differ in the types alone. Each cell of `chain`
    is predicted as the mean of those cells of the `known` chains whose atoms, from `reach` to the
    left to `reach` to the right, have the same types; no function of these types fits them better.

    Raises
    ------
    LookupError
        If surroundings occur in none of the known chains.
    """
    memory: dict[tuple, list[np.ndarray]] = {}
    for other in known:
        for surroundings, cell in _cells(other, reach):
            memory.setdefault(surroundings, []).append(cell)
    predicted, exact = [], []
    for surroundings, cell in _cells(chain, reach):
        if surroundings not in memory:
            raise LookupError(f"no known chain has surroundings {surroundings}")
        predicted.append(np.mean(memory[surroundings], 0))
        exact.append(cell)
    return _nmae(np.array(predicted), np.array(exact))


def _cells(chain: Chain, reach: int) -> list[tuple[tuple, np.ndarray]]:
    """Widths of the atoms around each cell, and the density of the cell."""
    density = solve(chain, sites(chain)).density.reshape(chain.natoms, -1)
    window = np.arange(-reach, reach + 1)
    sigma = np.asarray(chain.sigma)
    return [(tuple(sigma[(i + window) % chain.natoms]), density[i]) for i in range(chain.natoms)]


def _nmae(predicted: np.ndarray, exact: np.ndarray) -> float:
    return float(100 * np.abs(predicted - exact).sum() / np.abs(exact).sum())
