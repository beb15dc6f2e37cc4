"""Train with a stated time, test on unseen frames and larger systems, write the figures.

    python benchmarks/accuracy/run.py --data DATA ethane         one system
    python benchmarks/accuracy/run.py --data DATA                all of them
    python benchmarks/accuracy/run.py --data DATA --curve        error against the number of frames
    python benchmarks/accuracy/run.py --data DATA --molecules    error against that of molecules
    python benchmarks/accuracy/run.py --data DATA --ablations    ethane with one piece changed

A training takes all cores (`taskset -c 0 python ...` leaves it one). DATA is a folder with the
reference systems (examples/data_recipes and examples/one_d make them; a missing one is left out and
said so). Inputs are in inputs/, figures go to results/NAME.json; report.py turns them into
RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from systems import ABLATIONS, STUDY_MODEL, SYSTEMS, Test

from deepdensity_tf import DeepDensity
from deepdensity_tf.analysis.electrostatics import hartree_energy
from deepdensity_tf.analysis.moments import dipole
from deepdensity_tf.formats import Grid
from deepdensity_tf.infer.frames import choose_frames, predict_frame

HERE = Path(__file__).resolve().parent
# Valence electrons of the pseudopotentials.
CORE_CHARGES = dict(H=1, B=3, C=4, N=5, O=6, F=7, Mg=2, Al=3, Si=4, S=6, Cl=7, As=5)
_ERRORS = ("nframes", "nmae", "nmae_median", "nmae_worst", "rmse", "max_error")
CURVE_FRAMES = (1, 2, 4, 8, 16, 32)
CURVE_POINTS = (100, 500, 2000, 8000)
SHORT_SECONDS = 30
MOLECULES = (24, 48, 96, 193)
MOLECULES_SECONDS = 240


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SYSTEMS))
    parser.add_argument("--data", required=True, type=Path, help="folder of the reference systems")
    parser.add_argument("--work", type=Path, default=HERE / "run", help="scratch folder")
    parser.add_argument("--curve", action="store_true", help="learning curve over frames (ethane)")
    parser.add_argument("--molecules", action="store_true", help="learning curve over molecules")
    parser.add_argument("--ablations", action="store_true", help="ethane with one piece changed")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(SYSTEMS))
    if unknown:
        parser.error(f"unknown system {', '.join(unknown)}")
    (HERE / "results").mkdir(exist_ok=True)
    studies = {"curve": learning_curves, "molecules": curve_of_molecules, "ablations": ablations}
    asked = [study for name, study in studies.items() if getattr(args, name)]
    for study in asked:
        study(args)
    if asked:
        return
    for name in args.names or SYSTEMS:
        config = json.loads((HERE / "inputs" / f"{name}.json").read_text())
        tests = [t for t in SYSTEMS[name] if (args.data / t.path).is_dir()]
        for missing in [t for t in SYSTEMS[name] if t not in tests]:
            print(f"{name}: no data for {missing.label} ({args.data / missing.path})", flush=True)
        if tests:
            save(name, train_and_test(name, config, tests, args))


def short_run(name: str, model: dict, data: dict, args: argparse.Namespace) -> dict:
    """Ethane for a short time, with changes to the model and the training data sections."""
    config = json.loads((HERE / "inputs" / "ethane.json").read_text())
    config["model"].update(STUDY_MODEL | model)
    config["training"]["training_data"].update(data)
    config["training"]["max_time"] = SHORT_SECONDS
    result = train_and_test(name, config, SYSTEMS["ethane"][:1], args)
    print(f"{name:30s} NMAE {result['tests'][0]['nmae']:.3f} %", flush=True)
    return result


def learning_curves(args: argparse.Namespace) -> None:
    """Error on unseen ethane frames against frames, and against points a frame and step."""
    frames = [
        {"frames": n, **short_run(f"curve_frames_{n}", {}, {"frames": f"0:{n}"}, args)}
        for n in CURVE_FRAMES
    ]
    points = [
        {"points": n, **short_run(f"curve_points_{n}", {}, {"numb_points": n}, args)}
        for n in CURVE_POINTS
    ]
    save("curve", {"seconds": SHORT_SECONDS, "frames": frames, "points": points})


def curve_of_molecules(args: argparse.Namespace) -> None:
    """Error on molecules never seen against the number of those trained on."""
    known = sorted(path.name for path in (args.data / "organics" / "train").iterdir())
    order = np.random.default_rng(0).permutation(known)
    rows = []
    for count in MOLECULES:
        config = json.loads((HERE / "inputs" / "organics.json").read_text())
        config["training"]["max_time"] = MOLECULES_SECONDS
        systems = [f"data/organics/train/{name}" for name in order[:count]]
        config["training"]["training_data"]["systems"] = systems
        result = train_and_test(f"molecules_{count}", config, SYSTEMS["organics"], args)
        print(f"{count} molecules: NMAE {result['tests'][0]['nmae']:.3f} %", flush=True)
        rows.append({"molecules": count, **result})
        save("molecules", {"seconds": MOLECULES_SECONDS, "rows": rows})


def ablations(args: argparse.Namespace) -> None:
    """Error on unseen ethane frames with one piece of the model changed."""
    rows = [
        {"label": label, **short_run(f"ablation_{k}", change, {}, args)}
        for k, (label, change) in enumerate(ABLATIONS.items())
    ]
    save("ablations", {"seconds": SHORT_SECONDS, "rows": rows})


def save(name: str, result: dict) -> None:
    """Write results/NAME.json and its line on the screen."""
    (HERE / "results" / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    for test in result.get("tests", []):
        print(f"{name:18s} {test['label']:32s} NMAE {test['nmae']:.3f} %", flush=True)


def train_and_test(name: str, config: dict, tests: list[Test], args: argparse.Namespace) -> dict:
    """Figures of one training."""
    work = fresh_folder(args, name)
    (work / "input.json").write_text(json.dumps(config, indent=4))
    start = time.time()
    dd_tf(work, "train", "input.json")
    seconds = time.time() - start
    dd_tf(work, "freeze")
    model = DeepDensity(work / "frozen_model.pb")
    curve = np.atleast_1d(np.genfromtxt(work / "lcurve.out", names=True))
    completed = json.loads((work / "out.json").read_text())
    return {
        "npass": completed["model"]["descriptor"]["npass"],
        "models": completed["training"]["numb_models"],
        "parameters": model.info["nparameters"],
        "seconds": seconds,
        "steps": int(curve["step"][-1]),
        "train_frames": trained_frames(work),
        "lcurve": {key: curve[key].tolist() for key in ("time", "nmae_val", "nmae_trn")},
        "tests": [figures(work, test, model, args.data) for test in tests],
    }


def fresh_folder(args: argparse.Namespace, name: str) -> Path:
    """A scratch folder with nothing but a link to the data."""
    work = args.work / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    os.symlink(args.data.resolve(), work / "data")
    return work


def trained_frames(work: Path) -> int:
    """Frames that the training's log says it took."""
    log = (work / "log.txt").read_text(encoding="utf-8")
    return sum(int(n) for n in re.findall(r"training_data: (\d+) frames", log))


def dd_tf(work: Path, *arguments: str) -> None:
    """Run dd-tf in `work`; its output goes to log.txt there."""
    with open(work / "log.txt", "a", encoding="utf-8") as log:
        command = [sys.executable, "-m", "deepdensity_tf", *arguments]
        subprocess.run(command, cwd=work, stdout=log, stderr=log, check=True)


def tested(work: Path, path: str, frames: str) -> dict:
    """What `dd-tf test` says of the frozen model in `work` on frames of a system of the data."""
    arguments = ("-m", "frozen_model.pb", "-s", f"data/{path}", "--frames", frames)
    dd_tf(work, "test", *arguments, "--json", "errors.json")
    return json.loads((work / "errors.json").read_text())["all"]


def figures(work: Path, test: Test, model: DeepDensity, data: Path) -> dict:
    """Errors of `dd-tf test`, of a constant density, and of derived quantities."""
    errors = tested(work, test.path, test.frames)
    chosen = choose_frames([str(data / test.path)], model.type_map, test.frames)
    frames = [each.system.frame(index) for each in chosen for index in each.indices]
    return {
        "label": test.label,
        "asked": test.asked,
        **{key: errors[key] for key in _ERRORS},
        "electrons_error": errors.get("electrons_mae"),
        "electrons": frames[0].electrons,
        "constant_nmae": float(np.mean([constant_nmae(frame.density) for frame in frames])),
        **derived_errors(model, frames),
        **spin_error(model, frames),
    }


def constant_nmae(density: np.ndarray) -> float:
    """NMAE of the frame's mean density, percent."""
    density = np.asarray(density, dtype=float)
    return float(100 * np.abs(density - density.mean()).sum() / np.abs(density).sum())


def derived_errors(model: DeepDensity, frames: list) -> dict:
    """Mean errors of the dipole (molecules) and the Hartree energy over full grids."""
    rows = []
    for frame in frames:
        if frame.grid_shape is None:
            return {}
        grid = Grid(frame.grid_shape, frame.box)
        densities = [
            np.reshape(density, frame.grid_shape).astype(float)
            for density in (predict_frame(model, frame), frame.density)
        ]
        energies = [hartree_energy(density, grid, frame.pbc) for density in densities]
        charges = np.array([CORE_CHARGES[model.type_map[t]] for t in frame.atype])
        # Without a grid, which near a nucleus counts the reference's electrons wrong, too.
        box = frame.box if frame.pbc else None
        integral = float(model.eval_electrons(frame.coord, box, frame.atype)[0])
        row = {"hartree_error": abs(energies[0] - energies[1]), "hartree": energies[1]}
        row["integral_error"] = abs(integral - charges.sum())
        if not frame.pbc:
            moments = [dipole(density, grid, frame.coord, charges) for density in densities]
            row["dipole_error"] = float(np.linalg.norm(moments[0] - moments[1]))
            row["dipole"] = float(np.linalg.norm(moments[1]))
        rows.append(row)
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def spin_error(model: DeepDensity, frames: list) -> dict:
    """100 sum |error of the spin density| / sum |spin density|, mean over frames."""
    if not model.has_spin:
        return {}
    values = []
    for frame in frames:
        found = model.eval_grid(
            frame.coord, frame.box, frame.atype, frame.grid_shape, pbc=frame.pbc, spin=True
        ).ravel()
        reference = np.asarray(frame.spin_density, dtype=float)
        values.append(100 * np.abs(found - reference).sum() / np.abs(reference).sum())
    return {"spin_nmae": float(np.mean(values))}


if __name__ == "__main__":
    main()
