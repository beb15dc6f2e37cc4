"""Exact densities of one-dimensional chains along molecular dynamics, as systems to train on.

Example: python make_data.py --kind insulator --natoms 8 --nframes 40 --seed 1 -o train8
         python make_data.py --all -o data    (data/KIND/train8, test8, test32, test64: minutes)

Different seeds are different trajectories. For each system one line is printed: frames, atoms, the
NMAE of a constant density (what every model must be compared with), and the seconds it took.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from deepdensity_tf.reference.chains import (
    KINDS,
    Start,
    constant_nmae,
    trajectory,
    write_chain,
)
from deepdensity_tf.utils.errors import InputError

# name: atoms, frames, seed
STANDARD = {
    "train8": (8, 80, 1),
    "test8": (8, 20, 2),
    "test32": (32, 5, 3),
    "test64": (64, 4, 4),
}


def main() -> None:
    args = parse_arguments()
    print(f"{'system':40s} frames atoms constant_NMAE/% seconds")
    if not args.all:
        make(args.kind, args.natoms, args.nframes, args.seed, args)
        return
    root = args.output
    for kind in KINDS:
        (root / kind).mkdir(parents=True, exist_ok=True)
        for name, (natoms, nframes, seed) in STANDARD.items():
            args.output = root / kind / name
            make(kind, natoms, nframes, seed, args)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--kind", choices=KINDS)
    what.add_argument("--all", action="store_true", help="the standard systems of all kinds")
    parser.add_argument("--natoms", type=int, default=8)
    parser.add_argument("--nframes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stride", type=int, default=5, help="steps from frame to frame")
    parser.add_argument(
        "--timestep", type=float, default=2.0, help="of velocity Verlet; atoms swing in 40 to 160"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to make")
    return parser.parse_args()


def make(kind: str, natoms: int, nframes: int, seed: int, args: argparse.Namespace) -> None:
    """Run one trajectory, write it, print its line."""
    start = time.perf_counter()
    snapshots = trajectory(
        KINDS[kind], natoms, Start(seed), nframes, args.stride, timestep=args.timestep
    )
    write_chain(args.output, KINDS[kind], snapshots)
    constant = constant_nmae(np.array([moment.solution.density for moment in snapshots]))
    seconds = time.perf_counter() - start
    print(
        f"{args.output!s:40s} {nframes:6d} {natoms:5d} {constant:15.4f} {seconds:7.1f}", flush=True
    )


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"make_data.py: {error}")
