"""The command line `dd-tf`: one module of `entrypoints` a sub-command."""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from deepdensity_tf import __version__
from deepdensity_tf.entrypoints.options import add_verbosity
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.log import setup_logging

log = logging.getLogger(__name__)

COMMANDS = (
    "convert",
    "data",
    "train",
    "freeze",
    "compress",
    "test",
    "predict",
    "show",
    "models",
    "plot",
    "view",
    "analyze",
    "model-devi",
    "config",
    "doc-train-input",
    "neighbor-stat",
    "completion",
)

_EPILOG = """\
A typical session:
  dd-tf convert calculations/*.cube -o data      densities of a DFT code into a data set
  dd-tf train input.json                         writes lcurve.out, out.json, checkpoints
  dd-tf freeze -o frozen_model.pb                one file for all that follows
  dd-tf test -m frozen_model.pb -s data          errors on data with a reference
  dd-tf predict -m frozen_model.pb POSCAR -o CHGCAR rho.cube
  dd-tf plot lcurve lcurve.out -o lcurve.png

`dd-tf COMMAND --help` explains a command, with an example.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dd-tf`.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        Exit code: 0; 2 for wrong input, with one line on stderr; 130 if interrupted;
        141 if the reader of the output went away.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        _check_command(argv)
        parser = build_parser()
        if not argv:
            parser.print_help(sys.stderr)
            return 2
        args = parser.parse_args(argv)
        setup_logging(args.verbosity)
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer would raise again when the interpreter closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("dd-tf: interrupted", file=sys.stderr)
        return 130
    except InputError as error:
        return _fail(error, str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(error, f"{where}{error.strerror or error}")
    except MemoryError as error:
        return _fail(error, f"not enough memory ({error})" if str(error) else "not enough memory")
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like all else; sub-commands get the same class."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of `dd-tf` with all its sub-commands."""
    parser = _Parser(
        prog="dd-tf",
        description="Electron densities from atomic positions: train, freeze and use Deep Density "
        "models.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dd-tf {__version__}")
    parser.set_defaults(verbosity=0)
    add_verbosity(parser)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = f"deepdensity_tf.entrypoints.{name.replace('-', '_')}"
        importlib.import_module(module).add_parser(subparsers)
    for subparser in subparsers.choices.values():
        add_verbosity(subparser)
    return parser


def _check_command(argv: Sequence[str]) -> None:
    """Options before the command take no value: the first other word is the command."""
    command = next((word for word in argv if not word.startswith("-")), None)
    if command is None or command in COMMANDS:
        return
    near = difflib.get_close_matches(command, COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"the commands are {', '.join(COMMANDS)}"
    raise InputError(f"unknown command '{command}', {hint}")


def _fail(error: BaseException, message: str) -> int:
    print(f"dd-tf: error: {' '.join(message.split())}", file=sys.stderr)
    log.debug("raised here:", exc_info=error)
    return 2
