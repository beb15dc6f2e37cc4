"""dd-tf neighbor-stat: distances and numbers of neighbours in data, as DeePMD-kit has it."""

from __future__ import annotations

import argparse
import json
import logging

from deepdensity_tf.entrypoints.options import positive_float

log = logging.getLogger(__name__)


def add_parser(subparsers) -> None:
    """Add `dd-tf neighbor-stat`."""
    parser = subparsers.add_parser(
        "neighbor-stat",
        help="shortest distance and largest numbers of neighbours in data",
        description="Print the shortest distance between atoms and the largest number of "
        "neighbours of each type within a cut-off. Nothing has to be set to them here: it shows "
        "atoms that overlap, and how many neighbours a cut-off takes in.",
        epilog="example:\n  dd-tf neighbor-stat -s data -r 4.0 -t C H",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-s", "--system", required=True, nargs="+", metavar="FOLDER", help="systems, or folders"
    )
    parser.add_argument(
        "-r", "--rcut", required=True, type=positive_float, metavar="Å", help="cut-off"
    )
    parser.add_argument(
        "-t", "--type-map", nargs="+", metavar="ELEMENT", help="types (those of the data)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.data.system import DensitySystem, find_systems
    from deepdensity_tf.infer.neighbors import neighbor_statistics

    systems = find_systems(args.system, args.type_map)
    every = list(dict.fromkeys(name for system in systems for name in system.type_map))
    found = neighbor_statistics([DensitySystem(s.files, every) for s in systems], args.rcut)
    if args.json:
        print(json.dumps(found, indent=2))
        return
    shortest = found["min_nbor_dist"]
    print(f"min_nbor_dist: {'none' if shortest is None else f'{shortest:.6f} Å'}")
    numbers = found["max_nbor_size"]
    print(f"max_nbor_size: {' '.join(f'{name}={count}' for name, count in numbers.items())}")
