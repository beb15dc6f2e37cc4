"""What is odd about a structure: one examination for all commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepdensity_tf.formats.findings import Finding

if TYPE_CHECKING:
    from ase import Atoms

CLOSEST = 0.1  # Å
_FARTHEST = 1e6  # Å
# Of the sum of the covalent radii: N2 has 0.77, the least there is; lengths in Å taken as bohr make
# at most 0.63 (H2) of it.
_SHORT_BOND = 0.65
# Bohr taken as Å makes 1.9 of it; metals have up to 1.25, atoms that are apart anything.
_LONG_BOND, _LONGEST_BOND = 1.55, 2.3
FLAT = 1e-9  # Å^3, a cell of no volume
_LEAST_VOLUME = 1.0  # Å^3 an atom; hydrogen at 500 GPa has 1.4


class Pair(NamedTuple):
    """Two atoms near each other."""

    distance: float  # Å; infinite if there are none
    first: int
    second: int
    image: bool  # the second is a periodic image

    def named(self, symbols: Sequence[str] | None = None) -> str:
        """The two atoms, by their numbers in the file."""
        one, two = (f"{symbols[i] if symbols else ''}{i}" for i in (self.first, self.second))
        image = "a periodic image of " if self.image else ""
        return f"atoms {one} and {image}{two}"


def closest_pair(coord: np.ndarray, cell: np.ndarray, pbc: bool, radii: float | np.ndarray) -> Pair:
    """The two atoms that are closest measured by the sum of their radii, images included.

    Parameters
    ----------
    coord, cell : ndarray
        (natoms, 3) and (3, 3), Å.
    pbc : bool
        Whether there are periodic images.
    radii : float or ndarray
        (natoms,), Å; pairs beyond the sum of theirs are not found.
    """
    radii = np.broadcast_to(radii, len(coord))
    if len(coord) < 40 and not pbc:  # all pairs: a tenth of the time of ASE's cells
        first, second = np.triu_indices(len(coord), 1)
        distance = np.linalg.norm(coord[first] - coord[second], axis=-1)
        shift = np.zeros((len(first), 3))
    else:
        from ase import Atoms
        from ase.neighborlist import neighbor_list

        atoms = Atoms(numbers=np.ones(len(coord)), positions=coord, cell=cell, pbc=pbc)
        first, second, distance, shift = neighbor_list("ijdS", atoms, radii)
    nearness = distance / (radii[first] + radii[second])
    if nearness.min(initial=np.inf) > 1:
        return Pair(np.inf, 0, 0, False)
    worst = int(np.argmin(nearness))
    image = bool(shift[worst].any())
    return Pair(float(distance[worst]), int(first[worst]), int(second[worst]), image)


def examine_lengths(coord: np.ndarray, box: np.ndarray) -> list[Finding]:
    """Positions and cells that no structure has, Å."""
    for name, array in (("coord", coord), ("box", box)):
        farthest = np.abs(array).max(initial=0)
        if farthest > _FARTHEST:
            text = f"{name} holds {farthest:.3g} Å, expected at most {_FARTHEST:g} Å"
            return [Finding("final", text)]
    return []


def examine_distances(coord: np.ndarray, cell: np.ndarray, pbc: bool) -> list[Finding]:
    """Atoms on top of each other; see `closest_pair`."""
    pair = closest_pair(coord, cell, pbc, CLOSEST / 2)
    if pair.distance >= CLOSEST:
        return []
    text = f"coord has {pair.named()} {pair.distance:.3g} Å apart, expected at least {CLOSEST} Å"
    return [Finding("fault", text)]


def examine_bonds(atoms: Atoms) -> list[Finding]:
    """Atoms closer than any bond, or all far from each other: lengths in another unit."""
    from ase.data import covalent_radii

    radii, pbc = covalent_radii[atoms.numbers], bool(atoms.pbc.any())
    for reach in (_LONG_BOND, _LONGEST_BOND):  # nearly always the first finds some
        pair = closest_pair(atoms.positions, atoms.cell.array, pbc, reach * radii)
        if np.isfinite(pair.distance):
            break
    bond = radii[[pair.first, pair.second]].sum()
    if not CLOSEST <= pair.distance < np.inf:  # closer: see `examine_distances`
        return []
    text = f"{pair.named(atoms.get_chemical_symbols())} are {pair.distance:.2f} Å apart, a bond "
    text += f"has about {bond:.2f} Å; "
    if pair.distance < _SHORT_BOND * bond:
        if len(atoms) > 2 and np.abs(atoms.positions - 0.5).max() <= 0.5:
            return [Finding("doubt", f"{text}are the positions fractions of the cell?")]
        text += "are the lengths in another unit? (Å taken as bohr: in a cube file negative "
        return [Finding("doubt", f"{text}numbers of voxels say Å)")]
    if pair.distance < _LONG_BOND * bond or _has_noble_gas(atoms):
        return []
    return [Finding("doubt", f"{text}all others are farther; are the lengths in bohr?")]


def _has_noble_gas(atoms: Atoms) -> bool:
    return bool(np.isin(atoms.numbers, (2, 10, 18, 36, 54, 86)).any())


def examine_usable(atoms: Atoms) -> list[Finding]:
    """What makes a structure one that has no density: no atoms, no elements, NaN, no cell."""
    if not len(atoms):
        return [Finding("final", "has no atoms, expected at least one")]
    for name, array in (("coord", atoms.positions), ("box", atoms.cell.array)):
        if not np.isfinite(array).all():
            return [Finding("final", f"{name} holds NaN or infinity")]
    return (
        _examine_elements(atoms)
        + examine_lengths(atoms.positions, atoms.cell.array)
        + (_examine_vectors(atoms) if atoms.pbc.any() else [])
    )


def examine_atoms(atoms: Atoms) -> list[Finding]:
    """Elements, occupancy, distances and the cell of a structure that a file holds."""
    unusable = examine_usable(atoms)
    if unusable:
        return unusable
    findings = _examine_occupancy(atoms) + examine_cell(atoms)
    pbc = bool(atoms.pbc.any())
    close = examine_distances(atoms.positions, atoms.cell.array, pbc)
    return findings + (close or examine_bonds(atoms))


def _examine_vectors(atoms: Atoms) -> list[Finding]:
    """A periodic structure that lacks vectors of its cell."""
    if atoms.cell.rank < 3:
        return [
            Finding(
                "final",
                f"periodic with {atoms.cell.rank} cell vectors, expected 3 (give it a cell "
                "with vacuum, or no periodicity: --nopbc)",
            )
        ]
    if atoms.cell.volume < FLAT:
        return [Finding("final", "the cell has no volume, expected three independent vectors")]
    return []


def _examine_elements(atoms: Atoms) -> list[Finding]:
    from ase.data import chemical_symbols

    unknown = np.flatnonzero((atoms.numbers < 1) | (atoms.numbers >= len(chemical_symbols)))
    if not len(unknown):
        return []
    return [
        Finding(
            "final",
            f"atom {unknown[0]} is of no element (Z = {atoms.numbers[unknown[0]]}; {len(unknown)} "
            "in all): a ghost or dummy atom (X); remove them from the file",
        )
    ]


def _examine_occupancy(atoms: Atoms) -> list[Finding]:
    partial = []
    sites = atoms.info.get("occupancy") or {}  # of CIF files: element -> share, by site
    for site in sites.values():
        if len(site) > 1 or not all(_is_full(share) for share in site.values()):
            partial.append(" ".join(f"{name} {share}" for name, share in site.items()))
    share = np.asarray(atoms.arrays.get("occupancy", []), dtype=float)  # of PDB files
    for atom in np.flatnonzero((share > 0) & (share < 0.999)):
        partial.append(f"atom {atom} {share[atom]:g}")
    if not partial:
        return []
    return [
        Finding(
            "fault",
            f"has sites of partial occupancy or alternate locations ({partial[0]}; "
            f"{len(partial)} in all), expected one atom at each; choose one of them",
        )
    ]


def _is_full(share: float | str) -> bool:
    """Whether a CIF file's occupancy is 1, which is also what '.' and '?' mean."""
    return share in (".", "?") or (not isinstance(share, str) and share >= 0.999)


def is_too_small(atoms: Atoms) -> bool:
    """Whether the cell cannot hold the atoms, or is the one that means none in PDB files."""
    return atoms.cell.volume < _LEAST_VOLUME * len(atoms) or _means_none(atoms)


def _means_none(atoms: Atoms) -> bool:
    return np.allclose(atoms.cell.array, np.eye(3))


def examine_cell(atoms: Atoms) -> list[Finding]:
    """A periodic cell that cannot hold the atoms."""
    if not atoms.pbc.any() or not is_too_small(atoms):
        return []
    why = "; 1 x 1 x 1 Å stands for 'no crystal' in PDB files" if _means_none(atoms) else ""
    text = f"the cell of {atoms.cell.volume:.4g} Å^3 is too small for its {len(atoms)} atoms"
    return [Finding("fault", f"{text}{why} (--nopbc: a molecule)")]
