"""The density that analyze and view work on: its options, and reading or predicting it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from deepdensity_tf.entrypoints.options import add_grid, add_reading, grid_options

if TYPE_CHECKING:
    from deepdensity_tf.analysis.subjects import ReadOptions, Subject
    from deepdensity_tf.infer.deep_density import DeepDensity


def add_subject(parser: argparse.ArgumentParser) -> None:
    """INPUT, -m, -f, how files are read, and the grid of a prediction."""
    parser.add_argument("input", metavar="INPUT", help="density file, system, or structure with -m")
    parser.add_argument("-m", "--model", metavar="FILE", help="frozen model")
    parser.add_argument("-f", "--frame", type=int, default=0, metavar="INDEX", help="(0)")
    add_reading(parser)
    add_grid(parser)


def check_subject(args: argparse.Namespace) -> None:
    """Refuse options of a prediction without a model."""
    from deepdensity_tf.utils.errors import InputError

    grid = [name for name in ("grid", "spacing", "like", "pad") if getattr(args, name)]
    if grid and not args.model:
        raise InputError(f"--{grid[0]}: goes with -m; a stored density has its own grid")


def find_subject(args: argparse.Namespace, model: DeepDensity | None) -> Subject:
    """The density in the input, or that of the model for the structure in it."""
    from deepdensity_tf.analysis.subjects import predicted_density, stored_density

    if model is None:
        return stored_density(args.input, args.frame, args.nopbc, read_options(args))
    grid = grid_options(args)
    return predicted_density(model, args.input, args.frame, grid, args.nopbc, args.force)


def read_options(args: argparse.Namespace) -> ReadOptions:
    """What `add_reading` asks for."""
    from deepdensity_tf.analysis.subjects import ReadOptions

    return ReadOptions(args.format, args.unit, args.force)
