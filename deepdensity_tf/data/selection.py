"""Which frames of a system to take."""

from __future__ import annotations

import re

from deepdensity_tf.utils.errors import InputError


def select_frames(text: str, nframes: int, source: str) -> range:
    """Frame numbers of a slice such as '0:32', '32:', '::4' or a single number '5'.

    Parameters
    ----------
    text : str
        The slice, with Python's meaning.
    nframes : int
        Frames there are.
    source : str
        Key or option, for messages.

    Raises
    ------
    InputError
        Not a slice, or it takes no frame.
    """
    text = text.strip()
    if re.fullmatch(r"-?\d+", text):
        index = int(text)
        if not -nframes <= index < nframes:
            raise InputError(f"{source}: frame {index} asked for, found {nframes} frames")
        return range(index % nframes, index % nframes + 1)
    if not re.fullmatch(r"(-?\d+)?:(-?\d+)?(:-?[1-9]\d*)?", text):
        raise InputError(f"{source}: found {text!r}, expected a slice such as '0:32'")
    parts = [int(part) if part else None for part in text.split(":")]
    chosen = range(nframes)[slice(*parts)]
    if not chosen:
        raise InputError(f"{source}: {text!r} takes no frame of {nframes}")
    return chosen
