"""dd-tf plot: pictures of a training and of a model's errors."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from deepdensity_tf.entrypoints.options import (
    add_force,
    add_model,
    add_systems,
    add_verbosity,
    load_model,
    output_file,
)

if TYPE_CHECKING:
    import numpy as np

    from deepdensity_tf.plot.sections import Structure

log = logging.getLogger(__name__)

_EPILOG = """\
examples:
  dd-tf plot lcurve lcurve.out -o lcurve.png
  dd-tf plot lcurve --follow -o lcurve.html
  dd-tf plot parity -m frozen_model.pb -s data/ethane --frames 32: -o parity.png
  dd-tf plot slice -m frozen_model.pb -s data/ethane -f 32 -o slice.png
  dd-tf plot line -m frozen_model.pb -s data/ethane -f 32 --bond 0 1 -o line.png
"""


def add_parser(subparsers) -> None:
    """Add `dd-tf plot`."""
    parser = subparsers.add_parser(
        "plot",
        help="pictures: learning curve, parity, slice, line profile",
        description="Write a picture; its name chooses the format (.png, .pdf, .svg).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = parser.add_subparsers(title="pictures", metavar="PICTURE", required=True)
    _add_lcurve(kinds)
    _add_parity(kinds)
    _add_slice(kinds)
    _add_line(kinds)
    for kind in kinds.choices.values():
        add_verbosity(kind)


def _add_lcurve(kinds) -> None:
    parser = kinds.add_parser("lcurve", help="error, loss and learning rate against the step")
    parser.add_argument("lcurve", nargs="?", default="lcurve.out", help="(lcurve.out)")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="keep a page (.html) up to date while a training runs, until interrupted",
    )
    _add_output(parser, "lcurve.png", _lcurve)
    parser.set_defaults(run=_run_lcurve)


def _add_parity(kinds) -> None:
    parser = kinds.add_parser("parity", help="model against reference, error by density")
    add_model(parser)
    add_systems(parser)
    add_force(parser)
    _add_output(parser, "parity.png", _parity)


def _add_slice(kinds) -> None:
    parser = kinds.add_parser(
        "slice", help="reference, model and difference in a plane through the atoms"
    )
    _add_frame(parser)
    parser.add_argument(
        "--axis",
        choices=("a", "b", "c"),
        help="cell vector the plane cuts (default: the one along which the atoms spread least)",
    )
    parser.add_argument(
        "--plane",
        type=int,
        metavar="INDEX",
        help="grid plane (default: through the atom nearest to the centre of mass)",
    )
    _add_output(parser, "slice.png", _slice)


def _add_line(kinds) -> None:
    parser = kinds.add_parser(
        "line", help="profile through a bond or along a cell vector, with the error"
    )
    _add_frame(parser)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--bond", nargs=2, type=int, metavar=("I", "J"), help="atoms, from 0")
    way.add_argument("--axis", choices=("a", "b", "c"), help="grid line along a cell vector")
    parser.add_argument(
        "--through", type=int, default=0, metavar="I", help="atom that --axis passes (0)"
    )
    _add_output(parser, "line.png", _line)


def _add_frame(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("-s", "--system", required=True, metavar="FOLDER", help="density system")
    parser.add_argument("-f", "--frame", type=int, default=0, metavar="INDEX", help="frame (0)")
    add_force(parser)


def _add_output(parser: argparse.ArgumentParser, default: str, draw: Callable) -> None:
    """-o, and what draws the picture."""
    parser.add_argument(
        "-o", "--output", type=output_file, default=default, metavar="FILE", help=f"({default})"
    )
    parser.set_defaults(run=run, draw=draw)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.plot.pictures import check_picture, save_figure

    check_picture(args.output)
    save_figure(args.draw(args), args.output)
    log.info("%s: written", args.output)


def _run_lcurve(args: argparse.Namespace) -> None:
    if not args.follow:
        run(args)
        return
    from deepdensity_tf.plot.live import follow
    from deepdensity_tf.utils.errors import InputError

    output = "lcurve.html" if args.output == "lcurve.png" else args.output
    if not output.endswith(".html"):
        raise InputError(f"{output}: --follow writes a page, expected a name that ends in .html")
    log.info("%s: open it in a browser; Ctrl-C ends this command", output)
    try:
        follow(args.lcurve, output)
    except KeyboardInterrupt:
        log.info("%s: no longer followed", output)


def _lcurve(args: argparse.Namespace):
    from deepdensity_tf.plot.pictures import learning_curve, read_lcurve

    return learning_curve(read_lcurve(args.lcurve))


def _parity(args: argparse.Namespace):
    import numpy as np

    from deepdensity_tf.data.frames import FrameList
    from deepdensity_tf.infer.frames import choose_frames, predict_frame
    from deepdensity_tf.plot.pictures import parity
    from deepdensity_tf.utils.progress import track

    model = load_model(args.model)
    chosen = choose_frames(args.system, model.type_map, args.frames)
    pred, ref = [], []
    nframes = sum(len(entry.indices) for entry in chosen)
    with track(nframes, "predicting", "frames") as advance:
        for entry in chosen:
            for frame in FrameList([entry.system], [entry.indices], force=args.force):
                pred.append(predict_frame(model, frame))
                ref.append(np.ravel(frame.density))
                advance()
    names = ", ".join(entry.name for entry in chosen[:3]) + (", ..." if len(chosen) > 3 else "")
    plural = "s" if nframes > 1 else ""
    title = f"{names}: {nframes} frame{plural}"
    return parity(np.concatenate(pred), np.concatenate(ref), title)


def _slice(args: argparse.Namespace):
    from deepdensity_tf.plot.pictures import slices
    from deepdensity_tf.plot.sections import central_index, flattest_axis, plane

    structure, pred, ref, label = _predicted_frame(args)
    axis = "abc".index(args.axis) if args.axis else flattest_axis(structure)
    index = central_index(structure, axis) if args.plane is None else args.plane
    section = plane(structure, axis, index)
    title = f"{label}, plane {index} across {'abc'[axis]} ({section.height:.2f} Å)"
    return slices(section, pred.take(index, axis), ref.take(index, axis), title)


def _line(args: argparse.Namespace):
    from deepdensity_tf.plot.pictures import profile
    from deepdensity_tf.plot.sections import axis_line, bond_line, interpolate

    structure, pred, ref, label = _predicted_frame(args)
    if args.bond:
        line = bond_line(structure, *args.bond)
    else:
        line = axis_line(structure, "abc".index(args.axis), args.through)
    # Both are known on the grid and interpolated alike: what differs is the model's error.
    values = (interpolate(structure, field, line.points) for field in (pred, ref))
    return profile(line, *values, label)


def _predicted_frame(args: argparse.Namespace) -> tuple[Structure, np.ndarray, np.ndarray, str]:
    """Atoms, densities of model and reference on the grid, and a name with the NMAE."""
    import numpy as np

    from deepdensity_tf.data.checks import report_frame
    from deepdensity_tf.infer.frames import add_frame_errors, choose_frames, structure_of
    from deepdensity_tf.infer.metrics import Errors
    from deepdensity_tf.utils.errors import InputError

    model = load_model(args.model)
    chosen = choose_frames([args.system], model.type_map, str(args.frame), option="-f")
    if len(chosen) != 1:
        raise InputError(f"{args.system}: holds {len(chosen)} systems, expected one")
    (index,) = chosen[0].indices
    frame = chosen[0].system.frame(index)
    label = f"{chosen[0].name}, frame {index}"
    if frame.grid_shape is None:
        raise InputError(f"{args.system}: frame {index} has loose points, expected a full grid")
    report_frame(frame, model.type_map, args.force)
    errors, pred = add_frame_errors(Errors(), model, frame, label)
    ref = np.ravel(frame.density)
    structure = structure_of(frame, model.type_map)
    shape = structure.grid.shape
    ref = ref.astype(np.float64)
    return (
        structure,
        pred.reshape(shape),
        ref.reshape(shape),
        f"{label}, NMAE {errors['nmae']:.2f} %",
    )
