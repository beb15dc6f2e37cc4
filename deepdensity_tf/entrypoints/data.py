"""dd-tf data: every frame of data examined, before a training stumbles over it."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from deepdensity_tf.entrypoints.options import add_json, positive_float, write_json

if TYPE_CHECKING:
    from deepdensity_tf.data.examination import Fault, FrameFacts
    from deepdensity_tf.data.frame import Frame
    from deepdensity_tf.data.system import DensitySystem

log = logging.getLogger(__name__)

# Compositions, odd and faulty frames printed; --json has all.
_SHOWN = 20
# What was written just before may still change without a new time: only later is the result kept.
_SETTLE = 0.06


def add_parser(subparsers) -> None:
    """Add `dd-tf data`."""
    parser = subparsers.add_parser(
        "data",
        help="examine every frame of data",
        description="Read every frame and print compositions, elements, electrons, grid spacings, "
        "distances, and the frames that are odd or faulty. Electrons of an element are a least "
        "squares fit over the compositions: numbers of valence electrons, where one set of "
        "pseudopotentials made all data. The faulty frames are kept beside the data by sizes "
        "and times of the files; train then refuses them at once and need not check the others. "
        "Exit code 2 if a frame is faulty.",
        epilog="example:\n  dd-tf data data/train data/more.hdf5 --rcut 4 6 --json data.json",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="systems, folders with systems, HDF5 files"
    )
    parser.add_argument(
        "-r",
        "--rcut",
        nargs="+",
        type=positive_float,
        default=[],
        metavar="Å",
        help="count the neighbours within these cut-offs",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.data.examination import keep_faults, summarise
    from deepdensity_tf.data.system import find_systems
    from deepdensity_tf.utils.errors import InputError
    from deepdensity_tf.utils.progress import track

    time.sleep(_SETTLE)
    start = time.time_ns()
    found = [find_systems(path) for path in args.paths]
    neighbors = _Neighbors(args.rcut)
    facts: list[FrameFacts] = []
    faults: list[Fault] = []
    total = sum(system.nframes for systems in found for system in systems)
    with track(total, "examining", "frames") as advance:
        for path, systems in zip(args.paths, found, strict=True):
            here = _examine(systems, facts, neighbors, advance)
            kept = keep_faults(path, [system.files for system in systems], here, start)
            log.info("%s: %s", path, f"kept in {kept}" if kept else "result is not kept")
            faults += here
    figures = {"systems": sum(map(len, found)), **summarise(facts)}
    figures["neighbors"] = neighbors.figures()
    figures["faulty"] = [fault.message for fault in faults]
    write_json(args, figures)
    _print(figures)
    if faults:
        raise InputError(
            f"{len(faults)} of {total} frames are faulty, the first: {faults[0].message}"
        )


def _examine(
    systems: Sequence[DensitySystem],
    facts: list[FrameFacts],
    neighbors: _Neighbors,
    advance: Callable[..., None],
) -> list[Fault]:
    """Add what is seen of sound frames to `facts`; the faulty ones."""
    from deepdensity_tf.data.examination import Fault, frame_facts
    from deepdensity_tf.utils.errors import InputError

    faults = []
    for number, system in enumerate(systems):
        for index in range(system.nframes):
            try:
                frame = system.frame(index)
                facts.append(frame_facts(frame, system.type_map))
            except InputError as error:
                faults.append(Fault(number, index, str(error)))
            else:
                neighbors.add(frame, system.type_map)
            advance()
    return faults


class _Neighbors:
    """Largest numbers of neighbours within cut-offs (Å); TensorFlow starts if there is one."""

    def __init__(self, cutoffs: Sequence[float]):
        self._found: dict[float, dict[str, int]] = {cutoff: {} for cutoff in cutoffs}
        if cutoffs:
            from deepdensity_tf.utils.log import import_tensorflow

            import_tensorflow()

    def add(self, frame: Frame, type_map: Sequence[str]) -> None:
        """Count those of a frame."""
        if not self._found:
            return
        from deepdensity_tf.infer.neighbors import frame_neighbors

        for cutoff, largest in self._found.items():
            _, counts = frame_neighbors(frame, cutoff, len(type_map))
            for name, count in zip(type_map, counts.tolist(), strict=True):
                largest[name] = max(largest.get(name, 0), count)

    def figures(self) -> list[dict]:
        """For each cut-off the largest number of neighbours of each element."""
        return [{"rcut": rcut, "max": dict(sorted(n.items()))} for rcut, n in self._found.items()]


def _print(figures: dict) -> None:
    print(f"{figures['frames']} sound frames of {figures['systems']} systems")
    for key, label, unit in (
        ("atoms", "atoms", ""),
        ("points", "points", ""),
        ("electrons_per_atom", "electrons an atom", ""),
        ("spacing", "grid spacing", " Å"),
        ("closest", "closest atoms", " Å"),
    ):
        if figures[key]:
            low, mean, high = (figures[key][name] for name in ("min", "mean", "max"))
            print(f"{label:20s}{low:.6g} to {high:.6g}{unit}, mean {mean:.6g}{unit}")
    for entry in figures["neighbors"]:
        numbers = " ".join(f"{name}={count}" for name, count in entry["max"].items())
        print(f"{'most neighbours':20s}within {entry['rcut']:g} Å: {numbers}")
    print(f"\n{'element':10s}{'atoms':>12s}{'frames':>10s}{'electrons':>12s}")
    for name, entry in figures["elements"].items():
        fitted = "-" if entry["electrons"] is None else f"{entry['electrons']:.2f}"
        print(f"{name:10s}{entry['atoms']:12d}{entry['frames']:10d}{fitted:>12s}")
    compositions = [f"{name}: {count} frames" for name, count in figures["compositions"].items()]
    _print_some("compositions", compositions)
    _print_some("odd frames", [f"{entry['frame']}: {entry['reason']}" for entry in figures["odd"]])
    _print_some("faulty frames", figures["faulty"])


def _print_some(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    print(f"\n{len(lines)} {title}")
    for line in lines[:_SHOWN]:
        print(f"  {line}")
    if len(lines) > _SHOWN:
        print(f"  ... and {len(lines) - _SHOWN} more (--json has all)")
