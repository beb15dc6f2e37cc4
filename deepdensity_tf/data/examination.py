"""What is in a data set, frame by frame: gathered once, kept beside the data, used by training."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deepdensity_tf.data.checks import check_frame, examine_frame
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.index import files_settled, read_side_files, write_side_file
from deepdensity_tf.data.layout import SystemFiles
from deepdensity_tf.formats.examine import closest_pair

_NAME = ".deepdensity_data.json"
_VERSION = 2


class Fault(NamedTuple):
    """A frame that cannot be trained on."""

    system: int  # place in the list of systems at the path
    frame: int
    message: str


def known_faults(path: str, systems: Sequence[SystemFiles]) -> list[Fault] | None:
    """Faulty frames at a path as `dd-tf data` found them; None if it has not seen these files."""
    fingerprint = None
    for content in read_side_files(path, _NAME, _VERSION):
        fingerprint = fingerprint or _fingerprint(path, systems)
        if content.get("files") == fingerprint:
            return [Fault(*entry) for entry in content["faults"]]
    return None


def keep_faults(
    path: str, systems: Sequence[SystemFiles], faults: Sequence[Fault], start: int
) -> str | None:
    """Keep the result beside the data, or in the user's cache; the file it is in.

    Not of files that were changed just before `start` (ns), when it was begun to look at them: they
    may have changed again, unseen.
    """
    if not files_settled(systems, start):
        return None
    content = {
        "version": _VERSION,
        "files": _fingerprint(path, systems),
        "faults": [list(fault) for fault in faults],
    }
    written = write_side_file(path, _NAME, content)
    return None if written is None else str(written)


def _fingerprint(path: str, systems: Sequence[SystemFiles]) -> str:
    """Of the names, sizes and times of change of all files."""
    digest = hashlib.sha256()
    start = len(path.rstrip("/"))
    for system in systems:
        for part in system.sets:
            digest.update(part.name[start:].encode())
            for name, array in part.arrays.items():
                digest.update(f"{name} {array.file.state} {array.shape}".encode())
    return digest.hexdigest()


# Two atoms farther apart than this (Å) are not close, whatever they are.
_NEAR = 3.0
# What a frame is odd for: atoms closer than those of H2 ever are (Å), a grid that much coarser than
# that of most frames, electrons that far off (electrons, part of all, typical deviations).
_TOO_CLOSE, _COARSE = 0.5, 1.5
_ELECTRONS_OFF, _PART_OFF, _TYPICAL_OFF = 0.5, 0.02, 10.0


class FrameFacts(NamedTuple):
    """What is seen of one sound frame."""

    label: str
    counts: dict[str, int]  # atoms of each element
    npoints: int
    electrons: float | None
    spacing: float | None  # largest distance between neighbouring points of the grid, Å
    closest: float  # Å; infinite where no two atoms are near
    doubts: tuple[str, ...] = ()  # of its electrons


def frame_facts(frame: Frame, type_map: Sequence[str]) -> FrameFacts:
    """Read a frame in full.

    Raises
    ------
    InputError
        No density calculation can have made it.
    """
    check_frame(frame)
    types, numbers = np.unique(frame.atype, return_counts=True)
    counts = {type_map[t]: int(n) for t, n in zip(types, numbers, strict=True)}
    spacing = None
    if frame.grid_shape is not None:
        spacing = float((np.linalg.norm(frame.box, axis=1) / frame.grid_shape).max())
    closest = closest_pair(frame.coord, frame.box, frame.pbc, _NEAR / 2).distance
    doubts = tuple(finding.message for finding in examine_frame(frame, type_map))
    npoints = len(frame.density)
    return FrameFacts(frame.label, counts, npoints, frame.electrons, spacing, closest, doubts)


def summarise(facts: Sequence[FrameFacts]) -> dict:
    """Figures of many frames, as JSON has them.

    Returns
    -------
    dict
        frames; atoms, points, electrons_per_atom, spacing (Å), closest (Å): smallest, mean and
        largest, or None where no frame has them; compositions: formula to frames, most frequent
        first; elements: name to atoms, frames and electrons (of an atom, least squares over the
        compositions; None where these do not fix them); odd: label and reason.
    """
    medians = _electrons_by_formula(facts)
    fitted = _electrons_by_element(facts, medians)
    compositions: dict[str, int] = defaultdict(int)
    elements: dict[str, dict] = {}
    for fact in facts:
        compositions[formula(fact.counts)] += 1
        for name, number in fact.counts.items():
            entry = elements.setdefault(name, {"atoms": 0, "frames": 0})
            entry["atoms"] += number
            entry["frames"] += 1
    for name, entry in elements.items():
        entry["electrons"] = fitted.get(name)
    natoms = [sum(fact.counts.values()) for fact in facts]
    electrons = [
        fact.electrons / n
        for fact, n in zip(facts, natoms, strict=True)
        if fact.electrons is not None and n
    ]
    spacings = [fact.spacing for fact in facts if fact.spacing is not None]
    return {
        "frames": len(facts),
        "atoms": _range(natoms),
        "points": _range([fact.npoints for fact in facts]),
        "electrons_per_atom": _range(electrons),
        "spacing": _range(spacings),
        "closest": _range([fact.closest for fact in facts if np.isfinite(fact.closest)]),
        "compositions": dict(sorted(compositions.items(), key=lambda item: (-item[1], item[0]))),
        "elements": dict(sorted(elements.items())),
        "odd": _odd(facts, medians, fitted, float(np.median(spacings)) if spacings else np.inf),
    }


def formula(counts: dict[str, int]) -> str:
    """Hill's: by the alphabet, with carbon and hydrogen first where there is carbon.

    >>> formula({"O": 1, "H": 6, "C": 2}), formula({"H": 1, "Cl": 1})
    ('C2H6O', 'ClH')
    """
    order = sorted(counts, key=lambda name: ("C" not in counts or name not in ("C", "H"), name))
    return "".join(f"{name}{counts[name] if counts[name] > 1 else ''}" for name in order)


def _range(values: Sequence[float]) -> dict | None:
    if not values:
        return None
    return {
        "min": float(np.min(values)),
        "mean": float(np.mean(values)),
        "max": float(np.max(values)),
    }


def _electrons_by_formula(facts: Sequence[FrameFacts]) -> dict[str, float]:
    """Median over the frames of each composition: a wrong frame does not move it."""
    found = defaultdict(list)
    for fact in facts:
        if fact.electrons is not None:
            found[formula(fact.counts)].append(fact.electrons)
    return {name: float(np.median(values)) for name, values in found.items()}


def _electrons_by_element(
    facts: Sequence[FrameFacts], medians: dict[str, float]
) -> dict[str, float]:
    """Electrons of an atom of each element; empty where the compositions do not fix them."""
    kinds = {formula(fact.counts): fact.counts for fact in facts if fact.electrons is not None}
    names = sorted({name for counts in kinds.values() for name in counts})
    rows = [[counts.get(name, 0) for name in names] for counts in kinds.values()]
    if not names or len(rows) < len(names):
        return {}
    wanted = [medians[kind] for kind in kinds]
    found, _, rank, _ = np.linalg.lstsq(np.array(rows, dtype=float), np.array(wanted), rcond=None)
    return dict(zip(names, found.tolist(), strict=True)) if rank == len(names) else {}


def _odd(
    facts: Sequence[FrameFacts],
    medians: dict[str, float],
    fitted: dict[str, float],
    spacing: float,
) -> list[dict[str, str]]:
    """Frames unlike the others, with what is odd."""
    expected = [_expected_electrons(fact, medians, fitted) for fact in facts]
    off = [
        0.0 if fact.electrons is None else abs(fact.electrons - wanted)
        for fact, wanted in zip(facts, expected, strict=True)
    ]
    typical = float(np.median(off)) if off else 0.0
    odd = []
    for fact, wanted, deviation in zip(facts, expected, off, strict=True):
        if deviation > max(_ELECTRONS_OFF, _PART_OFF * wanted, _TYPICAL_OFF * typical):
            reason = f"{fact.electrons:.4g} electrons, expected {wanted:.4g} by the other frames"
            odd.append({"frame": fact.label, "reason": reason})
        odd += [{"frame": fact.label, "reason": doubt} for doubt in fact.doubts]
        if fact.closest < _TOO_CLOSE:
            reason = f"two atoms {fact.closest:.3g} Å apart"
            odd.append({"frame": fact.label, "reason": reason})
        if fact.spacing is not None and fact.spacing > _COARSE * spacing:
            reason = f"grid points {fact.spacing:.3g} Å apart, {spacing:.3g} Å in most frames"
            odd.append({"frame": fact.label, "reason": reason})
    return odd


def _expected_electrons(
    fact: FrameFacts, medians: dict[str, float], fitted: dict[str, float]
) -> float:
    if fitted:
        return sum(number * fitted.get(name, 0.0) for name, number in fact.counts.items())
    return medians.get(formula(fact.counts), 0.0)
