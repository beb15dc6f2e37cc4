"""The training loop."""

from __future__ import annotations

import functools
import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from deepdensity_tf.data.frames import frames_of_all_elements
from deepdensity_tf.data.sampler import Sample, assemble
from deepdensity_tf.descriptor.base import NODES, interpolated_embeddings
from deepdensity_tf.loss import DensityLoss
from deepdensity_tf.model import Batch, DensityModel
from deepdensity_tf.model.statistics import (
    fit_occupancies,
    initialise_statistics,
    shift_baseline,
)
from deepdensity_tf.train.checkpoint import CheckpointFolder, TrainingState
from deepdensity_tf.train.display import Display
from deepdensity_tf.train.optimizer import AveragedMuon
from deepdensity_tf.train.schedule import LearningRate, WeightDecay
from deepdensity_tf.train.side_by_side import apart, threads_for
from deepdensity_tf.train.training_data import TrainingData
from deepdensity_tf.train.workers import Workers, average_over_workers
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.ops import neighbor_list

log = logging.getLogger(__name__)

# For the statistics taken before training: frames, those of each element, points of a frame.
_STATISTICS_FRAMES, _STATISTICS_EACH, _STATISTICS_POINTS = 64, 4, 2000

# Steps in a row without a gradient that can be used: the run is lost.
_MOST_SKIPPED = 20

_SIGNATURE = Sample(
    coord=tf.TensorSpec([None, 3], tf.float64),
    coord_splits=tf.TensorSpec([None], tf.int32),
    atype=tf.TensorSpec([None], tf.int32),
    box=tf.TensorSpec([None, 9], tf.float64),
    point=tf.TensorSpec([None, 3], tf.float64),
    point_splits=tf.TensorSpec([None], tf.int32),
    density=tf.TensorSpec([None, None], tf.float64),
    weight=tf.TensorSpec([None], tf.float64),
    volume=tf.TensorSpec([None], tf.float64),
    electrons=tf.TensorSpec([None], tf.float64),
    augmentation=tf.TensorSpec([None, None, None], tf.float64),
    first_moment=tf.TensorSpec([None, 3], tf.float64),
)


@dataclass
class _Progress:
    """Where the run stands: steps and seconds done of those allowed."""

    numb_steps: int
    max_time: float | None
    step: int
    before: float  # seconds of earlier runs
    start: float

    @property
    def elapsed(self) -> float:
        return self.before + time.monotonic() - self.start

    @property
    def fraction(self) -> float:
        """Share of the run that is done, by steps or time, whichever is ahead."""
        by_steps = self.step / self.numb_steps
        by_time = self.elapsed / self.max_time if self.max_time else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def remaining(self) -> float:
        done = max(self.fraction, 1e-9)
        return self.elapsed * (1 - done) / done


class Trainer:
    """Trains a state on data, step by step.

    Parameters
    ----------
    state : TrainingState
        Changed in place; a fresh one gets its statistics from the data.
    folder : CheckpointFolder
        Where states are kept.
    data : TrainingData
        What it learns from.
    workers : Workers
        Who trains; the chief alone writes files.
    """

    def __init__(
        self,
        state: TrainingState,
        folder: CheckpointFolder,
        data: TrainingData,
        workers: Workers,
    ):
        self._state, self._folder, self._data = state, folder, data
        self._workers = workers
        self._run = state.config["training"]
        self._rate = LearningRate(state.config["learning_rate"])
        self._decay = WeightDecay(self._run["weight_decay"], self._rate.mean)
        self._loss = DensityLoss(state.config["loss"])
        self._many_pairs = False
        self._side_by_side = workers.count == 1 and threads_for(len(state.models))
        pairs = zip(state.models, state.optimizers, strict=True)
        self._steps: list[Callable] = [functools.partial(self._learn, *pair) for pair in pairs]
        self._predictions: list[Callable] = [
            functools.partial(self._predicted, model) for model in state.models
        ]
        if self._side_by_side:
            self._steps = list(map(apart, self._steps))
            self._predictions = list(map(apart, self._predictions))
        self._stopped = False
        self._fault: Exception | None = None  # of the thread that draws batches
        self._step_function = tf.function(
            lambda *arguments: workers.strategy.run(self._train_step, arguments),
            input_signature=[
                *_SIGNATURE,
                tf.TensorSpec([], tf.int64),
                tf.TensorSpec([], tf.float64),
                tf.TensorSpec([], tf.float64),
            ],
            autograph=False,
        )
        self._predict_function = tf.function(
            lambda *arguments: self._densities(Batch(*arguments)),
            input_signature=list(Batch.of(_SIGNATURE)),
            autograph=False,
        )

    def initialise(self) -> None:
        """Statistics of fresh models."""
        seen = self._seen()
        for model in self._state.models:
            model.seen.assign(seen)
        initialise_statistics(self._state.models, *self._sample())

    def adapt(self) -> None:
        """The baseline of a model that was trained elsewhere; occupancies that are new to it."""
        model, sample = self._state.model, self._sample()
        if self._run["trained"] == "all":  # else the density stays as it is
            model.seen.assign(model.seen + self._seen())
            shift_baseline(model, *sample)
        fit_occupancies(model, *sample)

    def _seen(self) -> np.ndarray:
        """(ntypes, 2) atoms and frames of each element in the data."""
        counts = self._data.frames.type_counts
        return np.stack([counts.sum(0), (counts > 0).sum(0)], 1).astype(np.int64)

    def _sample(self) -> tuple[int, Callable[[int], Sample]]:
        """Frames that stand for the data: how many, and what gives them with points."""
        rng = np.random.default_rng([self._run["seed"], 2])
        frames = self._data.frames
        chosen = frames_of_all_elements(
            frames.type_counts, _STATISTICS_EACH, _STATISTICS_FRAMES, rng
        )
        chosen = rng.permutation(chosen)
        config = replace(self._data.sampling, numb_points=_STATISTICS_POINTS)
        seeds = rng.bit_generator.seed_seq.spawn(len(chosen))

        def draw(index: int) -> Sample:
            return assemble([frames[chosen[index]]], config, [np.random.default_rng(seeds[index])])

        return len(chosen), draw

    def trace(self) -> None:
        """Make the graphs of a step and of a prediction, before the clock of `run` starts."""
        self._many_pairs = self._has_many_pairs()
        self._step_function.get_concrete_function()
        self._predict_function.get_concrete_function()

    def _has_many_pairs(self) -> bool:
        """Whether a step asks embedding nets at far more distances than nodes would do."""
        try:
            sample = Sample(*self._data.batches(0))
        except InputError:
            return False  # the first step will say so
        atoms = (sample.coord, sample.coord_splits) * 2
        center, *_ = neighbor_list(*atoms, sample.box, self._state.model.rcut, skip_self=True)
        return len(center) > 2 * NODES

    def run(self) -> None:
        """Train until numb_steps, max_time or SIGTERM; the last state is saved.

        Raises
        ------
        InputError
            Gradients or densities that are no numbers any more; data that changed on disk; files
            that cannot be written. A checkpoint to go on from is named.
        """
        state, run = self._state, self._run
        progress = _Progress(
            run["numb_steps"],
            run["max_time"],
            state.step,
            float(state.elapsed.numpy()),
            time.monotonic(),
        )
        previous = signal.signal(signal.SIGTERM, self._stop)
        try:
            self._loop(progress)
        except tf.errors.OpError:
            if not isinstance(self._fault, InputError):
                raise
            if self._workers.count == 1:  # the others may not be here
                self._display.keep()
            self._save(progress.elapsed)
            raise InputError(
                f"{self._fault}; a checkpoint of step {progress.step} is in {self._folder.path}: "
                "put the data right and go on by dd-tf train --restart"
            ) from None
        finally:
            signal.signal(signal.SIGTERM, previous)

    def _loop(self, progress: _Progress) -> None:
        display = self._display = Display(
            self._state, self._data.validation, self._workers, self._evaluate
        )
        alone, stop, unusable, fraction = self._workers.count == 1, 0.0, 0, 0.0

        def show() -> None:
            display.show(progress, float(self._rate(progress.step - 1, fraction)))

        for sample in self._dataset(progress.step):
            if alone and (self._stopped or progress.fraction >= 1):
                break
            # Workers have clocks and signals of their own: all go by the mean, and end together.
            loss, predicted, used, fraction, stop = self._step_function(
                *sample,
                tf.constant(progress.step, tf.int64),
                tf.constant(progress.fraction, tf.float64),
                tf.constant(float(self._stopped), tf.float64),
            )
            progress.step += 1
            display.add(progress.step, _arrays(sample), float(loss), _arrays(predicted), bool(used))
            unusable = 0 if used else unusable + 1
            if unusable:
                self._tell_of_skipped(progress.step, float(loss))
            if unusable == _MOST_SKIPPED:
                raise self._diverged(
                    progress.step, f"no gradient of {unusable} steps in a row is finite, up to"
                )
            if progress.step % self._run["disp_freq"] == 0:
                show()
            if progress.step % self._run["save_freq"] == 0:
                self._save_if_usable(progress, sample)
            if fraction >= 1 or stop > 0:
                break
        interrupted = stop > 0 or alone and self._stopped
        if display.pending and not interrupted:
            show()
        if progress.step != self._folder.saved_step:
            self._save_if_usable(progress, sample)

    def _tell_of_skipped(self, step: int, loss: float) -> None:
        """A line for the first, second, fourth ... of them."""
        skipped = max(int(one.skipped.numpy()) for one in self._state.optimizers)
        if skipped & (skipped - 1):
            return
        log.warning(
            "step %d: the gradient is not finite (loss %g), the weights stay; %d such so far "
            "(batch: %s)",
            step,
            loss,
            skipped,
            self._labels(step),
        )

    def _labels(self, step: int) -> str:
        return ", ".join(frame.label for frame in self._data.batches.frames_of(step - 1))

    def _diverged(self, step: int, what: str) -> InputError:
        """What to say of a step; nothing of it has been saved."""
        frames = self._labels(step)
        saved = self._folder.saved_step
        good = "no checkpoint was written yet"
        if saved is not None:
            good = f"the last good checkpoint is that of step {saved} in {self._folder.path}"
        return InputError(
            f"training: {what} step {step} (batch: {frames}); {good}; check these frames, or lower "
            "learning_rate.start_lr and start anew or go on by --restart"
        )

    def _evaluate(self, sample: Sample) -> tuple:
        """What `_densities` gives, as arrays."""
        return _arrays(self._predict_function(*Batch.of(sample)))

    def _save_if_usable(self, progress: _Progress, sample: Sample) -> None:
        """Save, unless the density of the new weights is no number (seen on a batch)."""
        density, *_ = self._evaluate(sample)
        # Asked of all workers, so that all end.
        if self._workers.total(np.array([not np.isfinite(density).all()], float)).any():
            raise self._diverged(progress.step, "the density is not finite after")
        self._display.keep()
        self._save(progress.elapsed)

    def _save(self, elapsed: float) -> None:
        self._state.elapsed.assign(elapsed)
        if self._workers.chief:
            self._folder.save()
        self._folder.saved_step = self._state.step  # known to all: they must ask alike

    def _stop(self, *_args) -> None:
        log.info("told to stop: writing a checkpoint; continue by --restart")
        self._stopped = True

    def _train_step(self, *arguments):
        *fields, step, fraction, stopped = arguments
        sample = Sample(*fields)
        fraction, stopped = average_over_workers([fraction, stopped])
        rate = self._rate(step, fraction)
        decay = self._decay(rate, step, fraction)
        losses, predicted, used = zip(*self._all_learn(sample, rate, decay), strict=True)
        loss = tf.add_n(losses) / len(losses)
        return loss, _mean(predicted), tf.reduce_all(used), fraction, stopped

    def _all_learn(self, sample: Sample, rate, decay) -> list[tuple]:
        """What `_learn` gives for each model."""
        learned: list[tuple] = []
        for step in self._steps:
            # Workers might begin two reductions in different order and wait for each other.
            before = [] if self._side_by_side else [loss for loss, *_ in learned]
            with tf.control_dependencies(before):
                learned.append(step(*sample, rate, decay))
        return learned

    def _learn(self, model: DensityModel, optimizer: AveragedMuon, *arguments) -> tuple:
        """A step of one model, from a sample's fields, the learning rate and the weight decay: its
        loss, what it predicted (`_predicted`), whether it was used.
        """
        *fields, rate, decay = arguments
        sample = Sample(*fields)
        with tf.GradientTape() as tape, interpolated_embeddings(self._many_pairs):
            predicted = self._predicted(model, *Batch.of(sample))
            density, *others = predicted
            loss = self._loss(self._loss.errors(density, sample, *others))
        gradients = tape.gradient(loss, optimizer.trained)
        loss, *gradients = average_over_workers([loss, *gradients])
        used = optimizer.apply(gradients, rate, decay, usable=tf.math.is_finite(loss))
        return loss, predicted, used

    def _densities(self, batch: Batch) -> tuple:
        """What the models predict together: the means of `_predicted`."""
        return _mean([predict(*batch) for predict in self._predictions])

    def _predicted(self, model: DensityModel, *fields) -> tuple:
        """Density channels (npoints, ndensity) at the points; electrons (nframes,) of the frames
        where tables hold them all, else None; PAW occupancies or None; first moments (nframes, 3)
        where they are learned, else None; from the fields of a batch.
        """
        batch = Batch(*fields)
        state = model.atom_state(batch.coord, batch.coord_splits, batch.atype, batch.box)
        density = tf.ensure_shape(model.point_density(state, batch), [None, model.ndensity])
        electrons = None if model.fitting.per_pair else state.electrons
        moments = None
        if self._state.config["loss"]["pref_dipole"]:
            moments = model.first_moments(state, batch.coord, batch.coord_splits)
        return density, electrons, model.occupancies(state, batch.atype), moments

    def _dataset(self, first: int) -> tf.data.Dataset:
        """Batches from step `first` on, prepared ahead of the training step."""
        types = [spec.dtype for spec in _SIGNATURE]

        def fetch(step):
            fields = tf.numpy_function(self._draw, [step], types)
            return Sample(
                *(tf.ensure_shape(f, s.shape) for f, s in zip(fields, _SIGNATURE, strict=True))
            )

        steps = tf.data.Dataset.range(first, self._run["numb_steps"])
        return steps.map(fetch, num_parallel_calls=1, deterministic=True).prefetch(4)

    def _draw(self, step) -> list[np.ndarray]:
        """One batch; TensorFlow wraps what is raised here beyond recognition, so keep it."""
        try:
            return list(self._data.batches(int(step)))
        except Exception as error:
            self._fault = error
            raise


def _mean(members: Sequence[tuple]) -> tuple:
    """Of what several models predict, None where they predict nothing."""
    if len(members) == 1:
        return members[0]

    def mean(*values):
        return None if values[0] is None else tf.add_n(values) / len(values)

    return tf.nest.map_structure(mean, *members)


def _arrays(tensors: tuple) -> tuple:
    """The same with NumPy arrays, of a named tuple too."""
    return tf.nest.map_structure(lambda tensor: None if tensor is None else tensor.numpy(), tensors)
