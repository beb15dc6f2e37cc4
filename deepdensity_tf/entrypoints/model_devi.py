"""dd-tf model-devi: the spread of an ensemble of models, frame by frame."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from deepdensity_tf.entrypoints.options import (
    add_force,
    add_json,
    add_nopbc,
    expect_distinct,
    load_model,
    output_file,
    positive_float,
    positive_int,
    write_json,
)

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.deviation import Deviation
    from deepdensity_tf.infer.structures import StructureFrame
    from deepdensity_tf.utils.mpi import World

log = logging.getLogger(__name__)

_DESCRIPTION = """\
Spread of the densities that an ensemble of models predicts, to choose frames for new reference
calculations.

The deviation of an atom is 100 times the integral of sigma over the integral of |rho|, in percent,
over the ball of --radius around it: sigma(r) is the standard deviation of the models' densities,
rho(r) their mean. Columns of the output:
  step          number of the frame times --frequency
  max_devi_rho  largest deviation of an atom (%)
  min_devi_rho  smallest (%)
  avg_devi_rho  mean over the atoms (%)
  devi_rho      of all regions together: sum of the integrals over sum of the integrals (%)
  max_sigma     largest standard deviation at a point (electrons/Å^3)
Under mpirun (with mpi4py) the processes share the frames.
"""

_EPILOG = """\
example:
  dd-tf model-devi -m a.pb b.pb c.pb -s md.traj -o model_devi.out --lo 1 --hi 5
      frames with 1 <= max_devi_rho < 5 are candidates, listed in model_devi.candidates
"""

_COLUMNS = ("max_devi_rho", "min_devi_rho", "avg_devi_rho", "devi_rho", "max_sigma")


def add_parser(subparsers) -> None:
    """Add `dd-tf model-devi`."""
    parser = subparsers.add_parser(
        "model-devi",
        help="spread of an ensemble of models, to choose new frames",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-m",
        "--models",
        nargs="+",
        required=True,
        metavar="FILE",
        help="frozen models, two or more (trained with different seeds)",
    )
    parser.add_argument(
        "-s",
        "--system",
        nargs="+",
        action="extend",
        required=True,
        metavar="PATH",
        help="density systems, folders with systems in them, or files that ASE reads",
    )
    parser.add_argument("-o", "--output", type=output_file, default="model_devi.out")
    parser.add_argument(
        "-f",
        "--frequency",
        type=positive_int,
        default=1,
        metavar="N",
        help="steps between the frames of the trajectory, for the column step (1)",
    )
    parser.add_argument(
        "--frames", default="0:", metavar="SLICE", help="frames of each system (0:)"
    )
    parser.add_argument(
        "--radius", type=positive_float, default=1.5, metavar="Å", help="of the regions (1.5)"
    )
    parser.add_argument("--lo", type=float, metavar="PERCENT", help="below: accurate")
    parser.add_argument("--hi", type=float, metavar="PERCENT", help="from here on: failed")
    parser.add_argument(
        "--candidates",
        type=output_file,
        metavar="FILE",
        help="list of the frames between: path, frame, max_devi_rho (OUTPUT with the suffix "
        ".candidates)",
    )
    parser.add_argument(
        "--atomic", action="store_true", help="add a column with the deviation of each atom (%%)"
    )
    add_nopbc(parser)
    add_force(parser)
    add_json(parser)
    parser.set_defaults(run=run)


@dataclass
class _Summary:
    """Frames of each kind so far."""

    lo: float
    hi: float
    total: int = 0
    accurate: int = 0
    failed: int = 0
    largest: float = 0.0
    candidates: list[tuple[str, int, float]] = field(default_factory=list)

    def add(self, path: str, index: int, value: float) -> None:
        self.total += 1
        self.largest = max(self.largest, value)
        if value < self.lo:
            self.accurate += 1
        elif value >= self.hi:
            self.failed += 1
        else:
            self.candidates.append((path, index, value))

    def counts(self) -> dict[str, int]:
        """Frames of each kind by name."""
        return {
            "accurate": self.accurate,
            "candidates": len(self.candidates),
            "failed": self.failed,
        }


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.utils.files import atomic_path
    from deepdensity_tf.utils.mpi import start_world

    world = start_world()
    candidates = world.from_first(lambda: _checked_candidates(args))
    models = world.together(lambda: [load_model(path) for path in args.models])
    paths, rows = _compare(args, models, world)
    if world.rank:
        return
    summary = _Summary(args.lo or 0.0, args.hi or float("inf"))
    for row in rows:
        summary.add(paths[row.place], row.frame, row.largest)
    with atomic_path(args.output) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        _write_rows(paths, rows, stream)
    log.info("%s: %d frames written", args.output, summary.total)
    write_json(args, _figures(summary, args.lo is not None))
    print(f"{summary.total} frames, largest max_devi_rho {summary.largest:.4g} %")
    if candidates:
        _report_candidates(candidates, summary)


def _checked_candidates(args: argparse.Namespace) -> str | None:
    """File of the candidates, if there is to be one; what is asked must go together."""
    from deepdensity_tf.utils.errors import InputError

    if (args.lo is None) != (args.hi is None) or (args.lo is not None and args.lo >= args.hi):
        raise InputError(f"--lo and --hi: found {args.lo} and {args.hi}, expected both, lo < hi")
    if args.candidates and args.lo is None:
        raise InputError("--candidates: needs the thresholds --lo and --hi")
    if len(args.models) < 2:
        raise InputError("--models: found one model, expected two or more")
    candidates = None if args.lo is None else _candidates_file(args)
    outputs = {"--output": args.output, "the list of --candidates": candidates, "--json": args.json}
    expect_distinct(outputs, [*args.models, *args.system])
    return candidates


def _figures(summary: _Summary, sorted_out: bool) -> dict:
    """What is printed, for --json."""
    figures = {"frames": summary.total, "max_devi_rho": summary.largest}
    return figures | (summary.counts() if sorted_out else {})


class _Compared(NamedTuple):
    """A frame and its deviation."""

    place: int  # of its path
    frame: int
    largest: float  # max_devi_rho, %
    text: str


def _compare(
    args: argparse.Namespace, models: Sequence[DeepDensity], world: World
) -> tuple[list[str], list[_Compared]]:
    """Paths of all systems and, on the first process, their frames in order."""
    from deepdensity_tf.infer.deviation import model_deviation

    def count() -> tuple[list[str], int]:
        """Systems and all frames, which are examined here."""
        paths = _single_paths(args.system)
        return paths, sum(1 for path in paths for _ in _frames(args, path))

    def compare(frame: tuple[int, StructureFrame]) -> _Compared:
        place, structure = frame
        found = model_deviation(models, structure.atoms, args.radius)
        text = _row(structure.index * args.frequency, found, args.atomic)
        return _Compared(place, structure.index, float(found.atoms.max()), text)

    paths, total = world.from_first(count)
    frames = (
        (place, frame)
        for place, path in enumerate(paths)
        for frame in _frames(args, path, examine=False)
    )
    rows = world.spread(
        compare, frames, total, "comparing", lambda row: {"max_devi_rho": row.largest}
    )
    return paths, rows


def _write_rows(paths: Sequence[str], rows: Sequence[_Compared], stream: TextIO) -> None:
    stream.write(f"# {'step':>10s}" + "".join(f"{name:>15s}" for name in _COLUMNS) + "\n")
    before = None
    for row in rows:
        if len(paths) > 1 and row.place != before:
            stream.write(f"# {paths[row.place]}\n")
        before = row.place
        stream.write(row.text)


def _frames(args: argparse.Namespace, path: str, examine: bool = True) -> Iterator[StructureFrame]:
    from deepdensity_tf.infer.structures import read_structures

    return read_structures(path, args.frames, args.nopbc, args.force, examine)


def _single_paths(given: Sequence[str]) -> list[str]:
    """Folders and HDF5 files with several systems become these systems."""
    from deepdensity_tf.data.index import indexed_layouts
    from deepdensity_tf.data.layout import may_hold_systems

    paths: list[str] = []
    for path in given:
        paths += [s.path for s in indexed_layouts(path)] if may_hold_systems(path) else [path]
    return paths


def _row(step: int, found: Deviation, atomic: bool) -> str:
    values = [found.atoms.max(), found.atoms.min(), found.atoms.mean(), found.total, found.largest]
    if atomic:
        values += list(found.atoms)
    return f"  {step:10d}" + "".join(f"{value:15.6e}" for value in values) + "\n"


def _candidates_file(args: argparse.Namespace) -> str:
    return args.candidates or str(Path(args.output).with_suffix(".candidates"))


def _report_candidates(path: str, summary: _Summary) -> None:
    from deepdensity_tf.utils.files import atomic_path

    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        stream.write("# path frame max_devi_rho\n")
        for name, index, value in summary.candidates:
            stream.write(f"{name} {index} {value:.6e}\n")
    for name, count in summary.counts().items():
        print(f"{name:<11s}{count:6d}  {100 * count / summary.total:6.2f} %")
    log.info("%s: candidates written", path)
