"""How far the density feels an atom: the error a local model cannot avoid.

Example: python locality.py --kind metal --natoms 64

1. One atom of the chain at rest moves. For distances d the table has the largest |d rho / d R|
   between d and d + 10, the same relative to the largest of all, and the NMAE in percent that
   remains for a model which sees the atoms within d alone, if all atoms are displaced independently
   (to first order). The horizon of an atom-centred model is rcut + rcut_point. For chains of two
   types every atom moves in turn: --natoms 16 takes a minute.
2. The NMAE between a chain of 8 atoms and the same chain repeated, all surroundings being alike:
   what a model trained on 8 atoms must be off by on longer chains.
3. For chains of two types: the NMAE at rest of the best model that knows every block length of a
   ring of 8 and sees the types of so many atoms to either side.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from deepdensity_tf.reference import locality
from deepdensity_tf.reference.chains import KINDS, SPACING, Kind, blocks, make_chain, sites
from deepdensity_tf.utils.errors import InputError

RING = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=KINDS, default="metal")
    parser.add_argument("--natoms", type=int, default=32, help="a multiple of 8")
    parser.add_argument("--displacement", type=float, default=0.3, help="standard deviation")
    parser.add_argument("--seed", type=int, default=0, help="of the displacements in part 2")
    args = parser.parse_args()
    if args.natoms < RING or args.natoms % RING:
        raise InputError(f"--natoms: found {args.natoms}, expected a multiple of {RING}")
    kind = KINDS[args.kind]
    print(f"# {args.kind}, {args.natoms} atoms, displacements of {args.displacement}")
    response_table(kind, args.natoms, args.displacement)
    repetition_lines(kind, args.natoms // RING, args.displacement, args.seed)
    if len(kind.sigma) == 2:
        composition_lines(kind, args.natoms)


def response_table(kind: Kind, natoms: int, displacement: float) -> None:
    """Part 1."""
    chain = make_chain(kind, blocks(kind, natoms))
    derivatives = locality.responses_at_rest(chain)
    distance = locality.distances(chain, sites(chain))
    largest = np.abs(derivatives).max()
    print("# distance  max|drho/dR|  relative  floor_NMAE/%")
    for near in np.arange(0, chain.length / 2, SPACING):
        here = np.abs(derivatives[(distance >= near) & (distance < near + SPACING)]).max()
        floor = locality.floor_nmae(chain, derivatives, near, displacement)
        print(f"{near:10.0f}  {here:12.3e}  {here / largest:8.1e}  {floor:12.3e}", flush=True)


def repetition_lines(kind: Kind, times: int, displacement: float, seed: int) -> None:
    """Part 2."""
    ring = make_chain(kind, blocks(kind, RING))
    moved = sites(ring) + np.random.default_rng(seed).normal(0, displacement, RING)
    for label, positions in (("at rest", sites(ring)), ("displaced", moved)):
        nmae = locality.repetition_nmae(ring, positions, times)
        print(f"# {RING} atoms against {times} x {RING}, {label}: NMAE {nmae:.1e} %", flush=True)


def composition_lines(kind: Kind, natoms: int) -> None:
    """Part 3."""
    chain = make_chain(kind, blocks(kind, natoms))
    rings = [make_chain(kind, "A" * n + "B" * (RING - n)) for n in range(RING + 1)]
    for reach in range(1, RING // 2):
        nmae = locality.composition_nmae(chain, rings, reach)
        print(f"# types of {reach} atoms each way from rings of {RING}: NMAE {nmae:.3f} %")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"locality.py: {error}")
