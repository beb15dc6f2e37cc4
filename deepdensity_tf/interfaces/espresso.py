"""Quantum ESPRESSO: pw.x starts from a predicted density (startingpot = 'file')."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deepdensity_tf.formats.qe_kinds import is_input
from deepdensity_tf.formats.qe_save import PlaneWaves, fft_grid, g_vectors, write_save
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.infer.deep_density import DeepDensity


def pwscf_settings(path: str | Path) -> PlaneWaves | None:
    """Cut-off and k-point mode of a pw.x input file; None for any other file.

    Raises
    ------
    InputError
        A pw.x input without ecutwfc.
    """
    from ase.io.espresso import read_fortran_namelist

    path = Path(path)
    if not path.is_file() or not is_input(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as stream:
        namelists, cards = read_fortran_namelist(stream)
    system = namelists["system"]
    ecutrho = system.get("ecutrho") or 4 * system.get("ecutwfc", 0)
    if not isinstance(ecutrho, (int, float)) or ecutrho <= 0:
        raise InputError(f"{path}: has no ecutwfc, expected it in &system")
    words = [line.lower().replace("(", " ").replace("{", " ").split() for line in cards]
    gamma = any(line[:1] == ["k_points"] and line[1:2] and "gamma" in line[1] for line in words)
    return PlaneWaves(float(ecutrho), gamma)


def plane_waves(
    structure: str | Path, ecutrho: float | None = None, hdf5: bool = False
) -> PlaneWaves:
    """G vectors of a pw.x input, of a cut-off (Ry), or of the input with another cut-off.

    Raises
    ------
    InputError
        Neither a cut-off nor a pw.x input.
    """
    settings = pwscf_settings(structure)
    if ecutrho is not None:
        return PlaneWaves(ecutrho, settings.gamma_only if settings else True, hdf5)
    if settings is None:
        raise InputError(
            f"{structure}: is not an input of pw.x, so --ecutrho must say the cut-off of the "
            "density (Ry; 4 ecutwfc unless the input of pw.x says otherwise)"
        )
    return replace(settings, hdf5=hdf5)


def predict_save(path: str | Path, model: DeepDensity, atoms: Atoms, waves: PlaneWaves) -> None:
    """Predict the density on pw.x's own grid and write `prefix.save` (see `write_save`).

    pw.x rescales it to the number of electrons.

    Examples
    --------
    >>> atoms = ase.io.read("scf.in")  # doctest: +SKIP
    >>> predict_save("x.save", model, atoms, pwscf_settings("scf.in"))  # doctest: +SKIP
    """
    shape = fft_grid(g_vectors(atoms.cell.array, waves))
    atype = model.types_of(atoms)
    density = model.eval_grid(atoms.positions, atoms.cell.array, atype, shape)
    write_save(path, atoms, density, waves)
