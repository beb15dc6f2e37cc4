"""dd-tf view: a density to look at, in the browser or as a picture."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from deepdensity_tf.entrypoints.options import load_model, output_file, positive_float
from deepdensity_tf.entrypoints.subject import (
    add_subject,
    check_subject,
    find_subject,
    read_options,
)

if TYPE_CHECKING:
    import numpy as np

    from deepdensity_tf.plot.sections import Structure

log = logging.getLogger(__name__)

_EPILOG = """\
examples:
  dd-tf view rho.cube
  dd-tf view CHGCAR --reference other/CHGCAR -o compared.html
  dd-tf view -m frozen_model.pb POSCAR --spacing 0.2 -o predicted.html
  dd-tf view -m frozen_model.pb data/ethane -f 32 -o frame.html --png frame.png

The page (rho.html, say) needs no network. Drag rotates; the slider moves the surface; clicks on two
points (atoms
or places on a surface) draw the profile between them. Grids finer than 64^3 are shown coarser.
"""


def add_parser(subparsers) -> None:
    """Add `dd-tf view`."""
    parser = subparsers.add_parser(
        "view",
        help="isosurfaces, planes and profiles in one HTML page, or a picture of them",
        description="Show the density in a file (cube, CHGCAR, QE save folder, ...) or a frame of "
        "a density system; with -m, what a model predicts for a structure, beside the reference "
        "and their difference if the input is a density system.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_subject(parser)
    parser.add_argument(
        "--reference", metavar="FILE", help="density file on the same grid, to compare with"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=output_file,
        metavar="FILE",
        help="page (INPUT's name with .html, unless --png is given)",
    )
    parser.add_argument("--png", type=output_file, metavar="FILE", help="picture of the scene")
    parser.add_argument(
        "--level", type=positive_float, metavar="X", help="surface of --png, electrons/Å^3"
    )
    # Differences and spin densities are looked at too: what is odd is said, not refused.
    parser.set_defaults(run=run, force=True)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    _check(args)
    from deepdensity_tf.plot.pictures import check_picture, save_figure
    from deepdensity_tf.plot.view import page, picture

    if args.png:
        check_picture(args.png)
    structure, fields = _scene(args)
    title = " ".join(filter(None, (Path(args.input).resolve().name, _model_name(args))))
    output = args.output
    if output is None and not args.png:
        output = Path(args.input).resolve().with_suffix(".html").name
    if output:
        page(structure, fields, title).save(output)
        log.info("%s: written, open it in a browser", output)
    if args.png:
        save_figure(picture(structure, fields, title, args.level), args.png)
        log.info("%s: written", args.png)


def _check(args: argparse.Namespace) -> None:
    from deepdensity_tf.utils.errors import InputError

    check_subject(args)
    if args.level and not args.png:
        raise InputError("--level: goes with --png; the page has a slider")


def _model_name(args: argparse.Namespace) -> str:
    return f"({Path(args.model).name})" if args.model else ""


def _scene(args: argparse.Namespace) -> tuple[Structure, dict[str, np.ndarray]]:
    """Atoms on a grid, and the fields by name."""
    from deepdensity_tf.plot.view import compared

    found = find_subject(args, load_model(args.model) if args.model else None)
    reference = _reference(args)
    return found.structure, compared(found.density, reference)


def _reference(args: argparse.Namespace) -> np.ndarray | None:
    """The density of --reference, or that of the system a model is compared with on its grid."""
    from deepdensity_tf.analysis.subjects import stored_density

    if args.reference:
        return stored_density(args.reference, nopbc=True, options=read_options(args)).density
    own_grid = args.grid or args.spacing or args.like or args.pad
    if args.model and not own_grid and any(Path(args.input).glob("**/set.*/density.npy")):
        return stored_density(args.input, args.frame, args.nopbc, read_options(args)).density
    return None
