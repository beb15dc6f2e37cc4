"""dd-tf data: every frame of data examined, before a training stumbles over it."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from deepdensity_tf.entrypoints.options import add_json, positive_float, write_json

if TYPE_CHECKING:
    from deepdensity_tf.data.examination import Fault, FrameFacts
    from deepdensity_tf.data.frame import Frame
    from deepdensity_tf.data.system import DensitySystem

log = logging.getLogger(__name__)

# Compositions, odd and faulty frames printed; --json has all.
_SHOWN = 20


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
        "Exit code 2 if a frame is faulty. Under mpirun (with mpi4py) the processes share the "
        "frames.",
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
    from deepdensity_tf.data.index import SETTLE
    from deepdensity_tf.data.system import find_systems
    from deepdensity_tf.utils.errors import InputError
    from deepdensity_tf.utils.mpi import start_world

    world = start_world()
    # What was written just before may change without a new time: its result would not be kept.
    time.sleep(SETTLE)
    start = time.time_ns()
    found = world.from_first(lambda: [find_systems(path) for path in args.paths])
    places = [
        _Place(entry, number, index)
        for entry, systems in enumerate(found)
        for number, system in enumerate(systems)
        for index in range(system.nframes)
    ]

    def examine(place: _Place) -> _Seen:
        return _examine(found[place.path][place.system], place, args.rcut)

    seen = world.spread(examine, places, len(places), "examining")
    if world.rank:
        return
    for entry, (path, systems) in enumerate(zip(args.paths, found, strict=True)):
        here = [
            s.fault
            for s, place in zip(seen, places, strict=True)
            if s.fault and place.path == entry
        ]
        kept = keep_faults(path, [system.files for system in systems], here, start)
        log.info("%s: %s", path, f"kept in {kept}" if kept else "result is not kept")
    faults = [entry.fault for entry in seen if entry.fault]
    facts = [entry.facts for entry in seen if entry.facts]
    figures = {"systems": sum(map(len, found)), **summarise(facts)}
    figures["neighbors"] = _most_neighbors(args.rcut, seen)
    figures["faulty"] = [fault.message for fault in faults]
    write_json(args, figures)
    _print(figures)
    if faults:
        raise InputError(
            f"{len(faults)} of {len(places)} frames are faulty, the first: {faults[0].message}"
        )


class _Place(NamedTuple):
    """Where a frame is."""

    path: int
    system: int
    frame: int


class _Seen(NamedTuple):
    """What is seen of a frame."""

    facts: FrameFacts | None = None  # of a sound one
    fault: Fault | None = None
    neighbors: tuple[dict[str, int], ...] = ()  # most of each element, for each cut-off


def _examine(system: DensitySystem, place: _Place, cutoffs: Sequence[float]) -> _Seen:
    from deepdensity_tf.data.examination import Fault, frame_facts
    from deepdensity_tf.utils.errors import InputError

    try:
        frame = system.frame(place.frame)
        facts = frame_facts(frame, system.type_map)
    except InputError as error:
        return _Seen(fault=Fault(place.system, place.frame, str(error)))
    return _Seen(facts, neighbors=tuple(_neighbors(frame, system.type_map, r) for r in cutoffs))


def _neighbors(frame: Frame, type_map: Sequence[str], cutoff: float) -> dict[str, int]:
    from deepdensity_tf.infer.neighbors import frame_neighbors

    _, counts = frame_neighbors(frame, cutoff, len(type_map))
    return dict(zip(type_map, counts.tolist(), strict=True))


def _most_neighbors(cutoffs: Sequence[float], seen: Sequence[_Seen]) -> list[dict]:
    """For each cut-off (Å) the largest number of neighbours of each element."""
    figures = []
    for number, cutoff in enumerate(cutoffs):
        largest: dict[str, int] = {}
        for counts in (entry.neighbors[number] for entry in seen if entry.neighbors):
            for name, count in counts.items():
                largest[name] = max(largest.get(name, 0), count)
        figures.append({"rcut": cutoff, "max": dict(sorted(largest.items()))})
    return figures


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
