"""PAW occupancies as labels of systems: what their numbers are, and those of a frame.

A system that has them holds `augmentation.npy` (nframes, natoms, n) in its sets, NaN behind the
numbers of an element that has fewer, with spin also `spin_augmentation.npy` (up minus down), and
beside type_map.raw `augmentation.json`: whose numbers they are and the l of each element's
channels (utils.paw_blocks).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.paw_blocks import (
    Channels,
    Occupancies,
    channels_from,
    checked_occupancies,
)

if TYPE_CHECKING:
    from deepdensity_tf.data.frame import Frame
    from deepdensity_tf.data.layout import SystemFiles

NAME = "augmentation.json"


def read_channels(files: SystemFiles) -> Channels | None:
    """What the occupancies of a system are; None where its sets hold none.

    Raises
    ------
    InputError
        Sets with occupancies but no augmentation.json that says what they are.
    """
    if not any("augmentation" in part.arrays for part in files.sets):
        return None
    path, _, group = files.path.partition("#")
    label = f"{files.path}/{NAME}"
    try:
        text = _stored_text(path, group) if group else _text(os.path.join(path, NAME))
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise InputError(
            f"{label}: cannot be read ({error}), expected it beside augmentation.npy"
        ) from None
    return channels_from(text, label)


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _stored_text(path: str, group: str) -> str:
    import h5py

    with h5py.File(path, "r") as file:
        return file[group][NAME][()].decode()


def common_channels(systems: Iterable[SystemFiles]) -> Channels | None:
    """Channels of all systems that have occupancies; None if none has.

    Raises
    ------
    InputError
        Systems of several codes or PAW data sets.
    """
    common = None
    for files in systems:
        channels = read_channels(files)
        if channels is not None:
            common = channels if common is None else common.joined(channels, files.path)
    return common


@dataclass(frozen=True)
class OccupancyLabels:
    """Which numbers a training learns of each atom.

    Parameters
    ----------
    channels : Channels
        What they are.
    type_map : tuple of str
        Elements of the types.
    spin : bool
        Those of the spin too.
    """

    channels: Channels
    type_map: tuple[str, ...]
    spin: bool = False

    def of(self, frame: Frame) -> np.ndarray:
        """(natoms, 1 or 2, width) float64; NaN where there is no number.

        Raises
        ------
        InputError
            Not the numbers that the channels say; no spin where it is asked for.
        """
        found = frame_occupancies(frame, self.channels, self.type_map)
        nset = 2 if self.spin else 1
        if found is None:
            return np.full((len(frame.coord), nset, self.channels.width), np.nan)
        if self.spin and found.spin is None:
            raise InputError(f"{frame.label}: model.spin is true, found no spin_augmentation.npy")
        return np.stack(found.sets[:nset], 1)


def frame_occupancies(
    frame: Frame, channels: Channels, type_map: Sequence[str]
) -> Occupancies | None:
    """Occupancies of a frame, checked; None where it has none.

    Raises
    ------
    InputError
        They do not have the numbers that the channels say.
    """
    if frame.augmentation is None:
        return None
    symbols = [type_map[t] for t in frame.atype]
    sets = [x for x in (frame.augmentation, frame.spin_augmentation) if x is not None]
    return checked_occupancies(channels, symbols, sets, frame.label)
