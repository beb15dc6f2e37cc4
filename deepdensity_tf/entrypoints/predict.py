"""dd-tf predict: the density of a structure, on a grid, as a file."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deepdensity_tf.entrypoints.options import (
    add_model,
    output_file,
    positive_float,
    positive_int,
)

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.volumetric import Grid

log = logging.getLogger(__name__)

_SPACING = 0.1  # Å
_PAD = 4.0  # Å
_FLAT = 1e-9  # Å^3


def add_parser(subparsers) -> None:
    """Add `dd-tf predict`."""
    parser = subparsers.add_parser(
        "predict",
        help="density of a structure as cube, CHGCAR or NumPy file",
        description="Evaluate a frozen model on a regular grid. Periodic structures get their "
        "cell as grid; molecules without a cell an upright box around the atoms.",
        epilog="examples:\n"
        "  dd-tf predict -m frozen_model.pb POSCAR -o CHGCAR rho.cube\n"
        "  dd-tf predict -m frozen_model.pb molecule.xyz --spacing 0.15 --pad 5 -o rho.cube\n"
        "  dd-tf predict -m frozen_model.pb data/ethane -f 32 --electrons 14 -o rho.npy",
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
        help="NAME.cube, CHGCAR* or NAME.vasp, NAME.npy (grid in C order, electrons/Å^3); "
        "default: rho.cube",
    )
    parser.add_argument(
        "-f", "--frame", type=int, default=0, metavar="INDEX", help="frame of STRUCTURE (0)"
    )
    grid = parser.add_mutually_exclusive_group()
    grid.add_argument(
        "--grid", nargs=3, type=positive_int, metavar=("NX", "NY", "NZ"), help="numbers of points"
    )
    grid.add_argument(
        "--spacing",
        type=positive_float,
        metavar="Å",
        help="largest distance of points; their numbers become products of 2, 3, 5, 7 "
        f"(default: the grid of a density system, else {_SPACING})",
    )
    grid.add_argument("--like", metavar="FILE", help="grid and cell of this cube or CHGCAR file")
    parser.add_argument(
        "--pad",
        type=positive_float,
        metavar="Å",
        help=f"box around a molecule: distance from the outermost atoms ({_PAD:g}); also in place "
        "of the cell of a structure that is not periodic",
    )
    parser.add_argument(
        "--nopbc", action="store_true", help="no periodic images, though the file has a cell"
    )
    parser.add_argument(
        "--electrons", type=positive_float, metavar="N", help="rescale to exactly N electrons"
    )
    parser.add_argument(
        "--gradient",
        action="store_true",
        help="write d rho/d r too, (nx, ny, nz, 3) in electrons/Å^4, to NAME.gradient.npy",
    )
    parser.add_argument(
        "--spin",
        action="store_true",
        help="write the spin density (up minus down) too, to NAME.spin.SUFFIX beside each output",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.infer.volumetric import file_format, write_volumetric
    from deepdensity_tf.utils.log import import_tensorflow

    outputs = args.output or ["rho.cube"]
    for path in outputs:
        file_format(path)
        _check_not_input(path, [args.structure, args.like, args.model])
    import_tensorflow()
    from deepdensity_tf.infer.deep_density import DeepDensity

    model = DeepDensity(args.model)
    atoms, own_shape = read_structure(args.structure, args.frame, model.type_map)
    if args.nopbc:
        atoms.pbc = False
    grid = choose_grid(atoms, own_shape, args)
    density = _predict(model, atoms, grid)
    spin = _predict(model, atoms, grid, spin=True) if args.spin else None
    scale = _scale(density, grid, args.electrons)
    density *= scale
    on_grid = atoms.copy()
    on_grid.cell = grid.cell
    for path in outputs:
        write_volumetric(path, on_grid, density, grid.origin)
        log.info("%s: written", path)
        if file_format(path) == "chgcar":
            log.info(
                "%s: holds no PAW augmentation occupancies; VASP restarts (ICHARG = 1, 11) ask "
                "for them",
                path,
            )
        if spin is not None:
            target = Path(path)
            target = target.with_name(f"{target.stem}.spin{target.suffix}")
            write_volumetric(target, on_grid, spin, grid.origin)
            log.info("%s: spin density written", target)
    if args.gradient:
        _write_gradient(Path(outputs[0]).with_suffix(".gradient.npy"), model, atoms, grid, scale)


def read_structure(
    path: str, index: int, type_map: list[str]
) -> tuple[Atoms, tuple[int, int, int] | None]:
    """Atoms of a file or of a frame of a density system, and the grid of the latter.

    Parameters
    ----------
    path : str
        File that ASE reads, or system folder.
    index : int
        Frame.
    type_map : list of str
        Elements of the model.

    Raises
    ------
    InputError
        Missing or unreadable file, no such frame, no atoms, cell vectors missing in a periodic
        structure.
    """
    import numpy as np

    from deepdensity_tf.utils.errors import InputError

    if Path(path).is_dir():
        atoms, shape = _read_system(path, index, type_map)
    else:
        atoms, shape = _read_file(path, index), None
    if not len(atoms):
        raise InputError(f"{path}: frame {index} has no atoms")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise InputError(f"{path}: frame {index} holds NaN or infinity in its positions or cell")
    if atoms.pbc.any() and atoms.cell.rank < 3:
        raise InputError(
            f"{path}: periodic with {atoms.cell.rank} cell vectors, expected 3 (give it a cell "
            "with vacuum, or --nopbc)"
        )
    if atoms.pbc.any() and atoms.cell.volume < _FLAT:
        raise InputError(f"{path}: the cell has no volume, expected three independent vectors")
    if atoms.pbc.any() and not atoms.pbc.all():
        log.warning("%s: is periodic along some cell vectors, taken as periodic along all", path)
        atoms.pbc = True
    return atoms, shape


def _read_file(path: str, index: int) -> Atoms:
    import ase.io

    from deepdensity_tf.utils.errors import InputError

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file, expected a structure or a density system")
    if Path(path).name.upper().startswith(("CHG", "AECCAR")):
        # ASE's reader of structures stumbles over the density that follows.
        return _read_chgcar(path, index)
    try:
        return ase.io.read(path, index=index, do_not_split_by_at_sign=True)
    except (IndexError, StopIteration, AssertionError):
        raise InputError(f"{path}: has no frame {index}, or is not a structure file") from None
    except Exception as error:  # ASE's readers raise whatever their parsing stumbles over.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(f"{path}: ASE cannot read it as a structure ({reason})") from None


def _read_chgcar(path: str, index: int) -> Atoms:
    from deepdensity_tf.data.formats import read_density
    from deepdensity_tf.data.selection import select_frames

    densities = read_density(path)
    (number,) = select_frames(str(index), len(densities), f"-f ({path})")
    return densities[number].atoms


def _read_system(path: str, index: int, type_map: list[str]):
    from ase import Atoms

    from deepdensity_tf.data.selection import select_frames
    from deepdensity_tf.data.system import find_systems
    from deepdensity_tf.utils.errors import InputError

    systems = find_systems([path], type_map)
    if len(systems) != 1:
        raise InputError(f"{path}: holds {len(systems)} systems, expected one")
    (number,) = select_frames(str(index), systems[0].nframes, f"-f ({path})")
    frame = systems[0].frame(number)
    symbols = [type_map[atype] for atype in frame.atype]
    atoms = Atoms(symbols, frame.coord, cell=frame.box, pbc=frame.pbc)
    shape = None if frame.grid_shape is None else tuple(int(n) for n in frame.grid_shape)
    return atoms, shape


def choose_grid(
    atoms: Atoms, own_shape: tuple[int, int, int] | None, args: argparse.Namespace
) -> Grid:
    """The grid that the options ask for.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic along all cell vectors or along none.
    own_shape : tuple of int or None
        Grid of the data the atoms come from.
    args : argparse.Namespace
        ``grid``, ``spacing``, ``like``, ``pad``.

    Raises
    ------
    InputError
        Options that contradict the structure.
    """
    from deepdensity_tf.infer.volumetric import Grid, fft_shape
    from deepdensity_tf.utils.errors import InputError

    if args.pad and (atoms.pbc.any() or args.like):
        reason = "--like has a cell" if args.like else "the structure is periodic"
        raise InputError(f"--pad: {reason}, expected a molecule (see --nopbc)")
    if args.like:
        grid = _grid_like(args.like, atoms)
    else:
        cell, origin, own = _cell(atoms, args.pad)
        if args.grid:
            shape = tuple(args.grid)
        elif args.spacing is None and own_shape is not None and own:
            shape = own_shape
        else:
            shape = fft_shape(cell, args.spacing or _SPACING)
        grid = Grid(shape, cell, origin)
    _warn_outside(atoms, grid)
    return grid


def _cell(atoms: Atoms, pad: float | None) -> tuple[np.ndarray, np.ndarray, bool]:
    """What spans the grid, its origin, and whether it is the structure's own cell."""
    import numpy as np

    from deepdensity_tf.infer.volumetric import box_around

    if atoms.cell.rank == 3 and not pad:
        return np.array(atoms.cell), np.zeros(3), True
    return *box_around(atoms.positions, pad or _PAD), False


def _grid_like(path: str, atoms: Atoms) -> Grid:
    import numpy as np

    from deepdensity_tf.data.formats import read_density
    from deepdensity_tf.infer.volumetric import Grid
    from deepdensity_tf.utils.errors import InputError

    example = read_density(path)[0]
    cell = np.array(example.atoms.cell)
    if atoms.pbc.any() and not np.allclose(cell, atoms.cell, rtol=0, atol=1e-3):
        raise InputError(
            f"--like {path}: its cell differs from that of the periodic structure by up to "
            f"{np.abs(cell - atoms.cell).max():.3g} Å, expected the same"
        )
    return Grid(tuple(example.density.shape), cell, _origin(path))


def _origin(path: str) -> np.ndarray:
    """Where the grid of a density file begins: cube files say it in line 3."""
    import numpy as np

    from deepdensity_tf.data.formats.base import BOHR, read_text

    if not Path(path).name.lower().endswith((".cube", ".cub")):
        return np.zeros(3)
    lines = read_text(Path(path)).splitlines()
    in_bohr = all(int(line.split()[0]) > 0 for line in lines[3:6])
    origin = np.array([float(word) for word in lines[2].split()[1:4]])
    return origin * (BOHR if in_bohr else 1.0)


def _warn_outside(atoms: Atoms, grid: Grid) -> None:
    """A molecule that sticks out of the window loses electrons: say it."""
    import numpy as np

    if atoms.pbc.any():
        return
    fractions = np.linalg.solve(grid.cell.T, (atoms.positions - grid.origin).T)
    outside = int(np.any((fractions < 0) | (fractions > 1), axis=0).sum())
    if outside:
        log.warning(
            "%d of %d atoms lie outside the box of the grid (--pad makes one around them)",
            outside,
            len(atoms),
        )


def _predict(model: DeepDensity, atoms: Atoms, grid: Grid, spin: bool = False) -> np.ndarray:
    from deepdensity_tf.utils.progress import track

    atype = model.atype_of(atoms.get_chemical_symbols())
    log.info(
        "grid %d x %d x %d, %d points of %.3g Å^3",
        *grid.shape,
        grid.npoints,
        grid.volume_element,
    )
    start = time.perf_counter()
    done = 0
    with track(grid.npoints, "predicting", "points") as advance:

        def progress(now: int, _total: int) -> None:
            nonlocal done
            advance(now - done)
            done = now

        density = model.eval_grid(
            atoms.positions - grid.origin,
            grid.cell,
            atype,
            grid.shape,
            pbc=bool(atoms.pbc.any()),
            progress=progress,
            spin=spin,
        )
    elapsed = time.perf_counter() - start
    valence = model.training_script["model"].get("electrons")
    if valence and not spin:
        wanted = sum(valence[t] for t in atype)
        found = model.eval_electrons(
            atoms.positions, atoms.cell.array if atoms.pbc.any() else None, atype
        )[0]
        log.info(
            "the model conserves electrons: %.6f before, %.6f after, a correction of %.4f %%",
            found,
            wanted,
            100 * (wanted - found) / wanted,
        )
    log.info("%.2f s, %s points/s", elapsed, f"{grid.npoints / elapsed:,.0f}")
    return density


def _scale(density: np.ndarray, grid: Grid, electrons: float | None) -> float:
    """Factor that gives the wanted number of electrons, said in the log."""
    from deepdensity_tf.utils.errors import InputError

    found = float(density.sum() * grid.volume_element)
    log.info("%.6f electrons on the grid", found)
    if electrons is None:
        return 1.0
    if found <= 0:
        raise InputError(f"--electrons: the model gives {found:g} electrons, nothing to rescale")
    log.info("density times %.8f: %.12g electrons", electrons / found, electrons)
    return electrons / found


def _write_gradient(path: Path, model: DeepDensity, atoms: Atoms, grid: Grid, scale: float) -> None:
    import numpy as np

    from deepdensity_tf.utils.files import atomic_path

    box = grid.cell if atoms.pbc.any() else None
    atype = model.atype_of(atoms.get_chemical_symbols())
    gradient = scale * model.eval_gradient(atoms.positions, box, atype, grid.points())
    with atomic_path(path) as temporary:
        np.save(temporary, gradient.reshape(*grid.shape, 3))
    log.info("%s: gradient written", path)


def _check_not_input(path: str, inputs: list[str | None]) -> None:
    from deepdensity_tf.utils.errors import InputError

    for given in inputs:
        if given and Path(path).resolve() == Path(given).resolve():
            raise InputError(f"{path}: is also an input, choose another name for the output")
