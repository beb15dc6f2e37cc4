"""pw.x started from predicted densities, against its own start from a superposition of atoms.

    python benchmarks/restart/run.py --model water.pb --system DATA/w8 --frames 24:30 -o water.json

For each frame pw.x (Quantum ESPRESSO) runs with the input that made the data: from atoms, and from
the predicted density (startingpot = 'file'), both until converged. Each start is followed by a
single diagonalisation too (electron_maxstep = 1, mixing_beta = 1e-8): its energy is that of Harris
and Foulkes, whose error is of second order in that of the density. Prints a table, writes JSON.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io import read
from unseen import measure_frames

from deepdensity_tf.infer.deep_density import DeepDensity
from deepdensity_tf.interfaces.espresso import predict_save, pwscf_settings

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "data_recipes"))
import qe_periodic  # noqa: E402

FROM_FILE = {"startingpot": "file"}
ONE_STEP = {"electron_maxstep": 1, "diago_thr_init": 1e-9, "mixing_beta": 1e-8}


def main() -> None:
    measure_frames(__doc__, measure_in_scratch, summarise)


def measure_in_scratch(model: DeepDensity, atoms: Atoms) -> dict:
    """`measure` in a folder that is removed."""
    with tempfile.TemporaryDirectory() as work:
        return measure(model, atoms, Path(work))


def measure(model: DeepDensity, atoms: Atoms, work: Path) -> dict:
    """Iterations and energies of one structure."""
    write_input(atoms, {}, work)
    atoms_run = run_pwscf(work)
    write_input(atoms, ONE_STEP, work)
    atoms_step = run_pwscf(work)
    row = {"iterations_atoms": atoms_run["iterations"], "seconds_atoms": atoms_run["seconds"]}
    write_input(atoms, FROM_FILE, work)
    start = time.perf_counter()
    structure = read(work / "scf.in", format="espresso-in")
    waves = pwscf_settings(work / "scf.in")
    predict_save(work / "x.save", model, structure, waves)
    row["seconds_predict"] = time.perf_counter() - start
    model_run = run_pwscf(work)
    write_input(atoms, {**FROM_FILE, **ONE_STEP}, work)
    predict_save(work / "x.save", model, structure, waves)
    model_step = run_pwscf(work)
    if "read from file" not in model_run["text"]:
        raise SystemExit("pw.x did not start from the file")
    row |= {"iterations_model": model_run["iterations"], "seconds_model": model_run["seconds"]}
    to_mev = 1000 * units.Ry / len(atoms)
    for name, other in (
        ("converged", model_run),
        ("step_atoms", atoms_step),
        ("step_model", model_step),
    ):
        row[f"{name}_error_meV_per_atom"] = (other["energy"] - atoms_run["energy"]) * to_mev
    return row


def write_input(atoms: Atoms, electrons: dict, work: Path) -> None:
    """scf.in as the recipe of the data writes it, in an empty folder."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    metal = set(atoms.get_chemical_symbols()) == {"Al"}
    system = qe_periodic.SYSTEMS["aluminium" if metal else "water"]
    qe_periodic.write_input(atoms, system, (4, 4, 4) if metal else None, work, electrons)


def run_pwscf(work: Path) -> dict:
    """Iterations, last total energy (Ry), seconds and text of a run of pw.x."""
    start = time.perf_counter()
    text = subprocess.run(
        ["pw.x", "-in", "scf.in"], cwd=work, capture_output=True, text=True
    ).stdout
    energies = re.findall(r"total energy +=\s+(\S+) Ry", text)
    if not energies:
        raise SystemExit(f"pw.x failed: {' '.join(text.split()[-60:])}")
    iterations = re.findall(r"convergence.*? (\d+) iterations", text)
    return {
        "iterations": int(iterations[-1]),
        "energy": float(energies[-1]),
        "seconds": time.perf_counter() - start,
        "text": text,
    }


def summarise(rows: list[dict]) -> dict:
    """Medians of the iterations, means of the errors."""
    before = np.array([row["iterations_atoms"] for row in rows])
    after = np.array([row["iterations_model"] for row in rows])
    summary = {
        "nframes": len(rows),
        "median_iterations_atoms": float(np.median(before)),
        "median_iterations_model": float(np.median(after)),
        "median_saving_percent": float(np.median(100 * (1 - after / before))),
        "median_seconds_atoms": float(np.median([row["seconds_atoms"] for row in rows])),
        "median_seconds_model": float(
            np.median([row["seconds_model"] + row["seconds_predict"] for row in rows])
        ),
    }
    for name in ("step_atoms", "step_model", "converged"):
        errors = np.abs([row[f"{name}_error_meV_per_atom"] for row in rows])
        summary[f"{name}_mean_error_meV_per_atom"] = float(errors.mean())
        summary[f"{name}_largest_error_meV_per_atom"] = float(errors.max())
    return summary


if __name__ == "__main__":
    main()
