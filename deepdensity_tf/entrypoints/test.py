"""dd-tf test: errors of a frozen model on data with a reference."""

from __future__ import annotations

import argparse
import logging

from deepdensity_tf.entrypoints.options import (
    add_force,
    add_json,
    add_model,
    add_systems,
    load_model,
    output_file,
    positive_int,
    write_json,
)

log = logging.getLogger(__name__)

# Up to so many frames are listed one by one without being asked.
_FEW_FRAMES = 20


def add_parser(subparsers) -> None:
    """Add `dd-tf test`."""
    parser = subparsers.add_parser(
        "test",
        help="errors of a frozen model on data with reference densities",
        description="Compare a frozen model with reference densities: NMAE, RMSE, largest error "
        "and electrons for each system and frame, and errors in each decile of the density. Under "
        "mpirun (with mpi4py) the processes share the frames, with --detail the systems.",
        epilog="examples:\n"
        "  dd-tf test -m frozen_model.pb -s data/ethane --frames 32: --json test.json\n"
        "  dd-tf test -m ensemble.pb -s data/validation --calibrate calibrated.pb",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
    add_systems(parser)
    parser.add_argument(
        "-n",
        "--max-frames",
        type=positive_int,
        metavar="N",
        help="at most N frames of each system, the first ones",
    )
    parser.add_argument(
        "-d",
        "--detail",
        type=output_file,
        metavar="PREFIX",
        help="write PREFIX.<system>.npz with arrays pred_<frame> and ref_<frame>, electrons/Å^3",
    )
    parser.add_argument(
        "--calibrate",
        type=output_file,
        metavar="FILE",
        help="write a copy of an ensemble (dd-tf freeze -c A B ...) that knows from these frames "
        "how its error goes with its members' deviation; they must be frames that no member was "
        "trained on",
    )
    add_force(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.utils.mpi import start_world

    world = start_world()
    from deepdensity_tf.infer.evaluate import evaluate
    from deepdensity_tf.infer.frames import choose_frames
    from deepdensity_tf.infer.occupancies import occupancy_errors

    model = world.together(lambda: load_model(args.model))
    chosen = world.from_first(
        lambda: choose_frames(args.system, model.type_map, args.frames, args.max_frames)
    )
    report = {
        "model": args.model,
        **evaluate(model, chosen, args.detail, args.force, world),
    }
    if model.augmentation is not None:
        report["occupancies"] = occupancy_errors(model, chosen, world)
    if world.rank:
        return
    write_json(args, report)
    print(format_report(report, list_frames=args.verbosity > 0))
    if args.calibrate:
        _calibrate(args, model, chosen, report)


def _calibrate(args: argparse.Namespace, model, chosen, report: dict) -> None:
    from deepdensity_tf.infer.uncertainty import calibrate, write_calibrated

    found = calibrate(model, chosen, [entry["nmae"] for entry in report["frames"]])
    write_calibrated(args.model, args.calibrate, found)
    log.info(
        "%s: calibrated on %d frames: error %.3g times the deviation, within a factor of %.3g, "
        "rank correlation %.2f",
        args.calibrate,
        found["frames"],
        found["factor"],
        found["scatter"],
        found["rank_correlation"],
    )


def format_report(report: dict, list_frames: bool = False) -> str:
    """Tables of `infer.evaluate.evaluate` for people.

    Parameters
    ----------
    report : dict
        Result of `evaluate`.
    list_frames : bool
        List the frames one by one even if they are many.
    """
    parts = []
    if list_frames or len(report["frames"]) <= _FEW_FRAMES:
        parts.append(_frame_table(report["frames"]))
    parts += [_system_table(report), _decile_table(report["deciles"])]
    note = f"{report['definition']}; of a set: the mean over its frames."
    if report["all"]["sampled"]:
        note += "\nestimate: the points are a sample, not a full grid; so are figures over them."
    parts.append(_occupancy_lines(report.get("occupancies", {})))
    return "\n\n".join(part for part in [*parts, note] if part)


def _occupancy_lines(errors: dict[str, dict]) -> str:
    lines = []
    for name, entry in errors.items():
        spin = f", spin {entry['spin_error']:.2f} %" if "spin_error" in entry else ""
        lines.append(f"{name}: {entry['error']:.2f} %{spin} ({entry['atoms']} atoms)")
    head = "PAW occupancies, error beyond the mean of the element (root of sums of squares)"
    return "\n".join([head, *lines]) if lines else ""


def _frame_table(frames: list[dict]) -> str:
    header = ["system", "frame", "NMAE %", "MAE", "RMSE", "max error", "electrons", "reference"]
    spin = any(entry["spin_nmae"] is not None for entry in frames)
    header += ["spin NMAE %"] if spin else []
    likely = any(entry["expected_nmae"] is not None for entry in frames)
    header += ["expected NMAE %"] if likely else []
    rows = [
        [
            entry["system"],
            str(entry["frame"]),
            _nmae(entry["nmae"], entry["sampled"]),
            f"{entry['mae']:.3e}",
            f"{entry['rmse']:.3e}",
            f"{entry['max_error']:.3e}",
            _number(entry["electrons_pred"]),
            _number(entry["electrons_ref"]),
            *([_number(entry["spin_nmae"])] if spin else []),
            *([f"{entry['expected_nmae']:.3f}"] if likely else []),
        ]
        for entry in frames
    ]
    return "frames (electrons/Å^3)\n" + _table(header, rows)


def _system_table(report: dict) -> str:
    header = ["system", "frames", "NMAE %", "of sums", "median", "worst", "MAE", "RMSE"]
    spin = report["all"]["spin_nmae"] is not None
    header += ["max error", "|electron error|", *(["spin NMAE %"] if spin else [])]
    entries = report["systems"]
    if len(entries) > 1:
        entries = [*entries, {"system": "all", **report["all"]}]
    rows = [
        [
            entry["system"],
            str(entry["nframes"]),
            _nmae(entry["nmae"], entry["sampled"]),
            f"{entry['nmae_of_sums']:.3f}",
            f"{entry['nmae_median']:.3f}",
            f"{entry['nmae_worst']:.3f}",
            f"{entry['mae']:.3e}",
            f"{entry['rmse']:.3e}",
            f"{entry['max_error']:.3e}",
            _number(entry["electrons_mae"]),
            *([_number(entry["spin_nmae"])] if spin else []),
        ]
        for entry in entries
    ]
    return (
        f"systems (electrons/Å^3)\n{_table(header, rows)}\nworst: {report['all']['worst']}, "
        f"{report['all']['nmae_worst']:.3f} %"
    )


def _decile_table(deciles: list[dict]) -> str:
    if not deciles:
        return ""
    header = ["decile", "density from", "to", "NMAE %", "MAE", "bias", "share of error %"]
    rows = [
        [
            str(place),
            f"{row['lower']:.2e}",
            f"{row['upper']:.2e}",
            "-" if row["nmae"] is None else f"{row['nmae']:.4g}",
            f"{row['mae']:.2e}",
            f"{row['bias']:+.2e}",
            f"{row['share']:.1f}",
        ]
        for place, row in enumerate(deciles, 1)
    ]
    return "points by density, ten equal groups of each frame (electrons/Å^3)\n" + _table(
        header, rows
    )


def _nmae(value: float, sampled: bool) -> str:
    return f"{value:.3f} (estimate)" if sampled else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    """Columns as wide as they need, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = []
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
