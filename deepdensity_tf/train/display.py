"""What a training shows of itself: learning curve, log, errors of validation."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from deepdensity_tf.infer.metrics import Errors
from deepdensity_tf.train.checkpoint import TrainingState
from deepdensity_tf.train.lcurve import LearningCurve
from deepdensity_tf.train.optimizer import using
from deepdensity_tf.train.summaries import Summaries
from deepdensity_tf.train.validation import Validation
from deepdensity_tf.train.window import Window, error_sums, mean_errors
from deepdensity_tf.train.workers import Workers

log = logging.getLogger(__name__)

# Errors of what some models learn besides, by the key that asks for it.
_OPTIONAL = {"spin": "spin", "augmentation": "aug"}


class Progress(Protocol):
    """Where a run stands."""

    step: int

    @property
    def elapsed(self) -> float:
        """Seconds of training."""

    @property
    def remaining(self) -> float:
        """Seconds left, as far as can be told."""


class Display:
    """Gathers errors of the steps; shows them with those of validation.

    Parameters
    ----------
    state : TrainingState
        Its window of means and its best weights are changed.
    validation : Validation or None
        What the averaged weights are tried on.
    workers : Workers
        Each validates its part; the chief alone writes.
    predict : callable
        Densities, exact electrons (or None) and PAW occupancies (or None) of a sample.
    """

    def __init__(
        self,
        state: TrainingState,
        validation: Validation | None,
        workers: Workers,
        predict: Callable,
    ):
        self._state, self._validation, self._workers = state, validation, workers
        self._predict = predict
        self._run = state.config["training"]
        model = state.config["model"]
        self._errors = ["nmae", "charge"]
        self._errors += [name for key, name in _OPTIONAL.items() if model[key]]
        self._errors += ["dipole"] if state.config["loss"]["pref_dipole"] else []
        # What the best weights are best at.
        self._aim = "aug" if self._run["trained"] == "augmentation" else "nmae"
        self._window = Window(state.window, workers)
        self._curve = self._summaries = None
        if workers.chief:
            self._curve = LearningCurve(self._run["disp_file"], self._columns(), state.step)
        if workers.chief and self._run["tensorboard"]:
            self._summaries = Summaries(self._run["tensorboard_log_dir"], state.step)
        self._renew_best()
        self._begin_line()

    def _columns(self) -> list[str]:
        validation = [f"{name}_val" for name in self._errors] if self._validation else []
        training = [f"{name}_trn" for name in ("nmae", "loss", *self._errors[1:])]
        return ["step", *validation, *training, "lr", "time"]

    def _begin_line(self) -> None:
        self._start, self._points = time.monotonic(), 0

    @property
    def pending(self) -> bool:
        """Whether there are steps that no line has shown."""
        return self._points > 0

    def add(self, step: int, sample, loss: float, predicted: tuple, used: bool) -> None:
        """A step that was done; whether it was `used` for training, as its numbers were finite."""
        self._points += self._workers.count * len(predicted[0])
        if used:
            errors = Errors()
            errors.add(predicted[0], sample, *predicted[1:])
            self._window.add(loss, errors)
            if self._summaries and step % self._run["tensorboard_freq"] == 0:
                nmae = mean_errors(error_sums(errors))["nmae"]
                self._summaries.add(step, {"loss_batch": loss, "nmae_batch": nmae})

    def keep(self) -> None:
        """Put the means since the last line where checkpoints find them."""
        self._window.keep()
        if self._summaries:
            self._summaries.flush()

    def show(self, progress: Progress, rate: float) -> None:
        """Write a line; validate, and keep the weights if they are the best so far."""
        speed = self._points / (time.monotonic() - self._start)
        training = self._window.means()
        values = {f"{name}_trn": training[name] for name in ("loss", *self._errors)}
        text = f"step {progress.step:7d}  NMAE train {training['nmae']:7.3f} %"
        if self._validation is not None:
            errors = self._validate(self._state.average)
            values |= {f"{name}_val": errors[name] for name in self._errors}
            text += f"  validation {errors['nmae']:7.3f} %"
            if self._run["save_best"]:
                error = errors[self._aim]
                self._state.best.consider(error, self._state.average, progress.step)
        if self._curve is not None:
            values |= {"lr": rate, "time": progress.elapsed}
            self._curve.add(progress.step, values)
            if self._summaries:
                self._summaries.add(progress.step, values)
                self._summaries.flush()
            left = _clock(progress.remaining)
            log.info("%s  lr %.1e  %.0f points/s  %s left", text, rate, speed, left)
        self._window.clear()
        self._begin_line()

    def _validate(self, weights) -> dict[str, float]:
        """Means over the frames of validation, one after the other, each by one worker."""
        errors = Errors()
        with using(self._state.trained, weights):
            for sample in self._validation.samples(self._workers.part):
                density, *others = self._predict(sample)
                errors.add(density, sample, *others)
        return mean_errors(self._workers.total(error_sums(errors)))

    def _renew_best(self) -> None:
        """The error of the best weights so far on the validation data of this run."""
        best = self._state.best
        if self._validation is None or not self._run["save_best"]:
            best.forget()
        elif best.known:
            best.error.assign(self._validate(best.weights)[self._aim])


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{rest:02d}"
