"""The frames that a training is validated on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.frames import Part
from deepdensity_tf.data.sampler import Sample, SamplerConfig, assemble


class Validation:
    """Frames and points that are the same each time, one frame in memory.

    Parameters
    ----------
    frames : Sequence of Frame
        All there are, system by system.
    config : SamplerConfig
        How points are drawn.
    count : int
        Frames to take, spread at random over all, so over all systems; 0: every one.
    seed : int
        The same seed gives the same frames and points.
    """

    def __init__(self, frames: Sequence[Frame], config: SamplerConfig, count: int, seed: int):
        self._config, self._seed = config, seed
        if 0 < count < len(frames):
            edges = np.linspace(0, len(frames), count + 1)
            rng = np.random.default_rng([seed, 3])
            places = edges[:-1] + rng.random(count) * np.diff(edges)
            frames = Part(frames, np.minimum(places, len(frames) - 1).astype(np.int64))
        self.frames = frames

    def samples(self, part: slice = slice(None)) -> Iterator[Sample]:
        """Each frame of a worker's part with its points."""
        for index in range(len(self.frames))[part]:
            rng = np.random.default_rng([self._seed, 3, index])
            yield assemble([self.frames[index]], self._config, [rng])
