"""Types of atoms that also say the sign of the atom's initial moment.

A model with `initial_magmom` takes, for an atom of the element t of its n, the type t where it has
no initial moment, t + n where that is up and t + 2 n where it is down.
"""

from __future__ import annotations

import numpy as np

_STATES = 3  # none, up, down


def number_of_types(nelements: int, initial_magmom: bool) -> int:
    """Types that a model of so many elements takes."""
    return nelements * (_STATES if initial_magmom else 1)


def signed_types(atype: np.ndarray, magmom: np.ndarray, ntypes: int) -> np.ndarray:
    """Types with the signs of initial moments.

    Parameters
    ----------
    atype : np.ndarray
        (natoms,) elements, below `ntypes`.
    magmom : np.ndarray
        (natoms,) initial moments; their sizes do not matter.
    ntypes : int
        Elements of the model.

    Returns
    -------
    np.ndarray
        (natoms,) int32.
    """
    return (np.asarray(atype) + ntypes * (np.sign(magmom).astype(int) % _STATES)).astype(np.int32)


def signs(atype, ntypes: int):
    """-1, 0 or 1 of each atom, from its type (NumPy or TensorFlow)."""
    return (atype // ntypes + 1) % _STATES - 1
