"""Born-Oppenheimer molecular dynamics of one-dimensional chains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deepdensity_tf.reference.kohn_sham_1d import Chain, Solution, solve


@dataclass(frozen=True)
class Snapshot:
    """One moment of a trajectory.

    Attributes
    ----------
    positions, velocities : np.ndarray
        (natoms,).
    solution : Solution
        The electrons; its forces and energies are without the tether.
    total_energy : float
        Free energy, energy of the tether and of the motion; conserved.
    """

    positions: np.ndarray
    velocities: np.ndarray
    solution: Solution
    total_energy: float


@dataclass(frozen=True)
class Tether:
    """Springs between atoms and sites, for chains that are not at rest on their sites.

    Parameters
    ----------
    sites : np.ndarray
        (natoms,).
    stiffness : float
        Hartree / length^2; 0 for free atoms.
    """

    sites: np.ndarray
    stiffness: float

    def energy(self, positions: np.ndarray) -> float:
        """Energy of all springs."""
        return self.stiffness * np.sum((positions - self.sites) ** 2) / 2

    def forces(self, positions: np.ndarray) -> np.ndarray:
        """Forces of the springs on the atoms, (natoms,)."""
        return -self.stiffness * (positions - self.sites)


def run(
    chain: Chain,
    positions: np.ndarray,
    velocities: np.ndarray,
    timestep: float = 0.01,
    tether: Tether | None = None,
) -> Iterator[Snapshot]:
    """Velocity Verlet with unit masses, without end; the first snapshot is the start.

    Parameters
    ----------
    chain : Chain
        Cell, atoms and temperature of the electrons.
    positions, velocities : np.ndarray
        (natoms,).
    timestep : float
        In units of the model's time, sqrt(mass length^2 / Hartree).
    tether : Tether, optional
        Springs that pull the atoms to sites.

    References
    ----------
    Swope, Andersen, Berens, Wilson, J. Chem. Phys. 76, 637 (1982).
    """
    positions, velocities = np.array(positions, float), np.array(velocities, float)
    tether = tether or Tether(positions, 0.0)
    solution = solve(chain, positions)
    while True:
        kinetic = np.dot(velocities, velocities) / 2
        total = solution.free_energy + tether.energy(positions) + kinetic
        yield Snapshot(positions, velocities, solution, total)
        halfway = velocities + timestep / 2 * (solution.forces + tether.forces(positions))
        positions = positions + timestep * halfway
        solution = solve(chain, positions, start=solution)
        velocities = halfway + timestep / 2 * (solution.forces + tether.forces(positions))
