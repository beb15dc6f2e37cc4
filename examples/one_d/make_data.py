"""Exact densities of one-dimensional chains along molecular dynamics, as systems to train on.

Example: python make_data.py --kind insulator --natoms 8 --nframes 40 --seed 1 -o train8
         python make_data.py --kind mixed --types AABBBBBB -o train8
         python make_data.py --all mixed -o data   (data/mixed/train8, valid8, test8, ...)

Different seeds are different trajectories. The plain one, atom 1 pushed out of a chain at rest:
--displacement 0 --velocity 0 --timestep 0.01 --stride 1000. For each system one line is printed:
frames, atoms, the NMAE of a constant density (what every model must be compared with), and the
seconds it took. --all makes the standard systems of the kinds named, or of all: three to six
minutes each on one core; what is there already is left alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepdensity_tf.reference.chains import (
    KINDS,
    Kind,
    Start,
    Steps,
    blocks,
    constant_nmae,
    trajectory,
    write_chain,
)
from deepdensity_tf.utils.errors import InputError

# The chains of two types to train on: blocks of all lengths, so that the interiors of long blocks
# are known and both kinds of interface.
BLOCKS_OF_EIGHT = (
    "AAAABBBB",
    "AAABBBBB",
    "AAAAABBB",
    "AABBBBBB",
    "AAAAAABB",
    "AAAAAAAA",
    "BBBBBBBB",
)
WIDE = {"displacement": 0.6, "velocity": 0.04}


class Recipe(NamedTuple):
    """One trajectory of `--all`."""

    name: str
    types: str
    start: Start
    steps: Steps


def standard(kind: Kind) -> Iterator[Recipe]:
    """The trajectories to train, validate and test on: 80 frames of 8 atoms, or 112 if mixed.

    Longer chains meet distances between atoms that are rare among 8; half of the trajectories to
    train on therefore swing twice as far as those of the tests.
    """
    arrangements = BLOCKS_OF_EIGHT * 2 if len(kind.sigma) == 2 else (blocks(kind, 8),) * 8
    steps = Steps(nframes=8 if len(kind.sigma) == 2 else 10, stride=10)
    for index, types in enumerate(arrangements):
        start = Start(11 + index, **(WIDE if index < len(arrangements) / 2 else {}))
        yield Recipe(f"train8/{index:02d}_{types}", types, start, steps)
    types = blocks(kind, 8)
    yield Recipe("valid8/usual", types, Start(5), steps)
    yield Recipe("valid8/wide", types, Start(6, **WIDE), steps)
    yield Recipe("test8", types, Start(2), Steps(20))
    yield Recipe("test32", blocks(kind, 32), Start(3), Steps(5))
    yield Recipe("test64", blocks(kind, 64), Start(4), Steps(4))


def main() -> None:
    args = parse_arguments()
    print(f"{'system':48s} frames atoms constant_NMAE/% seconds")
    if args.all is None:
        kind = KINDS[args.kind]
        types = args.types or blocks(kind, args.natoms)
        start = Start(args.seed, args.displacement, args.velocity, args.push)
        steps = Steps(args.nframes, args.stride, args.timestep)
        make(kind, Recipe("", types, start, steps), args.output)
        return
    for name in args.all or KINDS:
        kind = KINDS[name]
        for recipe in standard(kind):
            path = args.output / name / recipe.name
            if path.exists():
                print(f"{path!s:48s} exists already")
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            make(kind, recipe, path)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--kind", choices=KINDS)
    what.add_argument("--all", nargs="*", choices=KINDS, help="the standard systems of these kinds")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--natoms", type=int, default=8, help="if mixed: half A, half B, in blocks")
    size.add_argument("--types", help="of the atoms from left to right, such as AABB")
    parser.add_argument("--nframes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--displacement", type=float, default=0.3, help="standard deviation")
    parser.add_argument("--velocity", type=float, default=0.02, help="standard deviation")
    parser.add_argument("--push", type=float, default=1.0, help="of the first atom, on top")
    parser.add_argument("--stride", type=int, default=5, help="steps from frame to frame")
    parser.add_argument(
        "--timestep", type=float, default=2.0, help="of velocity Verlet; atoms swing in 40 to 160"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to make")
    return parser.parse_args()


def make(kind: Kind, recipe: Recipe, path: Path) -> None:
    """Run one trajectory, write it, print its line."""
    begin = time.perf_counter()
    snapshots = trajectory(kind, recipe.types, recipe.start, recipe.steps)
    write_chain(path, kind, recipe.types, snapshots)
    constant = constant_nmae(np.array([moment.solution.density for moment in snapshots]))
    seconds = time.perf_counter() - begin
    print(
        f"{path!s:48s} {len(snapshots):6d} {len(recipe.types):5d} {constant:15.4f} {seconds:7.1f}",
        flush=True,
    )


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"make_data.py: {error}")
