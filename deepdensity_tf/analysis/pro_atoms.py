"""Where pro-atoms come from: a frozen model, densities of single atoms, tables."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.analysis.hirshfeld import ProAtom, spherical_average
from deepdensity_tf.formats import Grid, read_density
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.radial import RadialGrid

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity

log = logging.getLogger(__name__)

_FEWEST = 1e-3  # electrons


def of_model(model: DeepDensity, symbols: Iterable[str]) -> dict[str, ProAtom]:
    """Pro-atoms of a frozen model.

    The baseline's atomic densities (fitted to the training data) where the model carries them;
    else what it predicts for a single atom, which is spherical but lies outside the training data.

    Parameters
    ----------
    model : DeepDensity
        Frozen model.
    symbols : iterable of str
        Elements.

    Raises
    ------
    InputError
        An element the model does not know, or a pro-atom without electrons.
    """
    symbols = sorted(set(symbols))
    types = dict(zip(symbols, model.atype_of(symbols, np.zeros(len(symbols))), strict=True))
    with_baseline = model.baseline is not None and np.any(model.baseline)
    log.info(
        "pro-atoms: %s",
        "the model's baseline" if with_baseline else "the model's predictions for single atoms",
    )

    def density(atype: int, r: np.ndarray) -> np.ndarray:
        if with_baseline:
            radial = RadialGrid(model.rcut_point, model.baseline.shape[1])
            return radial.values(r) @ model.baseline[atype]
        return model.eval(np.zeros((1, 3)), None, [atype], r[:, None] * [1.0, 0.0, 0.0])

    return {
        symbol: _checked(
            ProAtom.from_function(lambda r, t=atype: density(t, r), model.rcut_point),
            f"pro-atom {symbol} of the model",
        )
        for symbol, atype in types.items()
    }


def of_file(path: str) -> ProAtom:
    """Pro-atom out of a file.

    Parameters
    ----------
    path : str
        A density file (cube, CHGCAR, ...) of a single atom, which is averaged over angles; or a
        text file with two columns, distance (Å) and density (electrons/Å^3).

    Raises
    ------
    InputError
        Neither of them, several atoms, or no electrons.
    """
    if Path(path).suffix.lower() in (".txt", ".dat", ".csv"):
        return _checked(_table(path), path)
    volume = read_density(path)[0]
    if len(volume.atoms) != 1:
        raise InputError(f"{path}: holds {len(volume.atoms)} atoms, expected one, as a pro-atom")
    grid = Grid(volume.density.shape, np.array(volume.atoms.cell))
    return _checked(spherical_average(volume.density, grid, volume.atoms.positions[0]), path)


def scale_to_charges(
    pro_atoms: Mapping[str, ProAtom], charges: Mapping[str, float]
) -> dict[str, ProAtom]:
    """Neutral pro-atoms: as many electrons as the charge of the core, where it is known."""
    scaled = {}
    for symbol, pro_atom in pro_atoms.items():
        wanted = charges.get(symbol)
        found = pro_atom.electrons
        scaled[symbol] = pro_atom.scaled(wanted) if wanted else pro_atom
        log.info("pro-atom %s: %.4f electrons, scaled to %g", symbol, found, wanted or found)
    return scaled


def _table(path: str) -> ProAtom:
    try:
        table = np.loadtxt(path, delimiter="," if path.lower().endswith(".csv") else None, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from None
    r = table[:, 0]
    if table.shape[1] != 2 or len(r) < 2 or r[0] < 0 or np.any(np.diff(r) <= 0):
        raise InputError(f"{path}: expected two columns, rising distances (Å) and densities")
    density = np.maximum(table[:, 1], 0)
    if r[0] > 0:
        r, density = np.r_[0.0, r], np.r_[density[0], density]
    return ProAtom(r, density)


def _checked(pro_atom: ProAtom, name: str) -> ProAtom:
    if not pro_atom.electrons > _FEWEST:
        raise InputError(f"{name}: holds {pro_atom.electrons:.3g} electrons, no pro-atom")
    return pro_atom
