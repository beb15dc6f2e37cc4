"""dd-tf analyze: what a density says of charges, dipole and electrostatics."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from deepdensity_tf.entrypoints.options import (
    add_force,
    add_json,
    checked,
    load_model,
    output_file,
    write_json,
)
from deepdensity_tf.entrypoints.subject import (
    add_subject,
    check_subject,
    find_subject,
    read_options,
)

if TYPE_CHECKING:
    import numpy as np

    from deepdensity_tf.analysis.hirshfeld import ProAtom
    from deepdensity_tf.analysis.subjects import Subject
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.plot.sections import Line

log = logging.getLogger(__name__)

_EPILOG = """\
examples:
  dd-tf analyze CHGCAR --planar c planar.txt --potential v.cube
  dd-tf analyze rho.cube --nopbc --charges C=4 H=1 --hirshfeld frozen_model.pb --json out.json
  dd-tf analyze -m frozen_model.pb POSCAR --hirshfeld --profile line.txt --bond 0 1
  dd-tf analyze rho.cube --minus fragment1.cube fragment2.cube --difference diff.cube

Potentials are potential energies of an electron in eV (in a cube: hartree): positive near
electrons, negative near cores. Bader charges: by a program of their own, for instance
  dd-tf predict -m frozen_model.pb POSCAR -o CHGCAR && baderkit bader CHGCAR
"""


def add_parser(subparsers) -> None:
    """Add `dd-tf analyze`."""
    parser = subparsers.add_parser(
        "analyze",
        help="electrons, dipole, Hartree energy, potential, Hirshfeld charges, profiles",
        description="Analyse the density in a file (cube, CHGCAR, QE save folder, ...), that of a "
        "frame of a density system, or, with -m, that which a model predicts for a structure. "
        "Figures go to stdout.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_subject(parser)
    add_force(parser)
    _add_atoms(parser)
    _add_files(parser)
    parser.set_defaults(run=run)


def _add_atoms(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("atoms")
    group.add_argument(
        "--charges",
        nargs="+",
        type=_element_charge,
        metavar="EL=Z",
        help="charges of the cores, e.g. C=4 H=1 (the electrons of the neutral atom that are in "
        "the density; default: those the model conserves); dipole and potential need them",
    )
    group.add_argument(
        "--core-width",
        type=checked(float, lambda value: value >= 0, "a number, 0 or more"),
        default=0.0,
        metavar="Å",
        help="cores are Gaussians of this standard deviation (0: points)",
    )
    group.add_argument(
        "--hirshfeld",
        nargs="*",
        metavar="SOURCE",
        help="Hirshfeld charges; pro-atoms from a frozen model (default: that of -m) or from "
        "EL=FILE for each element: the density of a single atom, or a table r (Å), density in "
        ".txt, .dat or .csv; scaled to be neutral where --charges are known",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files")
    add_json(group)
    group.add_argument(
        "--potential",
        type=output_file,
        metavar="FILE",
        help="potential of the electrons and, with charges, the cores (.cube: hartree; .npy: eV)",
    )
    group.add_argument(
        "--minus", nargs="+", metavar="FILE", help="densities to subtract, on the same grid"
    )
    group.add_argument(
        "--difference", type=output_file, metavar="FILE", help="what --minus leaves, as predict"
    )
    group.add_argument(
        "--planar",
        nargs=2,
        metavar=("AXIS", "FILE"),
        help="averages over planes across cell vector a, b or c, as a table",
    )
    group.add_argument(
        "--profile", type=output_file, metavar="FILE", help="values along a line, as a table"
    )
    way = group.add_mutually_exclusive_group()
    way.add_argument("--bond", nargs=2, type=int, metavar=("I", "J"), help="through two atoms")
    way.add_argument(
        "--line",
        nargs=6,
        type=float,
        metavar=("X", "Y", "Z", "X2", "Y2", "Z2"),
        help="between two points (Å)",
    )


def _element_charge(text: str) -> tuple[str, float]:
    element, _, value = text.partition("=")
    try:
        return element, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"found '{text}', expected e.g. C=4") from None


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    _check(args)
    from deepdensity_tf.analysis.electrostatics import core_potential, hartree_potential
    from deepdensity_tf.analysis.report import analyse, core_charges, format_report
    from deepdensity_tf.analysis.subjects import difference

    model = load_model(args.model) if args.model else None
    subject = find_subject(args, model)
    structure = subject.structure
    charges = _charges(args, model)
    pro_atoms = _pro_atoms(args, model, structure.symbols, charges or {})
    hartree = hartree_potential(subject.density, structure.grid, structure.pbc)
    report = {"input": args.input, "model": args.model, "frame": args.frame}
    report |= analyse(structure, subject.density, hartree, charges, pro_atoms)
    fields = {"density": subject.density, "potential": hartree}
    if charges is not None:
        fields["potential"] = hartree + core_potential(
            structure.grid,
            structure.coord,
            core_charges(structure, charges),
            structure.pbc,
            args.core_width,
        )
    if args.minus:
        fields["difference"] = difference(subject, args.minus, read_options(args))
    _write(args, subject, fields)
    write_json(args, report)
    print(format_report(report))


def _check(args: argparse.Namespace) -> None:
    """Options that need each other, and names of files, before the work begins."""
    from deepdensity_tf.formats import file_format
    from deepdensity_tf.utils.errors import InputError

    check_subject(args)
    if args.hirshfeld == [] and not args.model:
        raise InputError("--hirshfeld: name a frozen model or EL=FILE (or give -m)")
    if bool(args.minus) != bool(args.difference):
        raise InputError("--minus and --difference go together")
    if bool(args.profile) != bool(args.bond or args.line):
        raise InputError("--profile goes with --bond or --line")
    if args.planar:
        axis, path = args.planar
        if axis not in ("a", "b", "c"):
            raise InputError(f"--planar: found axis {axis!r}, expected a, b or c")
        _checked_output(path)
    if args.difference:
        file_format(args.difference)
    if args.potential and file_format(args.potential) not in ("cube", "npy"):
        raise InputError(f"{args.potential}: potentials go to .cube or .npy files")


def _checked_output(path: str) -> None:
    from deepdensity_tf.utils.errors import InputError

    try:
        output_file(path)
    except argparse.ArgumentTypeError as error:
        raise InputError(f"--planar: {error}") from None


def _charges(args: argparse.Namespace, model: DeepDensity | None) -> dict[str, float] | None:
    if args.charges:
        return dict(args.charges)
    valence = model.training_script["model"].get("electrons") if model else None
    return dict(zip(model.type_map, valence, strict=True)) if valence else None


def _pro_atoms(
    args: argparse.Namespace, model: DeepDensity | None, symbols: list[str], charges: dict
) -> dict[str, ProAtom] | None:
    from deepdensity_tf.analysis import pro_atoms

    if args.hirshfeld is None:
        return None
    found = {}
    for source in args.hirshfeld or [args.model]:
        element, equals, path = source.partition("=")
        if equals:
            found[element] = pro_atoms.of_file(path)
        else:
            other = model if source == args.model else load_model(source)
            found |= pro_atoms.of_model(other, symbols)
    return pro_atoms.scale_to_charges(found, charges)


def _write(args: argparse.Namespace, subject: Subject, fields: dict[str, np.ndarray]) -> None:
    """The files that were asked for."""
    from ase import Atoms

    from deepdensity_tf.analysis.profiles import planar_average, write_table
    from deepdensity_tf.formats import write_potential, write_volumetric
    from deepdensity_tf.plot.sections import interpolate

    structure = subject.structure
    grid = structure.grid
    atoms = Atoms(structure.symbols, structure.coord, cell=grid.cell, pbc=structure.pbc)
    if args.potential:
        write_potential(args.potential, atoms, fields["potential"], grid.origin)
        log.info("%s: potential written", args.potential)
    if args.difference:
        write_volumetric(args.difference, atoms, fields["difference"], grid.origin)
        log.info("%s: difference written", args.difference)
    if args.planar:
        axis = "abc".index(args.planar[0])
        averages = {name: planar_average(field, grid, axis) for name, field in fields.items()}
        height = averages["density"][0]
        columns = {name: average for name, (_, average) in averages.items()}
        write_table(args.planar[1], {"height": height, **columns})
        log.info("%s: table written", args.planar[1])
    if args.profile:
        line = _line(args, subject)
        columns = {n: interpolate(structure, field, line.points) for n, field in fields.items()}
        write_table(args.profile, {"distance": line.distance, **columns})
        log.info("%s: table written", args.profile)


def _line(args: argparse.Namespace, subject: Subject) -> Line:
    import numpy as np

    from deepdensity_tf.plot.sections import bond_line, point_line

    if args.bond:
        return bond_line(subject.structure, *args.bond)
    return point_line(np.array(args.line[:3]), np.array(args.line[3:]))
