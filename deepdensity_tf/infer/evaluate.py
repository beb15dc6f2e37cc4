"""Errors of a model over data sets."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
from deepdensity_tf.utils.progress import track

if TYPE_CHECKING:
    from deepdensity_tf.infer.deep_density import DeepDensity


def evaluate(
    model: DeepDensity,
    chosen: Sequence[Chosen],
    detail: str | None = None,
    force: bool = False,
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

    Returns
    -------
    dict
        ``definition`` of the NMAE; ``frames``: a list of `density_errors` with ``system``,
        ``frame`` and ``expected_nmae`` (None without calibration); ``systems``: for each system
        `summarise` with ``system`` and ``path``; ``all``: `summarise` of all frames; ``deciles``:
        `errors_by_decile` of all frames. JSON takes it as it is.

    Raises
    ------
    InputError
        A frame that no density can be.
    """
    frames: list[dict] = []
    systems: list[dict] = []
    tables: list[list[dict]] = []
    total = sum(len(entry.indices) for entry in chosen)
    with track(total, "testing", "frames") as advance:
        for entry in chosen:
            with _detail_file(detail, entry.name) as keep:
                errors = Errors()
                examined = FrameList([entry.system], [entry.indices], force=force)
                for index, frame in zip(entry.indices, examined, strict=True):
                    label = f"{entry.name} frame {index}"
                    error, pred = add_frame_errors(errors, model, frame, label)
                    likely = expected_error(model, frame.coord, frame.periodic_box, frame.atype)
                    expected = None if likely is None else likely.nmae
                    frames.append(
                        {"system": entry.name, "frame": index, **error, "expected_nmae": expected}
                    )
                    ref = np.asarray(frame.density)
                    if ref.size >= 10 and frame.weight is None:
                        tables.append(errors_by_decile(pred, ref))
                    shape = (-1,) if frame.grid_shape is None else tuple(frame.grid_shape)
                    keep(index, pred.reshape(shape), ref.reshape(shape))
                    advance(nmae=error["nmae"])
            path = str(entry.system.path)
            systems.append({"system": entry.name, "path": path, **errors.result()})
    return {
        "definition": NMAE_DEFINITION,
        "frames": frames,
        "systems": systems,
        "all": summarise(frames),
        "deciles": merge_deciles(tables) if tables else [],
    }


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
