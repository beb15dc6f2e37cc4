"""The command line: help, mistakes, exit codes, progress and log."""

import io
import logging
import os
import subprocess
import sys
import time

import pytest

from deepdensity_tf import __version__
from deepdensity_tf.entrypoints import show
from deepdensity_tf.main import COMMANDS, main
from deepdensity_tf.utils import progress
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.log import _native_stderr_held, setup_logging


def python(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **options)


def failing(monkeypatch, error):
    def run(args):
        raise error

    monkeypatch.setattr(show, "run", run)


def test_help_is_quick():
    def seconds():
        start = time.perf_counter()
        command = [sys.executable, "-m", "deepdensity_tf", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert all(name in done.stdout for name in COMMANDS) and "A typical session" in done.stdout
        return time.perf_counter() - start

    # The best of three: the machine may be busy.
    assert min(seconds() for _ in range(3)) < 1.0


def test_parser_imports_nothing_heavy():
    code = (
        "import sys; from deepdensity_tf.main import build_parser; build_parser();"
        "print([m for m in ('tensorflow', 'numpy', 'ase', 'rich') if m in sys.modules])"
    )
    assert python(code).stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_an_example(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0 and "example" in out and f"dd-tf {command} " in out


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out == f"dd-tf {__version__}\n"


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    assert "A typical session" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("trian", "did you mean 'train'?"),
        ("Freeze", "did you mean 'freeze'?"),
        ("predikt", "did you mean 'predict'?"),
        ("xyz", f"the commands are {', '.join(COMMANDS)}"),
    ],
)
def test_mistyped_command(capsys, word, hint):
    assert main(["-q", word, "input.json"]) == 2
    assert capsys.readouterr().err == f"dd-tf: error: unknown command '{word}', {hint}\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a.json: found 3,\n expected 4"), 2, "error: a.json: found 3, expected 4"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device"),
        (PermissionError(13, "Permission denied", "x.pb"), 2, "error: x.pb: Permission denied"),
        (MemoryError("1 TiB"), 2, "error: not enough memory (1 TiB)"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_exit_codes(capsys, monkeypatch, error, code, line):
    failing(monkeypatch, error)
    assert main(["show", "x.pb"]) == code
    assert capsys.readouterr() == ("", f"dd-tf: {line}\n")


def test_bugs_are_not_hidden(monkeypatch):
    failing(monkeypatch, ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        main(["show", "x.pb"])


def test_reader_that_goes_away_is_no_error():
    code = (
        "import sys; from deepdensity_tf.entrypoints import show\n"
        "def run(args):\n    for i in range(100000): print('line', i)\n"
        "show.run = run; from deepdensity_tf.main import main; sys.exit(main(['show', 'x']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.parametrize(
    ("arguments", "level"),
    [
        (["show", "x"], logging.INFO),
        (["-v", "show", "x"], logging.DEBUG),
        (["show", "x", "--verbose"], logging.DEBUG),
        (["-q", "show", "x"], logging.WARNING),
        (["show", "-q", "x"], logging.WARNING),
    ],
)
def test_verbosity_before_and_after_the_command(monkeypatch, arguments, level):
    seen = []
    monkeypatch.setattr(
        show, "run", lambda args: seen.append(logging.getLogger("deepdensity_tf").level)
    )
    assert main(arguments) == 0
    assert seen == [level]


def test_log_goes_to_stderr_once(capsys):
    setup_logging(0)
    setup_logging(0)
    log = logging.getLogger("deepdensity_tf.test")
    log.info("a figure")
    log.warning("a doubt")
    log.debug("a detail")
    assert capsys.readouterr() == ("", "a figure\nwarning: a doubt\n")


def test_tensorflow_starts_silently():
    code = (
        "from deepdensity_tf.utils.log import setup_logging, import_tensorflow\n"
        "setup_logging(); import_tensorflow()\nimport tensorflow as tf; tf.constant(1.0)"
    )
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = python(code, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_keras_starts_when_it_is_asked_for():
    code = (
        "import sys; from deepdensity_tf.utils.log import import_tensorflow\n"
        "import_tensorflow(); assert not {'keras', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        "from tensorflow.keras import layers\n"
        "import tensorflow as tf; print(tf.keras.layers.Dense(2)(tf.ones((1, 3))).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "(1, 2)", done.stderr


def test_held_lines_are_shown_after_a_failure(capfd):
    with _native_stderr_held():
        os.write(2, b"noise\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), _native_stderr_held():
        os.write(2, b"the reason\n")
        raise ImportError
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "the reason\nlater\n"


class Clock:
    """time.monotonic under control."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_progress_lines_are_few(capsys, clock):
    setup_logging(0)
    with progress.track(100_000, "training", "steps") as advance:
        for _ in range(100_000):
            clock.now += 1
            advance(nmae=2.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 10 of 100000 steps, 1 steps/s, nmae 2.5, 27:46:30 remaining"
    # Every 10 s up to 100 s, then at times that grow by a tenth: ln(1000) / ln(1.1) = 72.
    assert 60 <= len(lines) <= 85


@pytest.mark.parametrize(("verbosity", "seconds"), [(0, 9), (-1, 90)])
def test_progress_is_silent_when_quick_or_quiet(capsys, clock, verbosity, seconds):
    setup_logging(verbosity)
    with progress.track(10, "testing", "frames") as advance:
        clock.now += seconds
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_progress_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    setup_logging(0)
    with progress.track(10, "testing", "frames") as advance:
        advance(4, nmae=1.5)
        logging.getLogger("deepdensity_tf").info("a line between")
        advance(6, nmae=1.25)
    text = sys.stderr.getvalue()
    assert "testing" in text and "10/10" in text and "frames/s" in text and "nmae 1.25" in text
    assert "a line between" in text
