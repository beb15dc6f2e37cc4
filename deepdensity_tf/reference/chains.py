"""The kinds of one-dimensional chains that serve as examples, and their trajectories."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from deepdensity_tf.reference.dynamics_1d import Snapshot, Tether, run
from deepdensity_tf.reference.kohn_sham_1d import Chain
from deepdensity_tf.reference.system_writer import write_system
from deepdensity_tf.utils.errors import InputError

SPACING = 10.0
# A box so wide in y and z that no image comes near.
WIDTH = 1000.0
TYPES = "AB"


@dataclass(frozen=True)
class Kind:
    """A sort of chain.

    Parameters
    ----------
    sigma : tuple of float
        Widths of the nuclei of type A and, if there is a second, of type B.
    temperature : float
        Of the electrons, K.
    stiffness : float
        Of the springs to the sites. The halves of the mixed chain attract each other so much that
        free atoms leave their sites by half a spacing.
    """

    sigma: tuple[float, ...]
    temperature: float = 100.0
    stiffness: float = 0.0


KINDS = {
    "insulator": Kind((1.0,)),
    "insulator2": Kind((2.0,)),
    "metal": Kind((6.0,)),
    "warm_metal": Kind((3.0,), temperature=50000.0),
    "mixed": Kind((1.0, 6.0), stiffness=0.05),
}


def blocks(kind: Kind, natoms: int) -> str:
    """Types of a chain of equal blocks, "AAAABBBB" for 8 atoms of two types.

    Raises
    ------
    InputError
        If `natoms` cannot be split evenly into the kind's types.
    """
    ntypes = len(kind.sigma)
    if natoms < ntypes or natoms % ntypes:
        raise InputError(f"natoms: found {natoms}, expected a multiple of {ntypes}")
    return "".join(name * (natoms // ntypes) for name in TYPES[:ntypes])


def make_chain(kind: Kind, types: str) -> Chain:
    """The chain with atoms of the given types, "AAB" for instance, from left to right.

    Raises
    ------
    InputError
        If a type is not one of the kind's.
    """
    known = TYPES[: len(kind.sigma)]
    if not types or set(types) - set(known):
        raise InputError(f"types: found {types!r}, expected letters of {known}")
    sigma = tuple(kind.sigma[known.index(name)] for name in types)
    return Chain(SPACING * len(types), sigma, kind.temperature)


def sites(chain: Chain) -> np.ndarray:
    """Where the atoms rest: in the middle of their cells, a grid step further, (natoms,)."""
    return SPACING * (np.arange(chain.natoms) + 0.5) + chain.spacing


@dataclass(frozen=True)
class Start:
    """How a trajectory begins.

    Parameters
    ----------
    seed : int
        The same seed gives the same trajectory.
    displacement, velocity : float
        Standard deviations, each atom on its own.
    push : float
        Displacement of the first atom on top.
    """

    seed: int
    displacement: float = 0.3
    velocity: float = 0.02
    push: float = 1.0


@dataclass(frozen=True)
class Steps:
    """Which moments of a trajectory are kept: `nframes`, `stride` steps of `timestep` apart."""

    nframes: int
    stride: int = 5
    timestep: float = 2.0


def trajectory(kind: Kind, types: str, start: Start, steps: Steps) -> list[Snapshot]:
    """Snapshots of the chain of the given types; the first one is the start."""
    chain = make_chain(kind, types)
    rest = sites(chain)
    rng = np.random.default_rng(start.seed)
    positions = rest + rng.normal(0, start.displacement, chain.natoms)
    positions[0] += start.push
    velocities = rng.normal(0, start.velocity, chain.natoms)
    moments = run(chain, positions, velocities, steps.timestep, Tether(rest, kind.stiffness))
    return list(islice(moments, 0, (steps.nframes - 1) * steps.stride + 1, steps.stride))


def write_chain(
    path: str | os.PathLike, kind: Kind, types: str, snapshots: Sequence[Snapshot]
) -> None:
    """Write snapshots as a 3D system with y = z = 0: loose points, a box wide in y and z.

    Lengths stand for Å; the density is in electrons per length, energies and forces are in the
    model's Hartree. The forces are those of the electrons and nuclei, without springs.
    """
    chain = make_chain(kind, types)
    nframes = len(snapshots)
    write_system(
        path,
        types,
        _on_x_axis([moment.positions % chain.length for moment in snapshots]),
        np.tile(np.diag([chain.length, WIDTH, WIDTH]), (nframes, 1, 1)),
        {
            "grid": _on_x_axis([chain.grid] * nframes),
            "density": np.array([moment.solution.density for moment in snapshots]),
            "energy": np.array([moment.solution.free_energy for moment in snapshots]),
            "force": _on_x_axis([moment.solution.forces for moment in snapshots]),
        },
    )


def constant_nmae(density: np.ndarray) -> float:
    """NMAE in percent of each frame's mean density as the prediction, mean over frames.

    Parameters
    ----------
    density : np.ndarray
        (nframes, npoints).
    """
    error = np.abs(density - density.mean(1, keepdims=True)).sum(1)
    return float(100 * np.mean(error / np.abs(density).sum(1)))


def _on_x_axis(x: Sequence[np.ndarray]) -> np.ndarray:
    """(nframes, n) to (nframes, n, 3) with zeros for y and z."""
    return np.stack([x, np.zeros_like(x), np.zeros_like(x)], -1)
