"""How far the models of an ensemble lie apart: to choose frames for new reference calculations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.quadrature import ball

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.infer.deep_density import DeepDensity


@dataclass(frozen=True)
class Deviation:
    """Spread of an ensemble over the regions of one structure.

    The region of an atom is the ball of a given radius around it; sigma(r) is the standard
    deviation of the models' densities at a point (divided by their number), rho(r) their mean.

    Parameters
    ----------
    atoms : np.ndarray
        (natoms,) 100 integral of sigma / integral of |rho| over each region, percent.
    total : float
        The same with the integrals of all regions added up, percent.
    largest : float
        Largest sigma at any point of the rule, electrons/Å^3.
    """

    atoms: np.ndarray
    total: float
    largest: float


def model_deviation(models: Sequence[DeepDensity], atoms: Atoms, radius: float) -> Deviation:
    """Spread of an ensemble of models for a structure.

    Parameters
    ----------
    models : sequence of DeepDensity
        Two or more; their types may be in any order.
    atoms : ase.Atoms
        Periodic along all cell vectors or along none.
    radius : float
        Of the region of an atom, Å.

    Raises
    ------
    InputError
        Fewer than two models, or an element that one of them does not know.

    Notes
    -----
    The integrals run over 12 Gauss-Legendre shells times Lebedev's rule of degree 11 around each
    atom: no grid, and the same figures wherever the atoms lie in the cell.
    """
    if len(models) < 2:
        raise InputError(f"model deviation: found {len(models)} model, expected two or more")
    points, weights = ball(radius)
    natoms, npoints = len(atoms), len(points)
    where = (atoms.positions[:, None] + points).reshape(-1, 3)
    box = atoms.cell.array if atoms.pbc.any() else None
    density = np.array(
        [model.eval(atoms.positions, box, model.types_of(atoms), where) for model in models]
    ).reshape(len(models), natoms, npoints)
    # Around the first model: the spread of equal models is 0, not its rounding error.
    sigma = np.std(density - density[0], axis=0)
    spread, electrons = sigma @ weights, np.abs(density.mean(axis=0)) @ weights
    return Deviation(
        100 * spread / electrons, float(100 * spread.sum() / electrons.sum()), float(sigma.max())
    )
