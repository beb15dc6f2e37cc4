"""Batches of frames and points, drawn so that losses over them are unbiased."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from deepdensity_tf.data.augmentation import OccupancyLabels
from deepdensity_tf.data.frame import Frame


class Sample(NamedTuple):
    """A training batch as NumPy arrays: the model's Batch and the reference."""

    coord: np.ndarray  # (natoms, 3) float64, Å
    coord_splits: np.ndarray  # (nframes + 1,) int32
    atype: np.ndarray  # (natoms,) int32; with initial moments as utils.signed_types has them
    box: np.ndarray  # (nframes, 9) float64, Å
    point: np.ndarray  # (npoints, 3) float64, Å
    point_splits: np.ndarray  # (nframes + 1,) int32
    density: np.ndarray  # (npoints, ndensity) float64, electrons/Å^3
    weight: np.ndarray  # (npoints,) float64; sums over a frame's points estimate its mean
    volume: np.ndarray  # (nframes,) float64, Å^3; 0 for loose points without weights
    electrons: np.ndarray  # (nframes,) float64, of the whole frame; 0 where not known
    # (natoms, nset, width) float64 PAW occupancies, NaN where none; empty unless they are learned
    augmentation: np.ndarray = np.zeros((0, 0, 0))
    # (nframes, 3) float64 e Å (Frame.first_moment), NaN where not known; empty unless learned
    first_moment: np.ndarray = np.zeros((0, 3))


@dataclass(frozen=True)
class SamplerConfig:
    """How points are drawn.

    Parameters
    ----------
    numb_points : int
        Points of each frame.
    uniform_fraction : float
        Share of the points drawn uniformly; the others in proportion to the density.
    spin : bool
        Take the spin density as second channel.
    augmentation : OccupancyLabels, optional
        Take PAW occupancies too.
    moments : int, optional
        Elements of the model, if types say the signs of initial moments too.
    dipole : bool
        Take the first moments of the densities.
    """

    numb_points: int
    uniform_fraction: float
    spin: bool = False
    augmentation: OccupancyLabels | None = None
    moments: int | None = None
    dipole: bool = False


# Candidates a point: enough for density-weighted draws, few enough for memory-mapped files.
_CANDIDATES = 8


def draw_points(
    density: np.ndarray,
    config: SamplerConfig,
    rng: np.random.Generator,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights of points of one frame.

    Candidates are drawn uniformly and points among them by a mixture of the uniform
    distribution and the density; with weights 1 / (probability x candidates), so that
    sum(weight x f) is an unbiased estimate of the mean of f over all points whatever f is.
    Where points have weights already, both distributions are those of the frame that the
    weights stand for, and the estimate is that of its mean.

    Parameters
    ----------
    density : np.ndarray
        (npoints,) all densities of the frame; only candidates are read.
    config : SamplerConfig
        Numbers and shares.
    rng : np.random.Generator
        Source of randomness.
    weight : np.ndarray, optional
        (npoints,) sums with it estimate means over the frame; None: all points weigh the same.

    Returns
    -------
    index : np.ndarray
        (numb_points,) int64, rising; all points where the frame has no more.
    weight : np.ndarray
        (numb_points,) float64.
    """
    total, wanted = len(density), config.numb_points
    if total <= wanted:
        own = np.full(total, 1 / total) if weight is None else weight.astype(np.float64)
        return np.arange(total), own
    ncandidates = min(total, _CANDIDATES * wanted)
    # One candidate in each stratum of the grid: less noise than independent draws.
    edges = np.linspace(0, total, ncandidates + 1)
    candidates = (edges[:-1] + rng.random(ncandidates) * np.diff(edges)).astype(np.int64)
    candidates = np.minimum(candidates, total - 1)
    share = np.full(ncandidates, 1 / ncandidates)  # of the frame, that a candidate stands for
    if weight is not None:
        share = weight[candidates].astype(np.float64) * (total / ncandidates)
    probability = mixture(density[candidates], share, config.uniform_fraction)
    # Systematic draw: each candidate is taken numb_points x probability times on average.
    steps = (np.arange(wanted) + rng.random()) / wanted
    chosen = np.searchsorted(np.cumsum(probability), steps * probability.sum())
    chosen = np.minimum(chosen, ncandidates - 1)
    return candidates[chosen], share[chosen] / (wanted * probability[chosen])


def mixture(density: np.ndarray, share: np.ndarray, uniform_fraction: float) -> np.ndarray:
    """Probabilities of points that stand for given shares of a frame: uniform and by density.

    Parameters
    ----------
    density, share : np.ndarray
        (npoints,).
    uniform_fraction : float
        Weight of the uniform distribution; all of it where there is no density.

    Returns
    -------
    np.ndarray
        (npoints,) of sum 1.
    """
    magnitude = np.abs(density.astype(np.float64)) * share
    uniform = share / share.sum()
    if not magnitude.sum() > 0:
        return uniform
    return uniform_fraction * uniform + (1 - uniform_fraction) * magnitude / magnitude.sum()


def assemble(
    frames: Sequence[Frame], config: SamplerConfig, rngs: Sequence[np.random.Generator]
) -> Sample:
    """A batch of the given frames with points drawn anew, each by a generator of its own.

    Raises
    ------
    InputError
        A file of a frame has changed since it was opened.
    """
    for frame in frames:
        frame.check_unchanged()
    draws = [
        draw_points(frame.density, config, rng, frame.weight)
        for frame, rng in zip(frames, rngs, strict=True)
    ]
    references = [
        _channels(frame, index, config.spin)
        for frame, (index, _) in zip(frames, draws, strict=True)
    ]
    return Sample(
        coord=np.concatenate([frame.coord for frame in frames]),
        coord_splits=_splits([len(frame.coord) for frame in frames]),
        atype=np.concatenate([_types(frame, config.moments) for frame in frames]),
        box=np.stack([frame.model_box for frame in frames]),
        point=np.concatenate(
            [frame.points(index) for frame, (index, _) in zip(frames, draws, strict=True)]
        ),
        point_splits=_splits([len(index) for index, _ in draws]),
        density=np.concatenate(references),
        weight=np.concatenate([weight for _, weight in draws]),
        volume=np.array([frame.volume or 0.0 for frame in frames], dtype=np.float64),
        electrons=np.array([frame.electrons or 0.0 for frame in frames], dtype=np.float64),
        augmentation=_occupancies(frames, config),
        first_moment=_first_moments(frames) if config.dipole else np.zeros((0, 3)),
    )


class BatchSampler:
    """Batches as a pure function of the step: a restart sees what it would have seen.

    A step costs what its frames cost, whatever the number of all frames: the order of an epoch is
    worked out once.

    Parameters
    ----------
    frames : Sequence
        All frames to train on.
    config : SamplerConfig
        How points are drawn.
    batch_size : int
        Frames a step.
    seed : int
        The same seed gives the same batches.
    part : slice
        Which frames of each batch are this worker's.
    order : callable, optional
        ``order(epoch)``: as many numbers of frames as there are frames, in the order in which an
        epoch draws them; None: each frame once (see `data.probability`).
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        config: SamplerConfig,
        batch_size: int,
        seed: int,
        part: slice = slice(None),
        order: Callable[[int], np.ndarray] | None = None,
    ):
        self._frames = frames
        self._config = config
        self.batch_size = batch_size
        self._seed = seed
        self._part = part
        # Two: a batch may span two epochs.
        self._order = functools.lru_cache(maxsize=2)(order or self._once_each)

    def __call__(self, step: int) -> Sample:
        """The batch of step 0, 1, ..."""
        rng = np.random.default_rng([self._seed, 1, step])
        rngs = rng.spawn(self.batch_size)
        frames = [self._frames[index] for index in self._indices(step)[self._part]]
        return assemble(frames, self._config, rngs[self._part])

    def frames_of(self, step: int) -> list[Frame]:
        """The frames in the batch of a step, of all workers."""
        return [self._frames[index] for index in self._indices(step)]

    def _indices(self, step: int) -> list[int]:
        first = step * self.batch_size
        places = (divmod(first + k, len(self._frames)) for k in range(self.batch_size))
        return [int(self._order(epoch)[within]) for epoch, within in places]

    def _once_each(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._frames))


def _occupancies(frames: Sequence[Frame], config: SamplerConfig) -> np.ndarray:
    if config.augmentation is None:
        return np.zeros((0, 0, 0))
    return np.concatenate([config.augmentation.of(frame) for frame in frames])


def _first_moments(frames: Sequence[Frame]) -> np.ndarray:
    found = [frame.first_moment for frame in frames]
    return np.stack([np.full(3, np.nan) if moment is None else moment for moment in found])


def _types(frame: Frame, ntypes: int | None) -> np.ndarray:
    return frame.atype.astype(np.int32) if ntypes is None else frame.signed_types(ntypes)


def _splits(sizes: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)


def _channels(frame: Frame, index: np.ndarray, spin: bool) -> np.ndarray:
    channels = [frame.density[index]]
    if spin:
        channels.append(frame.spin_density[index])
    return np.stack(channels, -1).astype(np.float64)
