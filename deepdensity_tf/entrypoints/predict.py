"""dd-tf predict: the density of structures, on a grid, as files."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deepdensity_tf.entrypoints.options import (
    add_force,
    add_grid,
    add_model,
    grid_options,
    load_model,
    output_file,
    positive_float,
)
from deepdensity_tf.entrypoints.predict_files import (
    check_not_input,
    file_options,
    spare_chgcar,
    warn_chgcar,
)

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.formats import Grid
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.prediction import Prediction, PredictOptions
    from deepdensity_tf.infer.structures import StructureFrame
    from deepdensity_tf.utils.mpi import World

log = logging.getLogger(__name__)


def add_parser(subparsers) -> None:
    """Add `dd-tf predict`."""
    parser = subparsers.add_parser(
        "predict",
        help="density of structures as cube, CHGCAR or NumPy files, or to start pw.x from",
        description="Evaluate a frozen model on a regular grid. Periodic structures get their "
        "cell as grid; molecules without a cell an upright box around the atoms. With --frames a "
        "trajectory is read frame by frame; a run that was killed goes on when the same command is "
        "given again, and under mpirun (with mpi4py) the processes share the frames.",
        epilog="examples:\n"
        "  dd-tf predict -m frozen_model.pb POSCAR -o CHGCAR rho.cube\n"
        "  dd-tf predict -m frozen_model.pb molecule.xyz --spacing 0.15 --pad 5 -o rho.cube\n"
        "  dd-tf predict -m frozen_model.pb data/ethane -f 32 --electrons 14 -o rho.npy\n"
        "  dd-tf predict -m frozen_model.pb scf.in -o x.save     # pw.x: startingpot = 'file'\n"
        "  mpirun -n 4 dd-tf predict -m frozen_model.pb md.traj --frames ::10 -o out/rho.npy",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model(parser)
    parser.add_argument(
        "structure", metavar="STRUCTURE", help="any file that ASE reads, or a density system folder"
    )
    parser.add_argument(
        "-o",
        "--output",
        nargs="+",
        action="extend",
        type=output_file,
        metavar="FILE",
        help="NAME.cube, CHGCAR* or NAME.vasp, NAME.xsf, NAME.npy (grid in C order, "
        "electrons/Å^3), NAME.npz (with atoms and PAW occupancies: for GPAW), PREFIX.save (folder "
        "for pw.x); default: rho.cube",
    )
    frames = parser.add_mutually_exclusive_group()
    frames.add_argument(
        "-f", "--frame", type=int, default=0, metavar="INDEX", help="frame of STRUCTURE (0)"
    )
    frames.add_argument(
        "--frames",
        metavar="SLICE",
        help="frames of a trajectory, e.g. 0: (all; mpirun keeps a lone ':' for itself) or "
        "100::10; the number of the frame comes before the suffix of each output "
        "(rho.000012.cube, CHGCAR.000012)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="with --frames: begin anew instead of going on with the files of an earlier run",
    )
    add_force(parser, "; replace a CHGCAR that is there already")
    add_grid(parser)
    parser.add_argument(
        "--ecutrho",
        type=positive_float,
        metavar="RY",
        help="for PREFIX.save: pw.x's cut-off of the density, 4 ecutwfc unless its input says "
        "otherwise (default: that of STRUCTURE, if it is an input of pw.x)",
    )
    parser.add_argument(
        "--hdf5",
        action="store_true",
        help="for PREFIX.save: charge-density.hdf5, for a pw.x built with HDF5",
    )
    parser.add_argument(
        "--augmentation",
        metavar="FILE",
        help="for CHGCAR: PAW occupancies from this CHGCAR of VASP, atom by atom where the atoms "
        "are the same, else means over each element",
    )
    parser.add_argument(
        "--potcar",
        metavar="FILE",
        help="for CHGCAR: refuse a model whose PAW occupancies or electrons are not those of this "
        "POTCAR",
    )
    parser.add_argument(
        "--electrons",
        type=positive_float,
        metavar="N",
        help="rescale to exactly N electrons; spin density and gradient take the same factor",
    )
    parser.add_argument(
        "--gradient",
        action="store_true",
        help="write d rho/d r too, (nx, ny, nz, 3) in electrons/Å^4, to NAME.gradient.npy",
    )
    parser.add_argument(
        "--magmom",
        metavar="TEXT",
        help="signs of the atoms' initial moments, for models that take them: as in VASP's INCAR, "
        "'4*1 4*-1', in the order of STRUCTURE (default: its own, where its format has them)",
    )
    parser.add_argument(
        "--spin",
        action="store_true",
        help="write the spin density (up minus down) too, to NAME.spin.SUFFIX beside each output; "
        "CHGCAR, .npz and save folders hold both, the first two without being asked",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.formats import file_format
    from deepdensity_tf.utils.errors import InputError
    from deepdensity_tf.utils.mpi import start_world

    outputs = args.output or ["rho.cube"]
    for path in outputs:
        file_format(path)
        check_not_input(path, [args.structure, args.like, args.model, args.augmentation])
        if args.frames is None and file_format(path) == "qe" and Path(path).exists():
            raise InputError(f"{path}: exists already, choose another name or remove it")
        spare_chgcar(path, args)
    if args.overwrite and args.frames is None:
        raise InputError("--overwrite: goes with --frames; a single frame is always written anew")
    world = start_world()
    if args.frames is not None:
        _predict_many(args, outputs, world)
    elif world.rank == 0:  # one structure is work for one process
        _predict_one(args, outputs)


def _load(args: argparse.Namespace) -> DeepDensity:
    from deepdensity_tf.utils.errors import InputError

    model = load_model(args.model)
    if args.magmom is not None and not model.has_initial_magmom:
        raise InputError(f"--magmom: {args.model} was trained without initial moments")
    return model


def _predict_one(args: argparse.Namespace, outputs: list[str]) -> None:
    from deepdensity_tf.formats.vasp_potcar import check_channels, check_valence
    from deepdensity_tf.infer.grids import choose_grid, warn_outside
    from deepdensity_tf.infer.prediction import output_files, write_prediction
    from deepdensity_tf.infer.structures import read_structure

    model = _load(args)
    options = _options(args, outputs, model)
    structure = read_structure(args.structure, args.frame, args.nopbc, args.force, args.magmom)
    grid = choose_grid(structure, options.grid)
    warn_outside(structure.atoms, grid)
    _log_expected(model, structure)
    if args.potcar:
        check_channels(model.augmentation, args.potcar, structure.atoms.get_chemical_symbols())
    prediction = _predict(model, structure, grid, options)
    if args.potcar:
        check_valence(prediction.electrons, args.potcar, prediction.atoms)
    _log_electrons(model, prediction, options.electrons)
    for quantity, path in output_files(outputs, options.quantities):
        write_prediction(prediction, quantity, path, options.files)
        log.info("%s: %s written", path, quantity.replace("spin", "spin density"))
    warn_chgcar(outputs, model, options)


def _predict_many(args: argparse.Namespace, outputs: list[str], world: World) -> None:
    from deepdensity_tf.infer.structures import read_structures
    from deepdensity_tf.infer.trajectory import Run, predict_trajectory

    model = _load(args)
    options = _options(args, outputs, model)
    run = Run(
        model=model,
        model_file=args.model,
        frames=lambda examine: read_structures(
            args.structure, args.frames, args.nopbc, args.force, examine, args.magmom
        ),
        options=options,
        outputs=outputs,
    )
    start = time.perf_counter()
    done = predict_trajectory(run, world, args.overwrite)
    elapsed = time.perf_counter() - start
    log.info("%d frames in %.1f s, %.3g frames/s", done, elapsed, done / elapsed)
    warn_chgcar(outputs, model, options)


def _options(args: argparse.Namespace, outputs: list[str], model: DeepDensity) -> PredictOptions:
    from dataclasses import replace

    from deepdensity_tf.formats import file_format
    from deepdensity_tf.infer.prediction import PredictOptions

    files = replace(file_options(args, outputs), comment=_provenance(args, model))
    grid = replace(grid_options(args), waves=files.waves)
    with_spin = model.has_spin and any(file_format(o) in ("vasp", "npz") for o in outputs)
    return PredictOptions(grid, args.electrons, args.spin or with_spin, args.gradient, files)


def _provenance(args: argparse.Namespace, model: DeepDensity) -> str:
    """Where a predicted density comes from, for files that have room for a comment."""
    from deepdensity_tf import __version__

    data = str(model.info.get("data_checksum", "unknown"))
    return (
        f"Predicted by deepdensity_tf {__version__} from {Path(args.structure).name}, model "
        f"{Path(args.model).name}, trained on data {data[:19]}"
    )


def _predict(
    model: DeepDensity, structure: StructureFrame, grid: Grid, options: PredictOptions
) -> Prediction:
    """The prediction, with its progress and speed in the log."""
    from deepdensity_tf.infer.prediction import predict
    from deepdensity_tf.utils.progress import track_until

    log.info(
        "grid %d x %d x %d, %d points of %.3g Å^3",
        *grid.shape,
        grid.npoints,
        grid.volume_element,
    )
    start = time.perf_counter()
    with track_until(grid.npoints, "predicting", "points") as progress:
        prediction = predict(model, structure, grid, options, progress)
    elapsed = time.perf_counter() - start
    log.info("%.2f s, %s points/s", elapsed, f"{grid.npoints / elapsed:,.0f}")
    return prediction


def _model_frame(model: DeepDensity, atoms: Atoms) -> tuple:
    """Positions, box and types as the model's evaluations take them."""
    box = atoms.cell.array if atoms.pbc.any() else None
    return atoms.positions, box, model.types_of(atoms)


def _log_expected(model: DeepDensity, structure: StructureFrame) -> None:
    """What a calibrated ensemble knows of its error, and where it knows nothing."""
    from deepdensity_tf.infer.uncertainty import expected_error

    likely = expected_error(model, *_model_frame(model, structure.atoms))
    if likely is None:
        return
    log.info("%s", likely)
    for doubt in likely.doubts:
        log.warning("outside of what the model knows, its error may be far larger: %s", doubt)


def _log_electrons(model: DeepDensity, prediction: Prediction, asked: float | None) -> None:
    """Electrons on the grid, and what was done to their number."""
    valence = model.training_script["model"].get("electrons")
    if valence:
        coord, box, atype = _model_frame(model, prediction.atoms)
        wanted = sum(valence[t] for t in model.elements_of(atype))
        found = model.eval_electrons(coord, box, atype)[0]
        log.info(
            "the model conserves electrons: %.6f before, %.6f after, a correction of %.4f %%",
            found,
            wanted,
            100 * (wanted - found) / wanted,
        )
    log.info("%.6f electrons on the grid", prediction.electrons)
    if asked:
        factor = asked / prediction.electrons
        log.info("density times %.8f: %.12g electrons", factor, asked)
