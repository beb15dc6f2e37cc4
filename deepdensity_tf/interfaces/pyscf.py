"""PySCF: an initial guess from a predicted density."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats.base import BOHR
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from pyscf.gto import Mole
    from pyscf.scf.hf import SCF

    from deepdensity_tf.infer.deep_density import DeepDensity

_GRID_LEVEL = 1  # a guess needs no finer quadrature
_AUXILIARY_BASIS = "def2-universal-jfit"
_ELECTRONS_OFF = 0.02
_BLOCK = 2**23  # numbers of a matrix at a time: 64 MB


def init_guess(mf: SCF, model: DeepDensity, xc: str | None = None) -> np.ndarray:
    """Density matrix of the orbitals in the Kohn-Sham potential of the predicted density.

    The potential is that of the nuclei, of the density (through its Coulomb fit onto an auxiliary
    basis) and of exchange and correlation; one diagonalisation gives orbitals and occupations.

    Parameters
    ----------
    mf : pyscf.scf.hf.SCF
        Mean field of a molecule: RHF, RKS, UHF, UKS, GHF, GKS and the like, of one or two
        components.
    model : DeepDensity
        Trained on densities of the same kind: all-electron, or of the same pseudopotential.
    xc : str, optional
        LDA or GGA functional; by default the one of `mf`, and PBE where that has exact exchange
        or kinetic energy densities, which a density alone does not give.

    Returns
    -------
    ndarray
        (nao, nao), (2, nao, nao) if unrestricted, (2 nao, 2 nao) if generalized:
        `mf.kernel(dm0=init_guess(mf, model))`.

    Raises
    ------
    InputError
        A crystal, an element the model does not know, a density of other electrons than those
        of the molecule, an `xc` that is not LDA or GGA, a mean field of four components.
    """
    from pyscf import dft, scf

    mol = mf.mol
    if getattr(mol, "a", None) is not None:
        raise InputError("init_guess: found a periodic cell, expected a molecule")
    hcore, ncomponents = mf.get_hcore(), 2 if isinstance(mf, scf.ghf.GHF) else 1
    if hcore.shape != (ncomponents * mol.nao,) * 2:
        raise InputError(
            f"init_guess: found {type(mf).__name__} with a Hamiltonian of shape {hcore.shape}, "
            f"expected a mean field of {mol.nao} orbitals, or of twice as many (GHF, GKS)"
        )
    xc = _functional(mf, xc)
    grids = dft.gen_grid.Grids(mol)
    grids.level = _GRID_LEVEL
    grids.build()
    rho = _density(mol, model, grids)
    potential = _hartree(mol, grids, rho[0]) + _exchange_correlation(mol, grids, rho, xc)
    fock = hcore + np.kron(np.eye(ncomponents), potential)
    if isinstance(mf, scf.uhf.UHF):
        fock = np.array([fock, fock])
    energies, orbitals = mf.eig(fock, mf.get_ovlp())
    return np.asarray(mf.make_rdm1(orbitals, mf.get_occ(energies, orbitals)))


def _functional(mf: SCF, xc: str | None) -> str:
    from pyscf import dft

    wanted = xc or getattr(mf, "xc", "HF")
    library = dft.libxc
    usable = library.xc_type(wanted) in ("LDA", "GGA") and not library.is_hybrid_xc(wanted)
    if xc and not usable:
        raise InputError(f"init_guess: xc is {xc}, expected an LDA or GGA functional")
    return wanted if usable else "PBE"


def _density(mol: Mole, model: DeepDensity, grids) -> np.ndarray:
    """(4, npoints): density and its gradient in atomic units, of the molecule's electrons."""
    atype = model.atype_of([mol.atom_pure_symbol(k) for k in range(mol.natm)])
    frame = (mol.atom_coords() * BOHR, None, atype, grids.coords * BOHR)
    rho = np.empty((4, len(grids.coords)))
    rho[0] = model.eval(*frame) * BOHR**3
    rho[1:] = model.eval_gradient(*frame).T * BOHR**4
    found = float(rho[0] @ grids.weights)
    neutral = mol.nelectron + mol.charge
    if abs(found - neutral) > _ELECTRONS_OFF * neutral:
        raise InputError(
            f"init_guess: the model gives {found:.3f} electrons, the molecule has {neutral}; "
            "expected the pseudopotentials of the model's data"
        )
    return rho * (mol.nelectron / found)


def _hartree(mol: Mole, grids, rho: np.ndarray) -> np.ndarray:
    """Matrix of the density's Coulomb potential, through a fit in the Coulomb metric."""
    from pyscf import df, gto

    auxiliary = df.addons.make_auxmol(mol, _AUXILIARY_BASIS)
    charge = rho * grids.weights
    on_auxiliary = np.zeros(auxiliary.nao)
    for some in _blocks(len(charge), auxiliary.nao):
        points = gto.fakemol_for_charges(grids.coords[some])
        on_auxiliary += gto.intor_cross("int2c2e", auxiliary, points) @ charge[some]
    fit = np.linalg.solve(auxiliary.intor("int2c2e"), on_auxiliary)
    both = gto.mole.conc_mol(mol, auxiliary)
    first = auxiliary.ao_loc_nr()  # function of each shell
    widest = int(np.diff(first).max())
    potential = np.zeros((mol.nao, mol.nao))
    for some in _blocks(auxiliary.nbas, widest * mol.nao**2):
        shells = (0, mol.nbas, 0, mol.nbas, mol.nbas + some.start, mol.nbas + some.stop)
        integrals = both.intor("int3c2e", shls_slice=shells)
        potential += integrals @ fit[first[some.start] : first[some.stop]]
    return potential


def _exchange_correlation(mol: Mole, grids, rho: np.ndarray, xc: str) -> np.ndarray:
    from pyscf import dft

    integrator = dft.numint.NumInt()
    gga = integrator.libxc.xc_type(xc) == "GGA"
    rho = rho if gga else rho[0]
    potential = integrator.eval_xc_eff(xc, rho, deriv=1)[1] * grids.weights
    potential[0] /= 2  # the sum with the transpose counts it twice
    half = np.zeros((mol.nao, mol.nao))
    for some in _blocks(len(grids.coords), 4 * mol.nao):
        orbitals = integrator.eval_ao(mol, grids.coords[some], deriv=int(gga))
        orbitals = orbitals.reshape(-1, some.stop - some.start, mol.nao)
        half += orbitals[0].T @ np.einsum("xpi,xp->pi", orbitals, potential[:, some])
    return half + half.T


def _blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of `count` rows whose matrices of `width` columns fit in memory."""
    most = max(1, _BLOCK // width)
    return (slice(begin, min(begin + most, count)) for begin in range(0, count, most))
