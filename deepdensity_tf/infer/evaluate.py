"""Errors of a model over data sets."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepdensity_tf.data.frames import FrameList
from deepdensity_tf.infer.frames import Chosen, add_frame_errors
from deepdensity_tf.infer.metrics import (
    NMAE_DEFINITION,
    Errors,
    errors_by_decile,
    merge_deciles,
    summarise,
)
from deepdensity_tf.infer.uncertainty import expected_error
from deepdensity_tf.utils.files import atomic_path
from deepdensity_tf.utils.mpi import World

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity


def evaluate(
    model: DeepDensity,
    chosen: Sequence[Chosen],
    detail: str | None = None,
    force: bool = False,
    world: World | None = None,
) -> dict:
    """Compare a model with reference densities.

    Parameters
    ----------
    model : DeepDensity
        Frozen model.
    chosen : sequence of Chosen
        Systems and frames; types in the model's order.
    detail : str, optional
        Prefix of files ``<detail>.<system>.npz`` with the arrays ``pred_<frame>`` and
        ``ref_<frame>``, electrons/Å^3, shaped as the frame's grid or (npoints,).
    force : bool
        Warn of frames that are odd instead of refusing them (see `data.frames`).
    world : World, optional
        The processes that share the frames; with `detail`, the systems.

    Returns
    -------
    dict
        Empty in all but the first process. ``definition`` of the NMAE; ``frames``: a list of
        `density_errors` with ``system``, ``frame`` and ``expected_nmae`` (None without
        calibration); ``systems``: for each system
        `summarise` with ``system`` and ``path``; ``all``: `summarise` of all frames; ``deciles``:
        `errors_by_decile` of all frames. JSON takes it as it is.

    Raises
    ------
    InputError
        A frame that no density can be.
    """
    world = world or World()
    lists = [FrameList([entry.system], [entry.indices], force=force) for entry in chosen]
    # A file of details is the work of one process.
    step = 1 if detail is None else max(map(len, lists), default=1)
    shares = [
        (number, range(first, min(first + step, len(frames))))
        for number, frames in enumerate(lists)
        for first in range(0, len(frames), step)
    ]

    def work(share: tuple[int, range]) -> list[_Tested]:
        number, places = share
        entry = chosen[number]
        with _detail_file(detail, entry.name) as keep:
            return [_test(model, entry, lists[number], place, keep) for place in places]

    found = world.spread(
        work, shares, len(shares), "testing", lambda tested: {"nmae": tested[-1].errors["nmae"]}
    )
    if world.rank:
        return {}
    of_systems: list[list[_Tested]] = [[] for _ in chosen]
    for (number, _), tested in zip(shares, found, strict=True):
        of_systems[number] += tested
    frames = [row.errors for tested in of_systems for row in tested]
    tables = [row.deciles for tested in of_systems for row in tested if row.deciles]
    systems = [
        {"system": entry.name, "path": str(entry.system.path)}
        | summarise([row.errors for row in tested])
        for entry, tested in zip(chosen, of_systems, strict=True)
    ]
    return {
        "definition": NMAE_DEFINITION,
        "frames": frames,
        "systems": systems,
        "all": summarise(frames),
        "deciles": merge_deciles(tables) if tables else [],
    }


class _Tested(NamedTuple):
    """A frame compared with the model."""

    errors: dict
    deciles: list[dict]  # empty where there are none


def _test(
    model: DeepDensity, entry: Chosen, examined: FrameList, place: int, keep: Callable
) -> _Tested:
    index, frame = entry.indices[place], examined[place]
    error, pred = add_frame_errors(Errors(), model, frame, f"{entry.name} frame {index}")
    likely = expected_error(model, frame.coord, frame.periodic_box, model.types_of_frame(frame))
    expected = None if likely is None else likely.nmae
    ref = np.asarray(frame.density)
    shape = (-1,) if frame.grid_shape is None else tuple(frame.grid_shape)
    keep(index, pred.reshape(shape), ref.reshape(shape))
    deciles = errors_by_decile(pred, ref) if ref.size >= 10 and frame.weight is None else []
    row = {"system": entry.name, "frame": index, **error, "expected_nmae": expected}
    return _Tested(row, deciles)


@contextmanager
def _detail_file(prefix: str | None, name: str) -> Iterator[Callable]:
    """Yields keep(index, pred, ref), which appends to the npz file: memory holds one frame."""
    if prefix is None:
        yield lambda index, pred, ref: None
        return
    with atomic_path(f"{prefix}.{name}.npz") as temporary, zipfile.ZipFile(temporary, "w") as file:

        def keep(index: int, pred: np.ndarray, ref: np.ndarray) -> None:
            for key, array in (("pred", pred), ("ref", ref)):
                with file.open(f"{key}_{index}.npy", "w", force_zip64=True) as stream:
                    np.lib.format.write_array(stream, np.ascontiguousarray(array))

        yield keep
