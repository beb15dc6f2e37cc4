"""The training for TensorBoard, which need not be installed to write its files."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from deepdensity_tf.utils.errors import InputError


class Summaries:
    """Event files of scalars.

    Parameters
    ----------
    folder : str or Path
        Where they are; each run adds a file. TensorBoard drops what earlier runs wrote past
        `step`: a restart writes it anew.
    step : int
        Last step whose values stay.

    Raises
    ------
    InputError
        The folder cannot be made or written.
    """

    def __init__(self, folder: str | Path, step: int):
        self._folder = Path(folder)
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # tf.summary's own writer has no way to say that a run goes on from a step; this one
            # is refused where operations run at once.
            with tf.Graph().as_default():
                # Names tell seconds alone; a run that ends at once must not lose its file.
                self._writer = tf.compat.v1.summary.FileWriter(
                    str(self._folder), filename_suffix=f".{step:012d}"
                )
            self._writer.add_session_log(start, step + 1)
        except (OSError, tf.errors.OpError) as error:
            raise self._not_written(error) from None
        self.flush()

    def add(self, step: int, values: dict[str, float]) -> None:
        """Values of a step, by name."""
        value = [tf.compat.v1.Summary.Value(tag=k, simple_value=v) for k, v in values.items()]
        try:
            self._writer.add_summary(tf.compat.v1.Summary(value=value), step)
        except tf.errors.OpError as error:
            raise self._not_written(error) from None

    def flush(self) -> None:
        """Put all values on disk."""
        try:
            self._writer.flush()
        except tf.errors.OpError as error:
            raise self._not_written(error) from None

    def _not_written(self, error: OSError | tf.errors.OpError) -> InputError:
        reason = error.strerror if isinstance(error, OSError) else error.message.splitlines()[0]
        return InputError(
            f"{self._folder}: cannot be written ({reason}); make room or give the rights, or "
            "choose another training.tensorboard_log_dir"
        )
