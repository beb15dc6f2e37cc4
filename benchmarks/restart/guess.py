"""PySCF started from predicted densities, against its own default guess.

    python benchmarks/restart/guess.py --model ethane.pb --system DATA/ethane --frames 32:40

PBE, GTH-PBE, gth-tzv2p, conv_tol 1e-9, as the data were made. Prints SCF cycles and the error of
the energy of the guessed density matrix before the first cycle (mHa), writes JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from pyscf import dft, gto

from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.data.system import DensitySystem
from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.interfaces.pyscf import init_guess


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="frozen model")
    parser.add_argument("--system", required=True, help="density system made by molecule.py")
    parser.add_argument("--frames", required=True, help="unseen frames, e.g. 32:40")
    parser.add_argument("-o", "--output", type=Path, help="JSON file of the table")
    args = parser.parse_args()
    model = DeepDensity(args.model)
    system = DensitySystem(args.system, model.type_map)
    rows = []
    for number in select_frames(args.frames, system.nframes, "--frames"):
        frame = system.frame(number)
        symbols = [model.type_map[atype] for atype in frame.atype]
        rows.append(
            {"frame": number, **measure(model, list(zip(symbols, frame.coord, strict=True)))}
        )
        print(" ".join(f"{name} {value:.5g}" for name, value in rows[-1].items()), flush=True)
    summary = {"nframes": len(rows)}
    for name in rows[0]:
        if name != "frame":
            summary[f"median_{name}"] = float(np.median([row[name] for row in rows]))
    print(json.dumps(summary, indent=1))
    if args.output:
        args.output.write_text(json.dumps({**summary, "frames": rows}, indent=1) + "\n")


def measure(model: DeepDensity, atoms: list) -> dict:
    """Cycles and first energies of one molecule."""
    mol = gto.M(atom=atoms, basis="gth-tzv2p", pseudo="gth-pbe", verbose=0)
    row = {}
    for name in ("default", "model"):
        mf = dft.RKS(mol, xc="PBE").set(conv_tol=1e-9)
        dm = init_guess(mf, model) if name == "model" else mf.get_init_guess()
        first, cycles = mf.energy_tot(dm), []
        mf.callback = lambda environment, cycles=cycles: cycles.append(environment["cycle"])
        energy = mf.kernel(dm0=dm)
        row |= {f"cycles_{name}": len(cycles), f"error_{name}_mHa": 1000 * (first - energy)}
    return row


if __name__ == "__main__":
    main()
