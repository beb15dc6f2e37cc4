"""dd-tf convert: density files of DFT codes to a system to train on."""

from __future__ import annotations

import argparse
import dataclasses
import logging

from deepdensity_tf.entrypoints.options import add_json, write_json

log = logging.getLogger(__name__)


def add_parser(subparsers) -> None:
    """Add `dd-tf convert`."""
    parser = subparsers.add_parser(
        "convert",
        help="turn density files of DFT codes into a system",
        description="Turn Gaussian cube, VASP CHGCAR/AECCAR, XSF, Quantum ESPRESSO save folders, "
        "GPAW .gpw and NumPy .npz into a deepmd/npy system with densities in electrons/Å^3; one "
        "frame a file. Files of other formulas go to systems of their own, in folders below the "
        "output. Cube files do not say whether they are periodic: without --nopbc they are taken "
        "so. Prints a table of what was read, with the integrated electrons.",
        epilog="example:\n  dd-tf convert run*/CHGCAR.gz -o data/bulk\n"
        "  dd-tf convert mol*.cube --nopbc -o data/molecule",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="density files or folders")
    parser.add_argument("-o", "--output", required=True, metavar="SYSTEM", help="folder to make")
    parser.add_argument(
        "-f", "--format", help="cube, vasp, xsf, qe, gpaw or npz (by the file's name)"
    )
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
    parser.add_argument(
        "--unit",
        choices=("e/bohr3", "e/ang3"),
        help="of cube, XSF and npz files (e/bohr3 in cube and XSF, e/ang3 in npz)",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--pbc", action="store_true", help="take as periodic")
    group.add_argument(
        "--nopbc", action="store_true", help="take as molecules: the cell only spans the grid"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.data.conversion import ConvertOptions, convert

    pbc = True if args.pbc else False if args.nopbc else None
    options = ConvertOptions(args.format, args.type_map, pbc, args.unit)
    rows = convert(args.files, args.add, args.output, options)
    write_json(args, {"files": [dataclasses.asdict(row) for row in rows]})
    print(f"{'file':40s} {'grid':>15s} {'atoms':>6s} {'pbc':>4s} {'electrons':>12s}  system")
    for row in rows:
        grid = "x".join(str(n) for n in row.grid)
        pbc = "yes" if row.pbc else "no"
        print(
            f"{row.file:40s} {grid:>15s} {row.natoms:6d} {pbc:>4s} {row.electrons:12.5f}"
            f"  {row.system}"
        )
