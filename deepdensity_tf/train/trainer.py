"""The training loop."""

from __future__ import annotations

import logging
import math
import signal
import time
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from deepdensity_tf.data.sampler import Sample, assemble
from deepdensity_tf.loss import DensityLoss
from deepdensity_tf.model import Batch
from deepdensity_tf.model.statistics import initialise_statistics
from deepdensity_tf.train.checkpoint import CheckpointFolder, TrainingState
from deepdensity_tf.train.lcurve import LearningCurve
from deepdensity_tf.train.training_data import TrainingData
from deepdensity_tf.train.workers import Workers, average_over_workers
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)

# Frames and points for the statistics taken before training.
_STATISTICS_FRAMES = 16
_STATISTICS_POINTS = 4000

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
        self._rates = state.config["learning_rate"]
        self._loss = DensityLoss(state.config["loss"])
        self._stopped = False
        self._fault: Exception | None = None  # of the thread that draws batches
        self._step_function = tf.function(
            lambda *arguments: workers.strategy.run(self._train_step, arguments),
            input_signature=[*_SIGNATURE, tf.TensorSpec([], tf.float64)],
        )
        self._test_function = tf.function(self._test_step, input_signature=list(_SIGNATURE))

    def initialise(self) -> None:
        """Statistics of a fresh model."""
        rng = np.random.default_rng([self._run["seed"], 2])
        frames = self._data.frames
        count = min(_STATISTICS_FRAMES, len(frames))
        chosen = rng.choice(len(frames), count, replace=False)
        config = replace(self._data.sampling, numb_points=_STATISTICS_POINTS)
        sample = assemble([frames[i] for i in chosen], config, rng.spawn(count))
        initialise_statistics(self._state.model, sample)

    def run(self) -> None:
        """Train until numb_steps, max_time or SIGTERM; the last state is saved.

        Raises
        ------
        InputError
            Loss or weights that are no numbers any more; data that changed on disk; files that
            cannot be written. A checkpoint to go on from is named.
        """
        state, run = self._state, self._run
        # Traced before the clock starts: max_time counts training.
        self._step_function.get_concrete_function()
        self._test_function.get_concrete_function()
        progress = _Progress(
            run["numb_steps"],
            run["max_time"],
            state.step,
            float(state.elapsed.numpy()),
            time.monotonic(),
        )
        columns = ["step", "nmae_trn", "loss_trn", "charge_trn", "lr", "time"]
        if self._data.validation is not None:
            columns[1:1] = ["nmae_val", "charge_val"]
        curve = None
        if self._workers.chief:
            curve = LearningCurve(run["disp_file"], columns, state.step)
        previous = signal.signal(signal.SIGTERM, self._stop)
        try:
            self._loop(progress, curve)
        except tf.errors.OpError:
            if not isinstance(self._fault, InputError):
                raise
            self._save(progress)
            raise InputError(
                f"{self._fault}; a checkpoint of step {progress.step} is in {self._folder.path}: "
                "put the data right and go on by dd-tf train --restart"
            ) from None
        finally:
            signal.signal(signal.SIGTERM, previous)

    def _loop(self, progress: _Progress, curve: LearningCurve | None) -> None:
        shown, points, results = time.monotonic(), 0, []
        count = self._workers.count
        for sample in self._dataset(progress.step):
            # Workers have clocks of their own: all go by the mean, and end at the same step.
            fraction = float(count) if self._stopped else progress.fraction
            if count == 1 and fraction >= 1:
                break
            fraction, *result, finite = self._step_function(
                *sample, tf.constant(fraction, tf.float64)
            )
            if not finite:
                loss = float(result[0])
                what = (
                    "the weights are not finite after" if math.isfinite(loss) else f"loss {loss} in"
                )
                raise self._diverged(progress.step + 1, what)
            results.append([float(x) for x in result])
            progress.step += 1
            points += count * int(sample.point.shape[0])
            if progress.step % self._run["disp_freq"] == 0 or progress.step == progress.numb_steps:
                seconds = time.monotonic() - shown
                rate = float(self._rate(fraction))
                self._display(progress, curve, np.mean(results, 0), rate, points / seconds)
                shown, points, results = time.monotonic(), 0, []
            if progress.step % self._run["save_freq"] == 0:
                self._save_if_usable(progress, sample)
            if fraction >= 1:
                break
        if progress.step != self._folder.saved_step:
            self._save_if_usable(progress, sample)

    def _diverged(self, step: int, what: str) -> InputError:
        """What to say of a step; nothing of it has been saved."""
        frames = ", ".join(frame.label for frame in self._data.batches.frames_of(step - 1))
        saved = self._folder.saved_step
        good = "no checkpoint was written yet"
        if saved is not None:
            good = f"the last good checkpoint is that of step {saved} in {self._folder.path}"
        return InputError(
            f"training: {what} step {step} (batch: {frames}); {good}; check these frames, or lower "
            "learning_rate.start_lr and start anew or go on by --restart"
        )

    def _display(self, progress, curve, means, rate: float, speed: float) -> None:
        loss, absolute, charge = (float(x) for x in means)
        values = [100 * absolute, loss, 100 * charge, rate, progress.elapsed]
        text = f"step {progress.step:7d}  NMAE train {100 * absolute:7.3f} %"
        if self._data.validation is not None:
            val_absolute, val_charge = self._validate()
            values[:0] = [100 * val_absolute, 100 * val_charge]
            text += f"  validation {100 * val_absolute:7.3f} %"
        if curve is None:
            return
        curve.add(progress.step, values)
        log.info(
            "%s  lr %.1e  %.0f points/s  %s left", text, rate, speed, _clock(progress.remaining)
        )

    def _validate(self) -> list[float]:
        optimizer = self._state.optimizer
        optimizer.swap_average()
        result = self._test_function(*self._data.validation)
        optimizer.swap_average()
        return [float(x) for x in result]

    def _save_if_usable(self, progress: _Progress, sample: Sample) -> None:
        """Save, unless the density of the new weights is no number (seen on a batch)."""
        if not np.isfinite([float(x) for x in self._test_function(*sample)]).all():
            raise self._diverged(progress.step, "the density is not finite after")
        self._save(progress)

    def _save(self, progress: _Progress) -> None:
        self._state.elapsed.assign(progress.elapsed)
        if self._workers.chief:
            self._folder.save()

    def _stop(self, *_args) -> None:
        log.info("told to stop: writing a checkpoint; continue by --restart")
        self._stopped = True

    def _rate(self, fraction):
        start, stop = self._rates["start_lr"], self._rates["stop_lr"]
        return start * (stop / start) ** tf.minimum(fraction, 1)

    def _train_step(self, *arguments):
        sample, (fraction,) = Sample(*arguments[:-1]), average_over_workers([arguments[-1]])
        variables = self._state.model.trainable_variables
        with tf.GradientTape() as tape:
            errors = self._errors(sample)
            loss = self._loss(errors)
        gradients = average_over_workers(tape.gradient(loss, variables))
        self._state.optimizer.apply(gradients, self._rate(fraction))
        means = average_over_workers(
            [loss, tf.reduce_mean(errors.absolute), tf.reduce_mean(errors.charge)]
        )
        finite = [tf.reduce_all(tf.math.is_finite(x)) for x in (means[0], *variables)]
        return fraction, *means, tf.reduce_all(finite)

    def _test_step(self, *arguments):
        errors = self._errors(Sample(*arguments))
        return tf.reduce_mean(errors.absolute), tf.reduce_mean(errors.charge)

    def _errors(self, sample: Sample):
        sample = sample._replace(
            density=tf.ensure_shape(sample.density, [None, self._state.model.ndensity])
        )
        predicted = self._state.model(Batch(*sample[: len(Batch._fields)]))
        return self._loss.errors(predicted, sample)

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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{rest:02d}"
