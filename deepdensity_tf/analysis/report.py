"""All figures of one density."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deepdensity_tf.analysis.hirshfeld import ProAtom, hirshfeld_populations
from deepdensity_tf.analysis.moments import dipole, electrons
from deepdensity_tf.plot.sections import Structure
from deepdensity_tf.utils.errors import InputError

DEBYE = 0.20819433622  # e Å (CODATA 2018)


def analyse(
    structure: Structure,
    density: np.ndarray,
    hartree: np.ndarray,
    charges: Mapping[str, float] | None = None,
    pro_atoms: Mapping[str, ProAtom] | None = None,
) -> dict:
    """Figures of a density, as JSON takes them.

    Parameters
    ----------
    structure : Structure
        Atoms and grid.
    density : np.ndarray
        (nx, ny, nz) electrons/Å^3.
    hartree : np.ndarray
        Potential of the electrons, see `electrostatics.hartree_potential`.
    charges : mapping, optional
        Charge of the core of each element, e.
    pro_atoms : mapping, optional
        For Hirshfeld charges.

    Returns
    -------
    dict
        ``natoms``, ``periodic``, ``grid``, ``volume`` (Å^3), ``electrons``, ``hartree_energy``
        (eV), ``core_charge`` and ``total_charge`` (e), ``dipole`` (e Å; not of crystals, where
        it depends on the choice of cell) and ``dipole_debye``, ``atoms``: a list with
        ``symbol``, ``position`` (Å), ``hirshfeld_electrons``, ``hirshfeld_charge`` (e). What
        asks for charges or pro-atoms that are not given is None.
    """
    grid = structure.grid
    cores = None if charges is None else core_charges(structure, charges)
    found = electrons(density, grid)
    moment = None
    if cores is not None and not structure.pbc:
        moment = dipole(density, grid, structure.coord, cores)
    return {
        "natoms": len(structure.symbols),
        "periodic": structure.pbc,
        "grid": list(grid.shape),
        "volume": float(abs(np.linalg.det(grid.cell))),
        "electrons": found,
        "hartree_energy": float(0.5 * np.vdot(density, hartree) * grid.volume_element),
        "core_charge": None if cores is None else float(cores.sum()),
        "total_charge": None if cores is None else float(cores.sum() - found),
        "dipole": None if moment is None else moment.tolist(),
        "dipole_debye": None if moment is None else float(np.linalg.norm(moment) / DEBYE),
        "atoms": _atoms(structure, density, cores, pro_atoms),
    }


def core_charges(structure: Structure, charges: Mapping[str, float]) -> np.ndarray:
    """Charge of every atom's core, (natoms,), e.

    Raises
    ------
    InputError
        An element without a charge.
    """
    missing = sorted(set(structure.symbols) - set(charges))
    if missing:
        raise InputError(f"charges: found none of {' '.join(missing)}, expected all elements")
    return np.array([charges[symbol] for symbol in structure.symbols], dtype=np.float64)


def _atoms(
    structure: Structure,
    density: np.ndarray,
    cores: np.ndarray | None,
    pro_atoms: Mapping[str, ProAtom] | None,
) -> list[dict]:
    natoms = len(structure.symbols)
    shares: list = [None] * natoms
    if pro_atoms is not None:
        shares = hirshfeld_populations(
            density,
            structure.grid,
            structure.coord,
            structure.symbols,
            pro_atoms,
            structure.pbc,
        ).tolist()
    return [
        {
            "symbol": structure.symbols[i],
            "position": structure.coord[i].tolist(),
            "hirshfeld_electrons": shares[i],
            "hirshfeld_charge": None
            if shares[i] is None or cores is None
            else float(cores[i] - shares[i]),
        }
        for i in range(natoms)
    ]


def format_report(report: dict) -> str:
    """The figures of `analyse` for people."""
    grid = " x ".join(str(n) for n in report["grid"])
    kind = "periodic" if report["periodic"] else "isolated"
    rows = {
        "structure": f"{report['natoms']} atoms, {kind}",
        "grid": f"{grid} points, {report['volume']:.6g} Å^3",
        "electrons": f"{report['electrons']:.6f}",
        "Hartree energy": f"{report['hartree_energy']:.8g} eV",
    }
    if report["core_charge"] is not None:
        rows["charge of the cores"] = f"{report['core_charge']:.6g} e"
        rows["total charge"] = f"{report['total_charge']:+.6f} e"
    if report["dipole"] is not None:
        components = "  ".join(f"{value:+.6f}" for value in report["dipole"])
        rows["dipole"] = f"{components} e Å, {report['dipole_debye']:.5f} debye"
    width = max(map(len, rows)) + 2
    text = "\n".join(f"{name + ':':<{width}}{value}" for name, value in rows.items())
    return text + _atom_table(report["atoms"])


def _atom_table(atoms: list[dict]) -> str:
    if not atoms or atoms[0]["hirshfeld_electrons"] is None:
        return ""
    lines = ["", "", "Hirshfeld   atom  electrons     charge"]
    for number, atom in enumerate(atoms):
        charge = atom["hirshfeld_charge"]
        text = "-" if charge is None else f"{charge:+.5f}"
        name = f"{atom['symbol']}{number}"
        lines.append(f"{name:>16s}  {atom['hirshfeld_electrons']:9.5f}  {text:>9s}")
    total = sum(atom["hirshfeld_electrons"] for atom in atoms)
    lines.append(f"{'sum':>16s}  {total:9.5f}")
    return "\n".join(lines)
