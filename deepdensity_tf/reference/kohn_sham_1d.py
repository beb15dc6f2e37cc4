"""Self-consistent Kohn-Sham densities of one-dimensional chains, the exact reference in 1D.

Spinless electrons (one an orbital) in a periodic cell of length L move in the mean field of
themselves and of smeared nuclei; there is no exchange-correlation. All numbers are in the model's
own atomic-like units (energies in Hartree, temperatures in K):

    H = -1/2 d2/dx2 + V,    V = K * (rho + m)
    m(x) = - sum_i Z / (sqrt(2 pi) sigma_i) exp(-(x - R_i)^2 / (2 sigma_i^2))
    K(k) = 4 pi / (epsilon0 (k^2 + kappa^2)),  K(0) = 0

with Z electrons an atom, distances by minimum image and a Yukawa kernel K. Narrow nuclei
(sigma 1) give insulators, wide ones (sigma 6) metals.

References
----------
Zepeda-Núñez, Chen, Zhang, Jia, Zhang, Lin, J. Comput. Phys. 443, 110523 (2021), arXiv:1912.00775.
Anderson, J. ACM 12, 547 (1965), for the mixing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
from scipy.optimize import brentq
from scipy.special import expit, xlogy

from deepdensity_tf.utils.errors import InputError

ELECTRONS_PER_ATOM = 2
KAPPA = 0.01
EPSILON0 = 10.0
KELVIN_PER_HARTREE = 315774.67
# Thomas-Fermi screening 4 pi / epsilon0 / (pi k_F) of the chain with spacing 10.
KERKER = 0.64
MIXING_DEPTH = 20
MAX_ITERATIONS = 300
# Metals have converged by then; others get the preconditioner of their own response.
SLOW = 15
# From then on a change above ASTRAY and above that of the best trial is undone, and the step tried
# shorter. Smaller ones are the mixing's own business.
ASTRAY, SHORTER = 0.1, 0.3
# Occupations below exp(-TAIL) = 6e-16 do not count.
TAIL = 35.0


class NotConverged(RuntimeError):
    """The self-consistent field did not reach the tolerance."""


@dataclass(frozen=True)
class Chain:
    """What stays fixed while the atoms move.

    Parameters
    ----------
    length : float
        Periodic cell L.
    sigma : sequence of float
        Width of each atom's nucleus, (natoms,).
    temperature : float
        Of the electrons, K.
    spacing : float
        Of the grid; L must be a whole number of steps.

    Raises
    ------
    InputError
        If a number is not positive or the grid does not fit the cell.
    """

    length: float
    sigma: Sequence[float]
    temperature: float = 100.0
    spacing: float = 0.5

    def __post_init__(self):
        for name in ("length", "temperature", "spacing"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}: found {getattr(self, name)}, expected a positive number")
        if len(self.sigma) == 0 or not np.all(np.asarray(self.sigma) > 0):
            raise InputError(f"sigma: found {self.sigma}, expected one positive width an atom")
        steps = self.length / self.spacing
        if abs(steps - round(steps)) > 1e-8 * steps:
            raise InputError(
                f"length: found {self.length}, expected a multiple of the grid step {self.spacing}"
            )

    @property
    def natoms(self) -> int:
        """Number of atoms."""
        return len(self.sigma)

    @property
    def nelectrons(self) -> int:
        """Number of electrons."""
        return ELECTRONS_PER_ATOM * self.natoms

    @cached_property
    def grid(self) -> np.ndarray:
        """Points x, (npoints,), from 0."""
        return self.spacing * np.arange(round(self.length / self.spacing))

    @property
    def kt(self) -> float:
        """Electronic temperature, Hartree."""
        return self.temperature / KELVIN_PER_HARTREE

    @cached_property
    def _kernel(self) -> np.ndarray:
        k = 2 * np.pi * np.fft.rfftfreq(len(self.grid), self.spacing)
        kernel = 4 * np.pi / (EPSILON0 * (k**2 + KAPPA**2))
        kernel[0] = 0.0
        return kernel

    @cached_property
    def _kinetic(self) -> np.ndarray:
        """Spectral -1/2 d2/dx2 on the grid, a symmetric circulant matrix."""
        k = 2 * np.pi * np.fft.fftfreq(len(self.grid), self.spacing)
        return scipy.linalg.circulant(np.fft.ifft(k**2 / 2).real)

    @cached_property
    def _nstates(self) -> int:
        """Enough states for all occupations that count, estimated from the uniform gas."""
        fermi_energy = (np.pi * self.nelectrons / self.length) ** 2 / 2
        stretch = np.sqrt(1 + TAIL * self.kt / fermi_energy)
        return min(int(np.ceil(self.nelectrons * stretch)) + 4, len(self.grid))

    def field(self, charge: np.ndarray) -> np.ndarray:
        """Potential K * charge on the grid, (npoints,)."""
        return np.fft.irfft(self._kernel * np.fft.rfft(charge), len(self.grid))

    def norm_of_source(self, potential: np.ndarray) -> float:
        """Norm on the grid of the charge that makes `potential` (npoints,), but for its mean."""
        waves = np.fft.rfft(potential)
        charge = np.divide(waves, self._kernel, out=np.zeros_like(waves), where=self._kernel > 0)
        return np.linalg.norm(np.fft.irfft(charge, len(self.grid)))

    def nuclei(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Charge m of the nuclei, (npoints,), and its derivatives dm/dR_i, (natoms, npoints)."""
        distance = self.grid - np.asarray(positions, float)[:, None]
        distance -= self.length * np.round(distance / self.length)
        sigma = np.asarray(self.sigma, float)[:, None]
        gauss = np.exp(-((distance / sigma) ** 2) / 2) / (np.sqrt(2 * np.pi) * sigma)
        each = -ELECTRONS_PER_ATOM * gauss
        return each.sum(0), each * distance / sigma**2


@dataclass(frozen=True)
class Solution:
    """A converged state.

    Attributes
    ----------
    energy : float
        sum f eps + 1/2 sum (m - rho) V dx, without the electrons' entropy.
    free_energy : float
        energy - T S; what `forces` derive from. Equal to `energy` when kT is far below the gap.
    forces : np.ndarray
        (natoms,), -d free_energy / dR_i.
    density : np.ndarray
        (npoints,), electrons per unit length.
    potential : np.ndarray
        V, (npoints,).
    gap : float
        Between the last filled and the first empty orbital at T = 0.
    iterations : int
        Diagonalisations it took.
    preconditioner : np.ndarray
        (npoints, npoints), what the search used; good for neighbouring positions.
    """

    energy: float
    free_energy: float
    forces: np.ndarray
    density: np.ndarray
    potential: np.ndarray
    gap: float
    iterations: int
    preconditioner: np.ndarray


def solve(
    chain: Chain,
    positions: np.ndarray,
    tolerance: float = 1e-10,
    start: Solution | None = None,
) -> Solution:
    """Self-consistent density, energy and forces of atoms at `positions`.

    Parameters
    ----------
    chain : Chain
        Cell, atoms and temperature.
    positions : np.ndarray
        (natoms,).
    tolerance : float
        Largest relative change of the density, ||K^-1 (V_out - V)|| / ||rho||.
    start : Solution, optional
        Of the same chain with the atoms nearby; saves iterations. Without it the search starts
        from rho = -m, that is V = 0.

    Raises
    ------
    InputError
        If `positions` are not (natoms,) finite numbers.
    NotConverged
        If the tolerance is not reached.
    """
    positions = np.asarray(positions, float)
    if positions.shape != (chain.natoms,) or not np.all(np.isfinite(positions)):
        raise InputError(
            f"positions: found shape {positions.shape}, expected ({chain.natoms},) finite numbers"
        )
    nuclei, nuclei_gradient = chain.nuclei(positions)
    trial = np.zeros_like(chain.grid) if start is None else start.potential
    search = _Search(chain, _kerker(chain) if start is None else start.preconditioner)
    for iteration in range(1, MAX_ITERATIONS + 1):
        electrons = _diagonalise(chain, trial)
        result = chain.field(electrons.density + nuclei)
        residual = result - trial
        change = chain.norm_of_source(residual) / np.linalg.norm(electrons.density)
        if change <= tolerance:
            break
        if iteration == MAX_ITERATIONS:
            raise NotConverged(f"relative change {change:.1e} after {iteration} iterations")
        trial = search.next(trial, residual, change)
    dx = chain.spacing
    # With the trial's own band energy the error is of second order in the residual.
    energy = (
        electrons.band_energy
        - dx * np.dot(electrons.density, trial)
        + dx * np.dot(electrons.density + nuclei, result) / 2
    )
    return Solution(
        energy=energy,
        free_energy=energy - chain.kt * electrons.entropy,
        forces=-dx * nuclei_gradient @ result,
        density=electrons.density,
        potential=result,
        gap=electrons.gap,
        iterations=iteration,
        preconditioner=search.preconditioner,
    )


@dataclass(frozen=True)
class _Electrons:
    density: np.ndarray
    band_energy: float
    entropy: float
    gap: float


def _diagonalise(chain: Chain, potential: np.ndarray) -> _Electrons:
    energies, orbitals = _states(chain, potential, chain._nstates)
    occupation = _fermi_dirac(energies, chain.nelectrons, chain.kt)
    return _Electrons(
        density=(orbitals**2 @ occupation) / chain.spacing,
        band_energy=occupation @ energies,
        entropy=-np.sum(xlogy(occupation, occupation) + xlogy(1 - occupation, 1 - occupation)),
        gap=energies[chain.nelectrons] - energies[chain.nelectrons - 1],
    )


def _states(chain: Chain, potential: np.ndarray, nstates: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest energies (nstates,) and orbitals (npoints, nstates), of unit norm as vectors."""
    return scipy.linalg.eigh(
        chain._kinetic + np.diag(potential),
        subset_by_index=(0, nstates - 1),
        overwrite_a=True,
        check_finite=False,
    )


def _fermi_dirac(energies: np.ndarray, nelectrons: int, kt: float) -> np.ndarray:
    """Occupations (nstates,) that sum up to `nelectrons`."""

    def excess(level: float) -> float:
        return expit((level - energies) / kt).sum() - nelectrons

    level = brentq(excess, energies[0] - TAIL * kt, energies[-1] + TAIL * kt, xtol=1e-15)
    return expit((level - energies) / kt)


def _kerker(chain: Chain) -> np.ndarray:
    """Inverse dielectric matrix (npoints, npoints) of the uniform electron gas."""
    k = 2 * np.pi * np.fft.fftfreq(len(chain.grid), chain.spacing)
    bare = k**2 + KAPPA**2
    return scipy.linalg.circulant(np.fft.ifft(bare / (bare + KERKER)).real)


def _inverse_dielectric(chain: Chain, potential: np.ndarray) -> np.ndarray:
    """(1 - K chi)^-1 (npoints, npoints), chi summed over transitions that long waves induce."""
    filled = chain.nelectrons
    energies, orbitals = _states(chain, potential, min(4 * filled, len(chain.grid)))
    # Partial occupation changes nothing but pairs closer than kT: a floor stands for it.
    gaps = np.maximum(energies[filled:, None] - energies[:filled], 4 * chain.kt)
    # Screening matters up to twice the Fermi wave number or so; Fourier index filled / 2 is k_F.
    waves = slice(1, 1 + min(3 * filled // 2, len(chain.grid) // 2 - 1))
    chi = np.zeros(())
    for orbital, gap in zip(orbitals[:, :filled].T, gaps.T, strict=True):
        products = np.fft.rfft(orbital * orbitals[:, filled:].T)[:, waves]
        products = np.hstack([products.real, products.imag]) / np.sqrt(gap)[:, None]
        chi = chi - products.T @ products
    # Two orders of each pair; 2 / npoints normalises cosines and sines.
    chi *= 2 * (2 / len(chain.grid)) / chain.spacing
    dielectric = np.eye(len(chi)) - np.tile(chain._kernel[waves], 2)[:, None] * chi
    angles = chain.grid[:, None] * (2 * np.pi / chain.length * np.arange(len(chain.grid))[waves])
    basis = np.hstack([np.cos(angles), -np.sin(angles)]) * np.sqrt(2 / len(chain.grid))
    correction = np.linalg.inv(dielectric) - np.eye(len(chi))
    return np.eye(len(chain.grid)) + basis @ correction @ basis.T


class _Search:
    """Trial potentials by Anderson mixing, which goes back where it goes astray.

    Charge that sloshes between far ends of a long chain overshoots: the search then returns to the
    best trial so far, takes the preconditioner of the response there and a shorter step.

    Parameters
    ----------
    chain : Chain
        What is solved for.
    preconditioner : np.ndarray
        (npoints, npoints), to begin with.
    """

    def __init__(self, chain: Chain, preconditioner: np.ndarray):
        self._chain = chain
        self._mixer = _AndersonMixer(preconditioner)
        self._age, self._renewed = 0, False
        self._best: tuple[np.ndarray, np.ndarray] | None = None
        self._smallest = np.inf
        self._step, self._share = None, 1.0

    @property
    def preconditioner(self) -> np.ndarray:
        """(npoints, npoints), the one in use."""
        return self._mixer.preconditioner

    def next(self, trial: np.ndarray, residual: np.ndarray, change: float) -> np.ndarray:
        """The trial after `trial`, whose residual and relative change of the density are given."""
        if self._renewed and change > max(ASTRAY, self._smallest):
            return self._shorter_step()
        # A shorter step that is good enough moves the base, lest the search goes round in circles.
        if change < self._smallest or self._share < 1:
            self._best, self._smallest = (trial, residual), change
        self._age += 1
        if self._age == SLOW:
            self._renew(trial)
        self._share = 1.0
        return self._mixer.next(trial, residual)

    def _shorter_step(self) -> np.ndarray:
        trial, residual = self._best
        if self._share == 1.0:
            self._renew(trial)
            self._step = self._mixer.next(trial, residual) - trial
        self._share *= SHORTER
        return trial + self._share * self._step

    def _renew(self, trial: np.ndarray) -> None:
        self._mixer = _AndersonMixer(_inverse_dielectric(self._chain, trial))
        self._age, self._renewed = 0, True


class _AndersonMixer:
    """Next trial vector from the last few trials and their residuals.

    Parameters
    ----------
    preconditioner : np.ndarray
        (npoints, npoints), turns a residual into a step.
    """

    def __init__(self, preconditioner: np.ndarray):
        self.preconditioner = preconditioner
        self._trials: deque[np.ndarray] = deque(maxlen=MIXING_DEPTH + 1)
        self._residuals: deque[np.ndarray] = deque(maxlen=MIXING_DEPTH + 1)

    def next(self, trial: np.ndarray, residual: np.ndarray) -> np.ndarray:
        self._trials.append(trial)
        self._residuals.append(residual)
        if len(self._trials) > 1:
            trials = np.diff(self._trials, axis=0).T
            residuals = np.diff(self._residuals, axis=0).T
            weights = np.linalg.lstsq(residuals, residual, rcond=1e-12)[0]
            trial = trial - trials @ weights
            residual = residual - residuals @ weights
        return trial + self.preconditioner @ residual
