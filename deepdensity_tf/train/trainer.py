"""The training loop."""

from __future__ import annotations

import logging
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
from deepdensity_tf.train.schedule import LearningRate
from deepdensity_tf.train.training_data import TrainingData
from deepdensity_tf.train.workers import Workers, average_over_workers
from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)

# Frames and points for the statistics taken before training.
_STATISTICS_FRAMES = 16
_STATISTICS_POINTS = 4000

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
        self._loss = DensityLoss(state.config["loss"])
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
            Gradients or densities that are no numbers any more; data that changed on disk; files
            that cannot be written. A checkpoint to go on from is named.
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
            self._renew_best()
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
        shown, points, results, unusable = time.monotonic(), 0, [], 0
        alone = self._workers.count == 1
        for sample in self._dataset(progress.step):
            if alone and (self._stopped or progress.fraction >= 1):
                break
            # Workers have clocks and signals of their own: all go by the mean, and end together.
            *result, used, fraction, stopped = self._step_function(
                *sample,
                tf.constant(progress.step, tf.int64),
                tf.constant(progress.fraction, tf.float64),
                tf.constant(float(self._stopped), tf.float64),
            )
            rate = float(self._rate(progress.step, fraction))
            progress.step += 1
            points += self._workers.count * int(sample.point.shape[0])
            if used:
                results.append([float(x) for x in result])
                unusable = 0
            else:
                unusable += 1
                self._tell_of_skipped(progress.step, float(result[0]))
            if unusable == _MOST_SKIPPED:
                raise self._diverged(
                    progress.step, f"no gradient of {unusable} steps in a row is finite, up to"
                )
            if progress.step % self._run["disp_freq"] == 0 or progress.step == progress.numb_steps:
                seconds = time.monotonic() - shown
                self._display(progress, curve, _means(results), rate, points / seconds)
                shown, points, results = time.monotonic(), 0, []
            if progress.step % self._run["save_freq"] == 0:
                self._save_if_usable(progress, sample)
            if fraction >= 1 or stopped > 0:
                break
        if progress.step != self._folder.saved_step:
            self._save_if_usable(progress, sample)

    def _tell_of_skipped(self, step: int, loss: float) -> None:
        """A line for the first, second, fourth ... of them."""
        skipped = int(self._state.optimizer.skipped.numpy())
        if skipped & (skipped - 1):
            return
        log.warning(
            "step %d: the gradient is not finite (loss %g), the weights stay; %d such so far "
            "(batch: %s)",
            step,
            loss,
            skipped,
            self._batch_of(step),
        )

    def _batch_of(self, step: int) -> str:
        return ", ".join(frame.label for frame in self._data.batches.frames_of(step - 1))

    def _diverged(self, step: int, what: str) -> InputError:
        """What to say of a step; nothing of it has been saved."""
        frames = self._batch_of(step)
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
            if self._run["save_best"]:
                optimizer = self._state.optimizer
                self._state.best.consider(val_absolute, optimizer.average, progress.step)
            values[:0] = [100 * val_absolute, 100 * val_charge]
            text += f"  validation {100 * val_absolute:7.3f} %"
        if curve is None:
            return
        curve.add(progress.step, values)
        log.info(
            "%s  lr %.1e  %.0f points/s  %s left", text, rate, speed, _clock(progress.remaining)
        )

    def _validate(self) -> list[float]:
        with self._state.optimizer.averaged():
            return [float(x) for x in self._test_function(*self._data.validation)[:2]]

    def _renew_best(self) -> None:
        """The error of the best weights so far on the validation data of this run."""
        best = self._state.best
        if not best.known:
            return
        if self._data.validation is None or not self._run["save_best"]:
            best.forget()
            return
        with self._state.optimizer.averaged(best.weights):
            best.error.assign(float(self._test_function(*self._data.validation)[0]))

    def _save_if_usable(self, progress: _Progress, sample: Sample) -> None:
        """Save, unless the density of the new weights is no number (seen on a batch)."""
        if not self._test_function(*sample)[-1]:
            raise self._diverged(progress.step, "the density is not finite after")
        self._save(progress)

    def _save(self, progress: _Progress) -> None:
        self._state.elapsed.assign(progress.elapsed)
        if self._workers.chief:
            self._folder.save()

    def _stop(self, *_args) -> None:
        log.info("told to stop: writing a checkpoint; continue by --restart")
        self._stopped = True

    def _train_step(self, *arguments):
        sample, (step, *agreed) = Sample(*arguments[:-3]), arguments[-3:]
        fraction, stopped = average_over_workers(agreed)
        with tf.GradientTape() as tape:
            errors = self._loss.errors(self._predict(sample), sample)
            loss = self._loss(errors)
        gradients = tape.gradient(loss, self._state.model.trainable_variables)
        means = average_over_workers(
            [loss, tf.reduce_mean(errors.absolute), tf.reduce_mean(errors.charge)]
        )
        used = self._state.optimizer.apply(
            average_over_workers(gradients),
            self._rate(step, fraction),
            usable=tf.math.is_finite(means[0]),
        )
        return *means, used, fraction, stopped

    def _test_step(self, *arguments):
        sample = Sample(*arguments)
        predicted = self._predict(sample)
        errors = self._loss.errors(predicted, sample)
        finite = tf.reduce_all(tf.math.is_finite(predicted))
        return tf.reduce_mean(errors.absolute), tf.reduce_mean(errors.charge), finite

    def _predict(self, sample: Sample):
        predicted = self._state.model(Batch(*sample[: len(Batch._fields)]))
        return tf.ensure_shape(predicted, [None, self._state.model.ndensity])

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


def _means(rows: list[list[float]]) -> np.ndarray:
    return np.mean(rows, 0) if rows else np.full(3, np.nan)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{rest:02d}"
