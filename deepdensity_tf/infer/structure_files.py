"""Files of structures: read by ASE, or by us where ASE guesses."""

from __future__ import annotations

import codecs
import io
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdensity_tf.data.selection import select_frames
from deepdensity_tf.formats.base import is_compressed, open_bytes, read_bytes, read_text
from deepdensity_tf.formats.files import plain_name
from deepdensity_tf.formats.qe_kinds import is_input, named_by_element
from deepdensity_tf.formats.streams import EndingText
from deepdensity_tf.utils.deferred import ase_io
from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

_VASP_STARTS = ("CHG", "AECCAR", "PARCHG", "LOCPOT", "ELFCAR")
_VASP_WORDS = ("POSCAR", "CONTCAR", "CENTCAR")
_HEAD = 50_000  # bytes that say the format
# A line of comment, then counts: the suffix may be any.
_LAMMPS_DATA = re.compile(rb"[^\n]*\n\s*\d+\s+atoms\b[^\n]*\n(?=[^\x00]*\bxlo\s+xhi\b)")
_BAD_INDEX = (IndexError, StopIteration, AssertionError)


def file_frames(path: str, frames: str) -> Iterator[tuple[int, Atoms]]:
    """Number and structure of the chosen frames of a file, in its order.

    Parameters
    ----------
    path : str
        File of a density or, for ASE, of a structure.
    frames : str
        See `data.selection.select_frames`.

    Raises
    ------
    InputError
        No such file or frame; what the readers complain of.
    """
    if not Path(path).is_file() and Path(path).suffix.lower() != ".save":
        raise InputError(f"{path}: no such file, expected a structure or a density system")
    atoms = _read_by_us(Path(path))
    if atoms is not None:
        yield from ((k, atoms[k]) for k in sorted(select_frames(frames, len(atoms), path)))
        return
    chosen = _chosen(path, frames)
    number = -1
    for number, atoms in zip(chosen, _iread(path, chosen), strict=False):
        yield number, atoms
    if number < 0:
        raise InputError(f"{path}: has no frame {frames}, or is not a structure file")


def _chosen(path: str, frames: str) -> range:
    """Rising frame numbers; the file is read through only if they count from its end."""
    endless = 1 << 60
    if "-" not in frames:
        return select_frames(frames, endless, path)
    nframes = sum(1 for _ in _iread(path, range(endless)))
    chosen = select_frames(frames, nframes, path)
    return chosen if chosen.step > 0 else chosen[::-1]


def _iread(path: str, chosen: range) -> Iterator[Atoms]:
    index = slice(chosen.start, chosen.stop, chosen.step)
    try:
        with _opened(Path(path)) as (source, kind):
            # parallel: ASE would send the frames of the first MPI rank to all.
            options = {"parallel": False, "do_not_split_by_at_sign": True}
            found = ase_io().iread(source, index, kind, **options)
            if kind == "lammps-dump-text":
                found = _whole_frames(source, list(found), chosen)
            count = 0
            for atoms in found:
                yield atoms
                count += 1
            if kind == "extxyz" and count < len(chosen):
                _expect_end(path, source)
    except InputError:
        raise
    except _BAD_INDEX:
        raise InputError(
            f"{path}: has no frame {chosen.start}, is truncated, or not a structure file"
        ) from None
    except Exception as error:  # ASE's readers raise whatever their parsing stumbles over.
        raise _unread(path, error) from None


def _whole_frames(stream: EndingText, frames: list[Atoms], chosen: range) -> list[Atoms]:
    """Frames of a dump, of which ASE takes the atoms that are there, however many there should be.

    One line behind the end is asked for to see that no frame follows.
    """
    if stream.behind > (len(frames) < len(chosen)):
        raise stream.truncated()
    return frames


def _expect_end(path: str, stream: EndingText) -> None:
    """No frame stands behind a blank line: ASE ends at the first one between frames.

    Frames that were not chosen may follow the last that was.
    """
    while (line := stream.readline()).strip():
        for _ in range(int(line) + 1):
            stream.readline()
    while line := stream.readline():
        if line.strip():
            raise InputError(
                f"{path}: blank lines between its frames, expected one frame directly behind the "
                "other (what follows them would be lost)"
            )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, str]]:
    """What ASE reads, a stream or the file's name, and the name of its format."""
    formats = ase_io().formats
    head = io.BytesIO(read_bytes(path, _HEAD).removeprefix(codecs.BOM_UTF8))
    head.name = plain_name(path)  # type: ignore[attr-defined]
    is_data = _LAMMPS_DATA.match(head.getvalue())
    kind = "lammps-data" if is_data else formats.filetype(head)
    if not formats.get_ioformat(kind).acceptsfd:
        yield str(path), kind
    elif not formats.get_ioformat(kind).isbinary:
        with EndingText(path) as stream:
            yield stream, kind
    elif kind == "cif":
        yield io.BytesIO(read_bytes(path).removeprefix(codecs.BOM_UTF8)), kind
    elif is_compressed(path):
        with open_bytes(path) as stream:
            yield stream, kind
    else:
        yield str(path), kind


def _read_by_us(path: Path) -> list[Atoms] | None:
    """Structures of formats in which ASE guesses elements or overlooks units; None: for ASE."""
    from deepdensity_tf.formats import read_density
    from deepdensity_tf.formats.vasp_header import read_structures

    name = plain_name(path).upper()
    vasp = name.startswith(_VASP_STARTS) or any(word in name for word in _VASP_WORDS)
    if name.endswith((".VASP", ".POSCAR")) or (
        vasp and Path(name).suffix[1:].lower() not in ase_io().formats.extension2format
    ):
        return read_structures(path)
    if name.endswith((".CUBE", ".CUB", ".NPZ", ".SAVE")):
        volumes = read_density(path)
        for volume in volumes:
            volume.atoms.positions += volume.origin
        return [volume.atoms for volume in volumes]
    if is_input(path):
        return [_pwscf_structure(path)]
    return None


def _pwscf_structure(path: Path) -> Atoms:
    ase_io()
    from ase.io.espresso import read_espresso_in

    text = read_text(path)
    _check_nat(path, text)
    try:
        return read_espresso_in(io.StringIO(named_by_element(path, text)))
    except InputError:
        raise
    except Exception as error:  # ASE's readers raise whatever their parsing stumbles over.
        raise _unread(path, error) from None


def _check_nat(path: Path, text: str) -> None:
    """As many lines of atoms as nat: ASE and pw.x leave the others out."""
    nat = re.search(r"^[^!\n]*\bnat\s*=\s*(\d{1,15})\b", text, re.IGNORECASE | re.MULTILINE)
    card = re.search(r"^\s*ATOMIC_POSITIONS.*\n((?:.*\n?)*)", text, re.IGNORECASE | re.MULTILINE)
    found = 0
    for line in card[1].splitlines() if card else []:
        words = line.split("!")[0].split("#")[0].split()
        if words and not (len(words) >= 4 and words[1][0] in "-+.0123456789("):
            break
        found += bool(words)
    if nat and found > int(nat[1]):
        raise InputError(
            f"{path}: found {found} atoms in ATOMIC_POSITIONS, expected nat = {nat[1]}"
        )


def _unread(path: str | Path, error: Exception) -> InputError:
    if isinstance(error, KeyError) and len(str(error)) < 20:
        reason = f"{error} is no element, or a key is missing"
        return InputError(f"{path}: ASE cannot read it as a structure ({reason})")
    reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" ...")
    return InputError(f"{path}: ASE cannot read it as a structure ({reason})")
