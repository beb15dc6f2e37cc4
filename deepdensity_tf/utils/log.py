"""What is said on stderr: our log lines, and not TensorFlow's start-up noise."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deepdensity_tf.utils.garbage import uncollected

_ONE_AT_A_TIME = threading.RLock()  # of two threads, one would put the other's file back as stderr
_LEVELS = {-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}


class _StderrHandler(logging.Handler):
    """Prints to whatever sys.stderr is at that moment, so that a live progress bar can move."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    """The message alone; warnings and errors carry their level."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"{record.levelname.lower()}: {text}" if record.levelno > logging.INFO else text


def setup_logging(verbosity: int = 0) -> None:
    """Send the package's log to stderr and silence TensorFlow's.

    Must be called before TensorFlow is imported; calling it again changes the level.

    Parameters
    ----------
    verbosity : int
        -1: warnings and errors; 0: progress and results as well; 1: details as well.
    """
    logger = logging.getLogger("deepdensity_tf")
    logger.setLevel(_LEVELS[verbosity])
    # Libraries (absl among them) give the root logger a handler: lines would come twice.
    logger.propagate = False
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        handler = _StderrHandler()
        handler.setFormatter(_Formatter())
        logger.addHandler(handler)
    _quieten_tensorflow()


def import_tensorflow() -> None:
    """Import TensorFlow without Keras, and without what its native code writes before its log is
    set up.

    If the import fails, those lines appear after all. Does nothing if it is imported already.
    """
    if "tensorflow" in sys.modules:
        return
    with quiet_tensorflow(), _keras_left_out(), uncollected():
        import tensorflow  # noqa: F401


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Load TensorFlow without what its native code writes before its log is set up."""
    _quieten_tensorflow()
    with _ONE_AT_A_TIME, _native_stderr_held():
        yield


@contextmanager
def _keras_left_out() -> Iterator[None]:
    """TensorFlow loads Keras, and with it pyplot and pandas, on trial: a third of its time.

    It goes without this module where there is none; `tf.keras` is loaded when it is used.
    """
    names = ("keras.src.optimizers", "tf_keras.src.optimizers")
    missing = [name for name in names if name not in sys.modules]
    for name in missing:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)


def _quieten_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def _native_stderr_held() -> Iterator[None]:
    """Keep back what is written to file descriptor 2; show it only if the block raises."""
    import shutil
    import tempfile

    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            with open(stderr, "wb", closefd=False) as stream:
                shutil.copyfileobj(held, stream)
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
