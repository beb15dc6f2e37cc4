"""PySCF started from predicted densities, against its own default guess.

    python benchmarks/restart/guess.py --model ethane.pb --system DATA/ethane --frames 32:40

PBE, GTH-PBE, gth-tzv2p, conv_tol 1e-9, as the data were made. Prints SCF cycles and the error of
the energy of the guessed density matrix before the first cycle (mHa), writes JSON.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from pyscf import dft, gto
from unseen import measure_frames

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.interfaces.pyscf import init_guess


def main() -> None:
    measure_frames(__doc__, measure, summarise)


def summarise(rows: list[dict]) -> dict:
    """Medians."""
    summary = {"nframes": len(rows)}
    for name in rows[0]:
        if name != "frame":
            summary[f"median_{name}"] = float(np.median([row[name] for row in rows]))
    return summary


def measure(model: DeepDensity, molecule: Atoms) -> dict:
    """Cycles and first energies of one molecule."""
    atoms = list(zip(molecule.get_chemical_symbols(), molecule.positions, strict=True))
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
