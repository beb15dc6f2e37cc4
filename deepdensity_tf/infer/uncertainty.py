"""How large the error of an ensemble's prediction is likely to be, and where it is not known.

The members' deviation goes with the true error; by how much is measured once on frames with a
reference and kept in the model (`calibrate`). What those frames were like is kept beside it: a
structure unlike all of them is named, for there the deviation says little.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.infer.neighbors import neighbors
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.shipped import model_path

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.frames import Chosen

_LEAST_FRAMES = 5
# An atom is unlike those of the calibration from so many standard deviations of their logarithms
# on: of a normal distribution, one of 700 atoms.
_FAR = 3.0
_PAULING = 0.37  # Å
_MARGIN = 1.05  # sums of bond orders may lie so far beyond those of the calibration


@dataclass(frozen=True)
class Expected:
    """What is known of the error of a prediction before any reference.

    Parameters
    ----------
    nmae : float
        Expected NMAE, percent.
    low, high : float
        Two of three frames of the calibration lay within such bounds.
    doubts : tuple of str
        Why the structure lies outside of what the model knows; empty where it does not.
    """

    nmae: float
    low: float
    high: float
    doubts: tuple[str, ...]

    def __str__(self) -> str:
        return f"expected NMAE {self.nmae:.2g} % ({self.low:.2g} to {self.high:.2g})"


def expected_error(model: DeepDensity, coord, box, atype) -> Expected | None:
    """The likely error of one frame; None where the model is no calibrated ensemble.

    Parameters
    ----------
    model : DeepDensity
        Frozen model.
    coord, box, atype : array_like
        One frame, as in `DeepDensity.eval`.
    """
    known = model.calibration
    if not known or not model.has_deviation:
        return None
    of_frame, of_atoms = (x[0] for x in model.eval_deviation(coord, box, atype))
    nmae, scatter = known["factor"] * float(of_frame), known["scatter"]
    symbols = [model.type_map[t] for t in model.elements_of(atype)]
    doubts = [
        *_unlike_atoms(symbols, of_atoms, known["atoms"]),
        *_unlike_bonds(symbols, _bonds(symbols, coord, box, model.rcut), known["bonds"]),
        *_unlike_frames(symbols, box is not None, known),
    ]
    return Expected(nmae, nmae / scatter, nmae * scatter, tuple(doubts))


def _unlike_atoms(symbols: Sequence[str], deviation: np.ndarray, limits: dict) -> list[str]:
    """The atoms whose deviation is beyond that of their element, the worst named."""
    limit = np.array([limits.get(s, np.inf) for s in symbols])
    beyond = np.flatnonzero(deviation > limit)
    if not beyond.size:
        return []
    worst = beyond[np.argmax(deviation[beyond] / limit[beyond])]
    others = f" and {beyond.size - 1} other atoms" if beyond.size > 1 else ""
    return [
        f"the surroundings of atom {worst} ({symbols[worst]}){others} are unlike those trained on: "
        f"deviation {deviation[worst]:.2g} %, below {limit[worst]:.2g} % where the model was tested"
    ]


def _unlike_bonds(symbols: Sequence[str], bonds: np.ndarray, ranges: dict) -> list[str]:
    """The first atom with fewer or more bonds than any of its element."""
    for atom, (symbol, found) in enumerate(zip(symbols, bonds, strict=True)):
        least, most = ranges.get(symbol, (0.0, np.inf))
        if not least / _MARGIN <= found <= most * _MARGIN:
            return [
                f"atom {atom} ({symbol}) has bonds of order {found:.2f} in all by its distances, "
                f"{least:.2f} to {most:.2f} where the model was tested"
            ]
    return []


def _bonds(symbols: Sequence[str], coord, box, rcut: float) -> np.ndarray:
    """Pauling's bond orders of each atom added up, (natoms,).

    exp((R_i + R_j - d) / 0.37 Å) with covalent radii R: about 4 for carbon, 3 where a bond is
    broken (Brown, Altermatt, Acta Cryst. B 41, 244 (1985)).
    """
    from ase.data import atomic_numbers, covalent_radii

    radii = covalent_radii[[atomic_numbers[s] for s in symbols]]
    coord = np.asarray(coord, dtype=np.float64).reshape(-1, 3)
    center, atom, disp = neighbors(coord, box, rcut)
    orders = np.exp((radii[center] + radii[atom] - np.linalg.norm(disp, axis=1)) / _PAULING)
    return np.bincount(center, orders, len(coord))


def _unlike_frames(symbols: Sequence[str], pbc: bool, known: dict) -> list[str]:
    from ase.data import atomic_numbers

    doubts = []
    electrons = sum(atomic_numbers[s] for s in symbols)
    if known["closed_shell"] and electrons % 2:
        doubts.append(
            "an odd number of electrons where it is neutral: the model knows neutral molecules of "
            "closed shells, neither radicals nor ions"
        )
    if pbc not in known["periodic"]:
        kinds = ("a periodic structure", "isolated molecules")
        doubts.append(f"{kinds[not pbc]}: the model was tested on {kinds[pbc]} alone")
    return doubts


def calibrate(model: DeepDensity, chosen: Sequence[Chosen], nmae: Sequence[float]) -> dict:
    """How true errors go with deviations, over frames that no member was trained on.

    Parameters
    ----------
    model : DeepDensity
        An ensemble.
    chosen : sequence of Chosen
        Frames with a reference.
    nmae : sequence of float
        Their errors in the same order, percent.

    Returns
    -------
    dict
        factor and scatter: the errors' ratio to the deviation, mean and standard deviation of its
        logarithm, both as factors; atoms: largest deviation of an atom of each element that is
        not odd, percent; bonds: least and largest sum of bond orders of an atom of each element;
        closed_shell (of molecules), periodic: what the frames were; rank_correlation, frames, nmae.

    Raises
    ------
    InputError
        Too few frames, or a single model.
    """
    from ase.data import atomic_numbers
    from scipy.stats import spearmanr

    if len(nmae) < _LEAST_FRAMES:
        raise InputError(f"calibration: found {len(nmae)} frames, expected {_LEAST_FRAMES} or more")
    deviations: list[float] = []
    atoms: dict[str, list[float]] = {}
    bonds: dict[str, list[float]] = {}
    electrons: list[int] = []
    periodic: set[bool] = set()
    for entry in chosen:
        for index in entry.indices:
            frame = entry.system.frame(index)
            box = frame.periodic_box
            of_frame, of_atoms = model.eval_deviation(frame.coord, box, model.types_of_frame(frame))
            deviations.append(float(of_frame[0]))
            symbols = [model.type_map[t] for t in frame.atype]
            orders = _bonds(symbols, frame.coord, box, model.rcut)
            for symbol, value, order in zip(symbols, of_atoms[0], orders, strict=True):
                atoms.setdefault(symbol, []).append(np.log(value))
                bonds.setdefault(symbol, []).append(float(order))
            electrons.append(sum(atomic_numbers[s] for s in symbols))
            periodic.add(bool(frame.pbc))
    ratio = np.log(np.asarray(nmae) / deviations)
    return {
        "factor": float(np.exp(ratio.mean())),
        "scatter": float(np.exp(ratio.std(ddof=1))),
        "atoms": {
            symbol: float(np.exp(np.mean(x) + _FAR * np.std(x))) for symbol, x in atoms.items()
        },
        "bonds": {symbol: [min(x), max(x)] for symbol, x in bonds.items()},
        # Of a metal's cell an odd number says nothing.
        "closed_shell": not model.has_spin
        and periodic == {False}
        and not any(n % 2 for n in electrons),
        "periodic": sorted(periodic),
        "rank_correlation": float(spearmanr(nmae, deviations).statistic),
        "frames": len(nmae),
        "nmae": float(np.mean(nmae)),
    }


def write_calibrated(source: str | Path, target: str | Path, calibration: dict) -> None:
    """A copy of a frozen model that carries its calibration."""
    from deepdensity_tf.utils.log import import_tensorflow

    import_tensorflow()
    from deepdensity_tf.infer.graph_def import read_graph
    from deepdensity_tf.model.frozen import constants
    from deepdensity_tf.utils.files import atomic_path
    from deepdensity_tf.utils.graph_names import CALIBRATION

    graph = read_graph(model_path(source))
    kept = [node for node in graph.node if node.name != CALIBRATION]
    del graph.node[:]
    graph.node.extend([*kept, *constants({CALIBRATION: json.dumps(calibration)})])
    with atomic_path(target) as temporary:
        temporary.write_bytes(graph.SerializeToString(deterministic=True))
