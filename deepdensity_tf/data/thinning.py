"""A few points that stand for a whole grid, drawn once and kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.sampler import mixture

# Share of the points drawn uniformly, the rest follows the density: as in training, by default.
_UNIFORM = 0.5
# Probabilities are powers of 2^(1/4): weights of few different values take little room compressed.
_LADDER = 4


def thin(frame: Frame, npoints: int, rng: np.random.Generator) -> Frame:
    """The frame with so many weighted points in place of its grid, and the electrons of the grid.

    Parameters
    ----------
    frame : Frame
        On a grid, or with points of which some are taken.
    npoints : int
        Points to keep; all where the frame has no more.
    rng : np.random.Generator
        Source of randomness.

    Returns
    -------
    Frame
        In memory; points and weights in single precision.
    """
    index, weight = draw_distinct(frame.density, npoints, rng, frame.weight)
    return replace(
        frame,
        density=np.asarray(frame.density)[index],
        spin_density=None if frame.spin_density is None else frame.spin_density[index],
        grid_shape=None,
        loose_points=frame.points(index).astype(np.float32),
        weight=weight.astype(np.float32),
        full_electrons=frame.electrons,
    )


def draw_distinct(
    density: np.ndarray, wanted: int, rng: np.random.Generator, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights of points, none twice, by a mixture of uniform and density.

    Unlike draws for one training step (`data.sampler.draw_points`) these are kept for good: a
    point drawn twice would be room wasted. Points whose number of draws would be more than one are
    all taken, the others with a probability below one; with weights share / probability, so that
    sum(weight x f) is an unbiased estimate of the mean of f over the frame whatever f is.

    Parameters
    ----------
    density : np.ndarray
        (npoints,) all densities of the frame.
    wanted : int
        Points to take.
    rng : np.random.Generator
        Source of randomness.
    weight : np.ndarray, optional
        (npoints,) sums with it estimate means over the frame; None: all points weigh the same.

    Returns
    -------
    index : np.ndarray
        (wanted,) int64, rising; all points where the frame has no more.
    weight : np.ndarray
        (wanted,) float64.
    """
    total = len(density)
    share = np.full(total, 1 / total) if weight is None else np.asarray(weight, dtype=np.float64)
    possible = np.flatnonzero(share > 0)  # points that weigh nothing stay out
    if len(possible) <= wanted:
        return possible, share[possible]
    if len(possible) < total:
        index, drawn = draw_distinct(density[possible], wanted, rng, share[possible])
        return possible[index], drawn
    probability = mixture(density, share, _UNIFORM)
    probability = 2 ** (np.round(_LADDER * np.log2(probability)) / _LADDER)
    inclusion = _inclusion(probability, wanted)
    # Systematic draw: steps of one along the sum of the probabilities, from a random start.
    upto = np.cumsum(inclusion)
    steps = (np.arange(wanted) + rng.random()) * (upto[-1] / wanted)
    index = np.unique(np.minimum(np.searchsorted(upto, steps, side="right"), total - 1))
    return index, share[index] / inclusion[index]


def _inclusion(probability: np.ndarray, wanted: int) -> np.ndarray:
    """Probabilities up to one, of sum `wanted`, in proportion to those given where below one."""
    sure = np.zeros(len(probability), dtype=bool)
    while True:
        left = wanted - int(sure.sum())
        inclusion = probability * (left / probability[~sure].sum())
        more = ~sure & (inclusion >= 1)
        if not more.any():
            return np.where(sure, 1.0, inclusion)
        sure |= more
