"""Predictions for the frames of a trajectory: a run that can be killed and goes on.

Beside the outputs lies a record, OUTPUT.predict.json: the model, the options and a digest of every
frame. A frame whose files exist is finished. A run that finds a record of something else, or
files without a record, refuses to go on: old and new never mix.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepdensity_tf import __version__
from deepdensity_tf.infer.grids import choose_grid, warn_outside
from deepdensity_tf.infer.prediction import (
    PredictOptions,
    output_files,
    predict,
    write_prediction,
)
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path, remove_leftovers
from deepdensity_tf.utils.mpi import World
from deepdensity_tf.utils.progress import track
from deepdensity_tf.utils.shipped import model_path

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.structures import StructureFrame

log = logging.getLogger(__name__)

_REMEDY = "--overwrite begins anew, or choose another name for the output"


@dataclass(frozen=True)
class Run:
    """A run over a trajectory.

    Parameters
    ----------
    model : DeepDensity
        Frozen model.
    model_file : str
        Its file.
    frames : callable
        Returns a fresh iterator over the chosen frames, examined if its argument is true.
    options : PredictOptions
        What is computed.
    outputs : sequence of str
        Files of the density; those of a frame carry its number (see `output_files`).
    """

    model: DeepDensity
    model_file: str
    frames: Callable[[bool], Iterator[StructureFrame]]
    options: PredictOptions
    outputs: Sequence[str]

    def files(self, index: int) -> list[tuple[str, Path]]:
        """Quantity and path of every file of a frame."""
        return output_files(self.outputs, self.options.quantities, index)

    @property
    def record(self) -> Path:
        """File of the record."""
        first = Path(self.outputs[0])
        return first.with_name(f"{first.name}.predict.json")


def predict_trajectory(run: Run, world: World, overwrite: bool = False) -> int:
    """Write the files of all frames that are not finished yet, spread over the processes.

    Parameters
    ----------
    run : Run
        What to do.
    world : World
        The processes; frame after frame goes to the next one.
    overwrite : bool
        Remove the files of an earlier run first.

    Returns
    -------
    int
        Frames computed now, by all processes.

    Raises
    ------
    InputError
        A frame that cannot be predicted; files or a record that belong to something else.
    """
    todo = world.from_first(lambda: _prepare(run, overwrite))
    mine = set(todo[world.rank :: world.size])
    with (
        world.aborting(),
        track(len(todo) if world.rank == 0 else 0, "predicting", "frames") as advance,
    ):
        for done, structure in enumerate(_only(run.frames(False), mine)):
            _predict_frame(run, structure)
            # The others are as far as this process.
            advance(min(world.size, len(todo) - done * world.size))
    world.wait()
    return len(todo)


def _predict_frame(run: Run, structure: StructureFrame) -> None:
    grid = choose_grid(structure, run.options.grid)
    prediction = predict(run.model, structure, grid, run.options)
    for quantity, path in run.files(structure.index):
        if not path.exists():
            write_prediction(prediction, quantity, path, run.options.files)
    log.debug("%s: %.6f electrons on the grid", structure.label, prediction.electrons)


def _only(frames: Iterable[StructureFrame], indices: set[int]) -> Iterator[StructureFrame]:
    left = set(indices)
    for frame in frames if left else ():
        if frame.index in left:
            left.remove(frame.index)
            yield frame
        if not left:
            return


def _prepare(run: Run, overwrite: bool) -> list[int]:
    """Check all frames, write the record; the frames that are still to do."""
    digests = _read_through(run)
    old = _read_record(run.record)
    if overwrite:
        known = {int(index) for index in old["frames"]} if old else set()
        for index in known | set(digests):
            _remove_files(run, index)
        old = None
    facts = _facts(run)
    _check_record(run, old, facts, digests)
    frames = {**(old["frames"] if old else {}), **{str(i): d for i, d in digests.items()}}
    with atomic_path(run.record) as temporary:
        temporary.write_text(json.dumps({**facts, "frames": frames}, indent=1) + "\n")
    remove_leftovers(path for index in digests for _, path in run.files(index))
    todo = [index for index in digests if not _finished(run, index)]
    if len(todo) < len(digests):
        log.info("%d of %d frames are finished already", len(digests) - len(todo), len(digests))
    return todo


def _read_through(run: Run) -> dict[int, str]:
    """Digest of every frame; errors in the last frame come before the first is computed."""
    if run.options.spin and not run.model.has_spin:
        raise InputError(f"{run.model_file}: was trained without spin")
    digests: dict[int, str] = {}
    for structure in run.frames(True):
        try:
            run.model.types_of(structure.atoms)
            grid = choose_grid(structure, run.options.grid)
        except InputError as error:
            raise InputError(f"{structure.label}: {error}") from None
        if not digests:
            warn_outside(structure.atoms, grid)
            log.info("%s: grid %d x %d x %d", structure.label, *grid.shape)
        digests[structure.index] = _digest(structure)
    return digests


def _digest(structure: StructureFrame) -> str:
    atoms = structure.atoms
    arrays = [atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc]
    if atoms.has("initial_magmoms"):
        arrays.append(atoms.get_initial_magnetic_moments())
    data = b"".join(np.asarray(array, dtype=np.float64).tobytes() for array in arrays)
    return hashlib.sha256(data + repr(structure.grid_shape).encode()).hexdigest()[:16]


def _facts(run: Run) -> dict[str, Any]:
    """What decides on the numbers in the files, as JSON gives it back."""
    grid = run.options.grid
    like = None
    if grid.like:
        arrays = (grid.like.shape, grid.like.cell, grid.like.origin)
        data = b"".join(np.asarray(array, dtype=np.float64).tobytes() for array in arrays)
        like = hashlib.sha256(data).hexdigest()[:16]
    files = run.options.files
    return {
        "model": hashlib.sha256(model_path(run.model_file).read_bytes()).hexdigest(),
        "version": __version__,
        "outputs": [Path(output).name for output in run.outputs],
        "grid": list(grid.shape) if grid.shape else None,
        "spacing": grid.spacing,
        "like": like,
        "pad": grid.pad,
        "electrons": run.options.electrons,
        "spin": run.options.spin,
        "gradient": run.options.gradient,
        "waves": list(dataclasses.astuple(files.waves)) if files.waves else None,
        "augmentation": str(files.augmentation.path) if files.augmentation else None,
    }


def _read_record(path: Path) -> dict | None:
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text())
        dict.items(record["frames"])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path}: not a record of dd-tf predict; {_REMEDY}") from None
    return record


def _check_record(run: Run, old: dict | None, facts: dict, digests: dict[int, str]) -> None:
    if old is None:
        for index in digests:
            for _, path in run.files(index):
                if path.exists():
                    raise InputError(f"{path}: exists, but {run.record} does not; {_REMEDY}")
        return
    for key, value in facts.items():
        if old.get(key) != value:
            raise InputError(
                f"{run.record}: the earlier files have another {key} "
                f"({_short(old.get(key))}, now {_short(value)}); {_REMEDY}"
            )
    for index, digest in digests.items():
        before = old["frames"].get(str(index))
        existing = [path for _, path in run.files(index) if path.exists()]
        if existing and before != digest:
            raise InputError(f"{existing[0]}: was made for another structure; {_REMEDY}")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 40 else f"{text[:8]}..."


def _finished(run: Run, index: int) -> bool:
    return all(path.exists() for _, path in run.files(index))


def _remove_files(run: Run, index: int) -> None:
    for _, path in run.files(index):
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
