"""GPAW started from predicted densities and PAW occupancies, against its own start and the bound.

    dd-tf predict -m si.pb data/si_test --frames 0: -o predicted/start.npz
    PYTHONPATH=. /usr/bin/python3 benchmarks/restart/gpaw_start.py silicon \\
        --converged frames/si_test --predicted predicted -o benchmarks/restart/results/gpaw_si.json

Runs under the Python that has GPAW. `--converged` is a folder of examples/data_recipes/
gpaw_periodic.py, `--predicted` one of predictions, of the same frames among others. For each
frame and eigensolver, SCF iterations from (own) atoms, (grid) the predicted grid with the
occupancies of atoms, (model) both predicted, (bound) both converged; and the energy of the
predicted density alone (Harris-Foulkes). A run that was killed goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from gpaw import Davidson

from deepdensity_tf.interfaces.gpaw import Start, start_from
from deepdensity_tf.utils.paw_blocks import blocks_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "data_recipes"))
import gpaw_periodic  # noqa: E402

EIGENSOLVERS = {"default": {}, "davidson4": {"eigensolver": Davidson(4)}}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("system", choices=gpaw_periodic.SETTINGS)
    parser.add_argument("--converged", type=Path, required=True)
    parser.add_argument("--predicted", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--eigensolvers", nargs="+", default=list(EIGENSOLVERS))
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    pairs = pairs_of(sorted(args.converged.glob("*.npz")), sorted(args.predicted.glob("*.npz")))
    rows = json.loads(args.output.read_text())["frames"] if args.output.exists() else {}
    for converged, predicted in pairs:
        row = rows.setdefault(converged.name, {})
        for solver in args.eigensolvers:
            if solver not in row:
                row[solver] = measure(args, solver, converged, predicted)
                print(converged.name, solver, row[solver], flush=True)
                args.output.write_text(json.dumps({"frames": rows}, indent=1) + "\n")
    summary = {"occupancy_error_percent": occupancy_error(pairs), **summarise(rows)}
    print(json.dumps(summary, indent=1))
    args.output.write_text(json.dumps({**summary, "frames": rows}, indent=1) + "\n")


def pairs_of(converged: list[Path], predicted: list[Path]) -> list[tuple[Path, Path]]:
    """Each converged file with the prediction of the same cell and atoms.

    Their order is no guide: `dd-tf convert` keeps frames of one grid together.
    """
    cells = [Start.read(path).data for path in predicted]
    pairs = []
    for path in converged:
        own = Start.read(path).data
        (place,) = (
            k
            for k, other in enumerate(cells)
            if all(
                np.shape(own[key]) == np.shape(other[key])
                and np.abs(own[key] - other[key]).max() < 1e-3
                for key in ("box", "coord")
            )
        )
        pairs.append((path, predicted[place]))
    return pairs


def measure(args: argparse.Namespace, solver: str, converged: Path, predicted: Path) -> dict:
    """Iterations, seconds and energies of one frame."""
    row = {}
    starts = {
        "own": None,
        "grid": (predicted, {"occupancies": False}),
        "model": (predicted, {}),
        "bound": (converged, {}),
        "step": (predicted, {"fixed": True}),
    }
    if solver != "default":
        del starts["step"]  # the energy of a density does not depend on the solver
    for name, start in starts.items():
        atoms = atoms_of(predicted)
        settings = dict(EIGENSOLVERS[solver])
        if name == "step":
            settings["convergence"] = {"density": 1e9}
        calc = gpaw_periodic.calculator(args.system, args.repeat, **settings)
        if start is not None:
            start_from(calc, start[0], **start[1])
        atoms.calc = calc
        begin = time.perf_counter()
        moments: list[float] = []
        if atoms.has("initial_magmoms"):
            calc.attach(lambda c=calc, m=moments: m.append(moment(c)), 1)
        energy = atoms.get_potential_energy()
        seconds = time.perf_counter() - begin
        if name == "step":
            row["step_error_meV_per_atom"] = 1000 * (energy - row["energy"]) / len(atoms)
            continue
        row[f"iterations_{name}"], row[f"seconds_{name}"] = calc.scf.niter, seconds
        if moments:
            row[f"moment_{name}"] = {"first": moments[0], "last": moments[-1]}
        if name == "own":
            row["energy"] = energy
        row[f"energy_{name}_meV_per_atom"] = 1000 * (energy - row["energy"]) / len(atoms)
    return row


def atoms_of(path: Path) -> Atoms:
    """The structure of an .npz file, periodic, with its initial moments."""
    data = Start.read(path).data
    return Atoms(
        data["symbols"].tolist(),
        data["coord"],
        cell=data["box"],
        pbc=True,
        magmoms=data.get("initial_magmom"),
    )


def moment(calc) -> float:
    """Moments of the atoms in the density of this iteration, along those they began with."""
    of_atoms = calc.density.estimate_magnetic_moments()[1][:, 2]
    return float(np.sign(calc.atoms.get_initial_magnetic_moments()) @ of_atoms)


def occupancy_error(pairs) -> float:
    """Error of the occupancies beyond the mean of each element over these frames, L2, percent."""
    wrong, spread = 0.0, 0.0
    found = [[Start.read(path).occupancies() for path in pair] for pair in pairs]
    symbols = [np.array(Start.read(pair[0]).data["symbols"]) for pair in pairs]
    for element, channels in found[0][0].channels.of.items():
        rows = [
            np.concatenate([x[k].total[s == element] for x, s in zip(found, symbols, strict=True)])
            for k in (0, 1)
        ]
        for block in blocks_of(channels):
            true, ours = (row[:, block.part] for row in rows)
            wrong += ((ours - true) ** 2).sum()
            spread += ((true - (true.mean(0) if block.degree == 0 else 0)) ** 2).sum()
    return float(100 * np.sqrt(wrong / spread))


def summarise(rows: dict) -> dict:
    """Medians over the frames; saving against the own start."""
    summary: dict = {"nframes": len(rows)}
    for solver in next(iter(rows.values())):
        found = [row[solver] for row in rows.values()]
        own = np.array([row["iterations_own"] for row in found])
        for name in ("own", "grid", "model", "bound"):
            values = np.array([row[f"iterations_{name}"] for row in found])
            summary[f"{solver}_median_iterations_{name}"] = float(np.median(values))
            if name != "own":
                saving = float(np.median(100 * (1 - values / own)))
                summary[f"{solver}_median_saving_percent_{name}"] = saving
            seconds = float(np.median([row[f"seconds_{name}"] for row in found]))
            summary[f"{solver}_median_seconds_{name}"] = seconds
        if "step_error_meV_per_atom" in found[0]:
            errors = np.abs([row["step_error_meV_per_atom"] for row in found])
            summary["step_mean_error_meV_per_atom"] = float(errors.mean())
            summary["step_largest_error_meV_per_atom"] = float(errors.max())
        for name in ("own", "model") if "moment_own" in found[0] else ():
            last = np.array([row["moment_own"]["last"] for row in found])
            first = np.array([row[f"moment_{name}"]["first"] for row in found])
            largest = float(100 * np.abs(first / last - 1).max())
            summary[f"{solver}_first_moment_largest_error_percent_{name}"] = largest
    return summary


if __name__ == "__main__":
    main()
