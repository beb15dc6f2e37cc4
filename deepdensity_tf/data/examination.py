"""What is in a data set, frame by frame: gathered once, kept beside the data, used by training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deepdensity_tf.data.checks import check_frame, closest_atoms
from deepdensity_tf.data.frame import Frame
from deepdensity_tf.data.index import read_side_file, write_side_file
from deepdensity_tf.data.layout import SystemFiles
from deepdensity_tf.utils.errors import InputError

_NAME = ".deepdensity_data.json"
_VERSION = 1


class Fault(NamedTuple):
    """A frame that cannot be trained on."""

    system: int  # place in the list of systems at the path
    frame: int
    message: str


def known_faults(path: str, systems: Sequence[SystemFiles]) -> list[Fault] | None:
    """Faulty frames at a path as `dd-tf data` found them; None if it has not seen these files."""
    content = read_side_file(path, _NAME)
    if content is None or content.get("files") != _fingerprint(path, systems):
        return None
    return [Fault(*entry) for entry in content["faults"]]


def keep_faults(path: str, systems: Sequence[SystemFiles], faults: Sequence[Fault]) -> str | None:
    """Keep the result beside the data, or in the user's cache; the file it is in."""
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
    for system in systems:
        for part in system.sets:
            digest.update(part.name[len(path) :].encode())
            for name, array in part.arrays.items():
                digest.update(f"{name} {array.file.state} {array.shape}".encode())
    return digest.hexdigest()


class FrameFacts(NamedTuple):
    """What is seen of one frame."""

    natoms: int
    electrons: float | None
    spacing: float | None  # largest distance between neighbouring grid planes' points, Å
    closest: float  # Å; infinite where no two atoms are near
    fault: str | None


# Two atoms farther apart than this (Å) are not close, whatever they are.
_NEAR = 3.0


def frame_facts(frame: Frame) -> FrameFacts:
    """Read a frame in full."""
    fault = None
    try:
        check_frame(frame)
    except InputError as error:
        fault = str(error)
    finite = np.isfinite(frame.coord).all() and np.isfinite(frame.box).all()
    spacing = None
    if frame.grid_shape is not None:
        spacing = float((np.linalg.norm(frame.box, axis=1) / frame.grid_shape).max())
    closest = closest_atoms(frame, _NEAR)[0] if finite and fault is None else np.inf
    return FrameFacts(len(frame.coord), frame.electrons, spacing, closest, fault)
