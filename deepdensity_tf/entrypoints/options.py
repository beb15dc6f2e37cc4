"""Command-line options that several sub-commands share, and checks of their values."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.grids import GridOptions

log = logging.getLogger(__name__)


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """-v and -q, without a default: they stand before or after the sub-command."""
    group = parser.add_mutually_exclusive_group()
    for flags, value, text in (
        (("-v", "--verbose"), 1, "say more, on stderr"),
        (("-q", "--quiet"), -1, "say only warnings and errors"),
    ):
        group.add_argument(
            *flags,
            dest="verbosity",
            action="store_const",
            const=value,
            default=argparse.SUPPRESS,
            help=text,
        )


def add_model(parser: argparse.ArgumentParser) -> None:
    """-m MODEL."""
    parser.add_argument(
        "-m",
        "--model",
        required=True,
        metavar="FILE",
        help="frozen model or a name of dd-tf models",
    )


def load_model(path: str) -> DeepDensity:
    """A frozen model; TensorFlow starts here."""
    from deepdensity_tf.infer.deep_density import DeepDensity

    return DeepDensity(path)


def add_systems(parser: argparse.ArgumentParser, frames: str = ":") -> None:
    """-s SYSTEM ... --frames SLICE."""
    parser.add_argument(
        "-s",
        "--system",
        required=True,
        nargs="+",
        action="extend",
        metavar="FOLDER",
        help="density system, or folder with systems in it",
    )
    parser.add_argument(
        "--frames",
        default=frames,
        metavar="SLICE",
        help="frames of each system, e.g. 32:40, 32: or 5 (default: %(default)s)",
    )


def checked(kind: Callable, test: Callable[..., bool], expected: str) -> Callable[[str], object]:
    """An argparse type: `kind` of the text, if it passes `test`; `expected` says what would."""

    def convert(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not test(value):
            raise argparse.ArgumentTypeError(f"found '{text}', expected {expected}")
        return value

    return convert


def _finite_positive(value: float) -> bool:
    return 0 < value < float("inf")


positive_int = checked(int, lambda value: value > 0, "a whole number above 0")
positive_float = checked(float, _finite_positive, "a number above 0")
output_file = checked(
    str, lambda path: Path(path).parent.is_dir(), "a file name in a folder that exists"
)


def expect_distinct(outputs: dict[str, str | Path | None], inputs: Sequence[str]) -> None:
    """Refuse to write one file twice, or over an input.

    Parameters
    ----------
    outputs : dict
        Files to be written by the names of their options; None: not asked for.
    inputs : sequence of str
        Files and folders that are read.
    """
    from deepdensity_tf.utils.errors import InputError

    taken = {Path(path.partition("#")[0]).resolve(): "an input" for path in inputs}
    for option, path in outputs.items():
        if path is None:
            continue
        other = taken.setdefault(Path(path).resolve(), option)
        if other != option:
            raise InputError(f"{path}: is {option} and {other}, expected another file for each")


def add_force(parser, also: str = "") -> None:
    """--force: go on with structures and densities that are refused as odd."""
    parser.add_argument(
        "--force",
        action="store_true",
        help="warn of an odd structure or density (atoms too close, partial occupancy, a cell too "
        "small, no plausible number of electrons) instead of refusing it" + also,
    )


def add_reading(parser, *short: str) -> None:
    """--format (and its `short` forms) and --unit of density files."""
    parser.add_argument(
        *short, "--format", help="cube, vasp, xsf, qe, gpaw or npz (by content and name)"
    )
    parser.add_argument(
        "--unit",
        choices=("e/bohr3", "e/ang3"),
        help="of cube, XSF and npz files (e/bohr3 in cube and XSF, e/ang3 in npz)",
    )


def add_json(parser) -> None:
    """--json FILE: all figures, beside the table that is printed."""
    parser.add_argument(
        "--json", type=output_file, metavar="FILE", help="write all figures to a JSON file"
    )


def write_json(args: argparse.Namespace, figures: dict) -> None:
    """What --json asks for, if it does."""
    if not args.json:
        return
    from deepdensity_tf.utils.files import atomic_path

    with atomic_path(args.json) as temporary:
        temporary.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    log.info("%s: figures written", args.json)


def add_grid(parser: argparse.ArgumentParser) -> None:
    """Options of the grid a structure's density is put on, and --nopbc."""
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument(
        "--grid", nargs=3, type=positive_int, metavar=("NX", "NY", "NZ"), help="numbers of points"
    )
    grid.add_argument(
        "--spacing",
        type=positive_float,
        metavar="Å",
        help="largest distance of points; their numbers become products of 2, 3, 5, 7 "
        "(default: the grid of a density system, else 0.1)",
    )
    grid.add_argument(
        "--like",
        metavar="FILE",
        help="grid and cell of this cube or CHGCAR file, or the grid (NGXF, NGYF, NGZF) of this "
        "OUTCAR",
    )
    parser.add_argument(
        "--pad",
        type=positive_float,
        metavar="Å",
        help="box around a molecule: distance from the outermost atoms (4); also in place "
        "of the cell of a structure that is not periodic",
    )
    add_nopbc(parser)


def add_nopbc(parser) -> None:
    """--nopbc."""
    parser.add_argument(
        "--nopbc", action="store_true", help="no periodic images, though the file has a cell"
    )


def grid_options(args: argparse.Namespace) -> GridOptions:
    """What the options of `add_grid` ask for."""
    from deepdensity_tf.formats.vasp_outcar import is_outcar, outcar_grid
    from deepdensity_tf.infer.grids import GridOptions, grid_of_file

    shape = tuple(args.grid) if args.grid else None
    if args.like and is_outcar(args.like):
        return GridOptions(outcar_grid(args.like), args.spacing, None, args.pad)
    like = grid_of_file(args.like) if args.like else None
    return GridOptions(shape, args.spacing, like, args.pad)
