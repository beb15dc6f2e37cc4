"""pymatgen: densities as its volumetric data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.formats.field import GridField

if TYPE_CHECKING:
    from pymatgen.io.common import VolumetricData
    from pymatgen.io.vasp.outputs import Chgcar


def to_chgcar(density: GridField) -> Chgcar:
    """A `Chgcar`: density times volume of the cell, the spin density as its difference.

    Parameters
    ----------
    density : GridField
        Structure and density, as `read_density` gives it: periodic, in electrons/Å^3.

    Notes
    -----
    pymatgen writes atoms as they come; group them by element (`ase.build.sort`) before the file
    goes to VASP.
    """
    from pymatgen.io.vasp.inputs import Poscar
    from pymatgen.io.vasp.outputs import Chgcar

    volume = density.atoms.cell.volume
    return Chgcar(Poscar(_structure(density)), _data(density, volume))


def to_volumetric(density: GridField) -> VolumetricData:
    """A `VolumetricData` in electrons/bohr^3, which its `to_cube` writes as it is."""
    from pymatgen.io.common import VolumetricData

    return VolumetricData(_structure(density), _data(density, BOHR**3))


def _structure(density: GridField):
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = density.atoms.copy()
    atoms.pbc = True
    return AseAtomsAdaptor.get_structure(atoms)


def _data(density: GridField, factor: float) -> dict:
    data = {"total": density.density * factor}
    if density.spin_density is not None:
        data["diff"] = density.spin_density * factor
    return data
