"""How far the density of a chain feels an atom, and what that costs a local model."""

from __future__ import annotations

import numpy as np

from deepdensity_tf.reference.kohn_sham_1d import Chain, solve


def response(chain: Chain, positions: np.ndarray, atom: int, step: float = 0.1) -> np.ndarray:
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

    Returns
    -------
    np.ndarray
        (npoints,), electrons per length^2.
    """
    shift = np.zeros(chain.natoms)
    shift[atom] = step
    ahead, behind = (solve(chain, np.asarray(positions) + s).density for s in (shift, -shift))
    return (ahead - behind) / (2 * step)


def distances(chain: Chain, place: float) -> np.ndarray:
    """Of all grid points from `place`, minimum image, (npoints,)."""
    apart = chain.grid - place
    return np.abs(apart - chain.length * np.round(apart / chain.length))


def floor_nmae(
    chain: Chain, derivative: np.ndarray, distance: np.ndarray, horizon: float, spread: float
) -> float:
    """NMAE in percent that no model can beat which sees atoms within `horizon` alone.

    To first order in the displacements, the density at x is off by the sum of derivative times
    displacement over all atoms beyond the horizon. For independent normal displacements of
    standard deviation `spread` that sum is normal, and its mean absolute value sqrt(2 / pi) times
    its standard deviation. All atoms must be alike and equally spaced, so that one atom's
    derivative stands for all.

    Parameters
    ----------
    chain : Chain
        The chain at rest.
    derivative, distance : np.ndarray
        (npoints,), of `response` and `distances` of one atom.
    horizon, spread : float
        Lengths.
    """
    unseen = np.where(distance > horizon, derivative, 0.0)
    # Points one spacing apart are equivalent: adding them up is the sum over all atoms.
    variance = (unseen.reshape(chain.natoms, -1) ** 2).sum(0) * spread**2
    mean_density = chain.nelectrons / chain.length
    return 100 * np.sqrt(2 / np.pi) * np.sqrt(variance).mean() / mean_density
