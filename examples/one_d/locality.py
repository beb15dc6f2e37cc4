"""How far the density feels an atom: the error a local model cannot avoid.

Example: python locality.py --kind metal --natoms 64

One atom of the chain at rest moves. For distances d the table has the largest |d rho / d R| between
d and d + 10, the same relative to the largest of all, and the NMAE in percent that remains for a
model which sees the atoms within d alone, if all atoms are displaced independently (to first
order). The horizon of an atom-centred model is rcut + rcut_point.
"""

from __future__ import annotations

import argparse

import numpy as np

from deepdensity_tf.reference import locality
from deepdensity_tf.reference.chains import KINDS, SPACING, make_chain, sites


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    uniform = [name for name, kind in KINDS.items() if len(kind.sigma) == 1]
    parser.add_argument("--kind", choices=uniform, default="metal")
    parser.add_argument("--natoms", type=int, default=64)
    parser.add_argument("--displacement", type=float, default=0.3, help="standard deviation")
    args = parser.parse_args()

    chain = make_chain(KINDS[args.kind], args.natoms)
    rest = sites(chain)
    middle = chain.natoms // 2
    derivative = locality.response(chain, rest, middle)
    distance = locality.distances(chain, rest[middle])
    largest = np.abs(derivative).max()
    print(f"# {args.kind}, {args.natoms} atoms, displacements of {args.displacement}")
    print("# distance  max|drho/dR|  relative  floor_NMAE/%")
    for near in np.arange(0, chain.length / 2, SPACING):
        here = np.abs(derivative[(distance >= near) & (distance < near + SPACING)]).max()
        floor = locality.floor_nmae(chain, derivative, distance, near, args.displacement)
        print(f"{near:10.0f}  {here:12.3e}  {here / largest:8.1e}  {floor:12.3e}")


if __name__ == "__main__":
    main()
