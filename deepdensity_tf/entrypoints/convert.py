"""dd-tf convert: density files of DFT codes to a system to train on."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from typing import TYPE_CHECKING

from deepdensity_tf.entrypoints.options import (
    add_force,
    add_json,
    add_reading,
    positive_int,
    write_json,
)

if TYPE_CHECKING:
    from deepdensity_tf.data.assembly import ConvertedFrame

log = logging.getLogger(__name__)

# Frames that are printed one by one.
_SHOWN = 100


def add_parser(subparsers) -> None:
    """Add `dd-tf convert`."""
    parser = subparsers.add_parser(
        "convert",
        help="turn density files of DFT codes into a system",
        description="Turn Gaussian cube, VASP CHGCAR/AECCAR, XSF, Quantum ESPRESSO save folders, "
        "GPAW .gpw, NumPy .npz and systems into a system (deepmd/npy or deepmd/hdf5) with "
        "densities in electrons/Å^3, one frame a density. Files of other formulas go to systems of "
        "their own, in folders below the output; with --points all go into one mixed system. Cube "
        "files do not say whether they are periodic: without --nopbc they are taken so. Prints a "
        "table of what was read, with the integrated electrons. What a killed run has read is kept "
        "in OUTPUT.parts, and the same command goes on from there; under mpirun (with mpi4py) the "
        "processes share the files.",
        epilog="examples:\n  dd-tf convert run*/CHGCAR.gz -o data/bulk\n"
        "  dd-tf convert mol*.cube --nopbc -o data/molecule\n"
        "  dd-tf convert */CHGCAR --points 8000 --jobs 8 --skip-faulty -o data/all.hdf5\n"
        "  mpirun -n 64 dd-tf convert */CHGCAR --points 8000 -o data/all.hdf5",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="density files or systems")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="SYSTEM",
        help="folder to make, or NAME.hdf5: one file, points compressed",
    )
    add_reading(parser, "-f")
    add_force(parser)
    parser.add_argument(
        "--add",
        nargs="+",
        default=[],
        metavar="FILE",
        help="densities to add, one for each FILE (AECCAR0 to AECCAR2)",
    )
    parser.add_argument(
        "--type-map", nargs="+", metavar="ELEMENT", help="order of the types (alphabetical)"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--pbc", action="store_true", help="take as periodic")
    group.add_argument(
        "--nopbc", action="store_true", help="take as molecules: the cell only spans the grid"
    )
    parser.add_argument(
        "--points",
        type=positive_int,
        metavar="N",
        help="keep N points of each frame, drawn by density, with weights that make sums over them "
        "unbiased, and the electrons of the full grid",
    )
    parser.add_argument(
        "--potcar",
        metavar="FILE",
        help="POTCAR of the CHGCAR files: says what their PAW occupancies are, where their number "
        "does not (d and f elements)",
    )
    parser.add_argument(
        "--magmom",
        metavar="TEXT",
        help="initial moments of the atoms of every FILE, as in VASP's INCAR: '4*1 4*-1' (default: "
        "its own, where its format has them)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the draw of points (%(default)s)")
    parser.add_argument(
        "-j", "--jobs", type=positive_int, default=1, metavar="N", help="processes (%(default)s)"
    )
    parser.add_argument(
        "--skip-faulty",
        action="store_true",
        help="leave out, and list, files that cannot be used",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.data.bulk import BulkOptions, convert
    from deepdensity_tf.data.conversion import ConvertOptions
    from deepdensity_tf.utils.mpi import start_world

    pbc = True if args.pbc else False if args.nopbc else None
    options = ConvertOptions(
        args.format,
        args.type_map,
        pbc,
        args.unit,
        args.force,
        args.points,
        args.seed,
        args.potcar,
        args.magmom,
    )
    world = start_world()
    bulk = BulkOptions(args.jobs, args.skip_faulty)
    found = convert(args.files, args.add, args.output, options, bulk, world)
    if world.rank:
        return
    faulty = [{"file": file, "reason": reason} for file, reason in found.faulty.items()]
    rows = [dataclasses.asdict(row) for row in found.frames]
    write_json(args, {"files": rows, "faulty": faulty})
    if len(found.frames) <= _SHOWN:
        _print_frames(found.frames)
    else:
        _print_systems(found.frames)
    if faulty:
        print(
            f"\n{len(faulty)} of {len(faulty) + len({row.file for row in found.frames})} files "
            "left out:"
        )
        for entry in faulty:
            print(f"  {entry['file']}: {entry['reason'].removeprefix(entry['file'] + ': ')}")


def _print_frames(rows: list[ConvertedFrame]) -> None:
    print(f"{'file':40s} {'grid':>15s} {'atoms':>6s} {'pbc':>4s} {'electrons':>12s}  system")
    for row in rows:
        grid = "x".join(str(n) for n in row.grid) if row.grid else f"{row.points} points"
        print(
            f"{row.file:40s} {grid:>15s} {row.natoms:6d} {_yes(row.pbc):>4s} "
            f"{_number(row.electrons)}  {row.system}"
        )


def _print_systems(rows: list[ConvertedFrame]) -> None:
    """A line for each system."""
    print(f"{'frames':>8s} {'points':>19s} {'atoms':>12s} {'pbc':>4s}  system")
    systems: dict[str, list[ConvertedFrame]] = {}
    for row in rows:
        systems.setdefault(row.system, []).append(row)
    for system, its in systems.items():
        points, atoms = _span([row.points for row in its]), _span([row.natoms for row in its])
        print(f"{len(its):8d} {points:>19s} {atoms:>12s} {_yes(its[0].pbc):>4s}  {system}")
    print("--json has a row for each frame, with its electrons")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _number(value: float | None) -> str:
    return f"{'-':>12s}" if value is None else f"{value:12.5f}"


def _span(values: list[int]) -> str:
    least, most = min(values), max(values)
    return str(most) if least == most else f"{least} to {most}"
