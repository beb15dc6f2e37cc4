"""Errors of a density against a reference, in one structure and over a set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepdensity_tf.utils.errors import InputError

NMAE_DEFINITION = "NMAE = 100 sum|rho_model - rho_ref| / sum|rho_ref| over the points, in percent"


def density_errors(
    pred: np.ndarray, ref: np.ndarray, volume_element: float | None, label: str = ""
) -> dict:
    """Errors of the density of one structure.

    Parameters
    ----------
    pred, ref : ndarray
        Densities of the model and of the reference at the same points, any one shape,
        electrons/Å^3. Sums are taken in float64.
    volume_element : float or None
        Volume a point stands for, Å^3. None: the points are a sample, not a full grid; there
        are no electrons to count then, and the NMAE is an estimate.
    label : str
        Name of the structure, kept in the result and used in messages.

    Returns
    -------
    dict
        ``label``; ``npoints``; ``sampled`` (bool); ``nmae`` (percent); ``mae``, ``rmse``,
        ``max_error`` (electrons/Å^3); ``abs_error_sum``, ``abs_ref_sum`` (the two sums of the
        NMAE); ``electrons_pred``, ``electrons_ref``, ``electrons_error`` (None if `sampled`).

    Raises
    ------
    InputError
        Shapes differ, no points, numbers that are not finite, or a reference that is 0
        everywhere.
    """
    pred, ref = _checked(pred, ref, label)
    error = np.abs(pred - ref)
    abs_error_sum, abs_ref_sum = float(error.sum()), float(np.abs(ref).sum())
    if abs_ref_sum == 0:
        raise InputError(f"{label or 'density'}: the reference is 0 everywhere, it has no NMAE")
    sampled = volume_element is None
    electrons_pred = None if sampled else float(pred.sum() * volume_element)
    electrons_ref = None if sampled else float(ref.sum() * volume_element)
    return {
        "label": label,
        "npoints": ref.size,
        "sampled": sampled,
        "nmae": 100 * abs_error_sum / abs_ref_sum,
        "mae": abs_error_sum / ref.size,
        "rmse": float(np.sqrt(np.mean(error**2))),
        "max_error": float(error.max()),
        "abs_error_sum": abs_error_sum,
        "abs_ref_sum": abs_ref_sum,
        "electrons_pred": electrons_pred,
        "electrons_ref": electrons_ref,
        "electrons_error": None if sampled else electrons_pred - electrons_ref,
    }


def summarise(errors: Sequence[dict]) -> dict:
    """Errors of a set of structures.

    Parameters
    ----------
    errors : sequence of dict
        Results of `density_errors`, at least one.

    Returns
    -------
    dict
        ``nframes``, ``npoints``, ``sampled`` (True if any structure is); ``nmae`` (the mean over
        structures), ``nmae_of_sums`` (100 times ratio of the sums over all points),
        ``nmae_median``, ``nmae_worst`` with its label ``worst`` (percent); ``mae``, ``rmse``
        (over all points), ``max_error`` (electrons/Å^3); ``electrons_mae``,
        ``electrons_max_error`` (of the structures with a full grid; None without any).
    """
    nmae = np.array([entry["nmae"] for entry in errors])
    npoints = np.array([entry["npoints"] for entry in errors], dtype=float)
    error_sum = sum(entry["abs_error_sum"] for entry in errors)
    worst = errors[int(nmae.argmax())]
    electrons = np.abs([e["electrons_error"] for e in errors if not e["sampled"]])
    return {
        "nframes": len(errors),
        "npoints": int(npoints.sum()),
        "sampled": any(entry["sampled"] for entry in errors),
        "nmae": float(nmae.mean()),
        "nmae_of_sums": 100 * error_sum / sum(entry["abs_ref_sum"] for entry in errors),
        "nmae_median": float(np.median(nmae)),
        "nmae_worst": worst["nmae"],
        "worst": worst["label"],
        "mae": error_sum / float(npoints.sum()),
        "rmse": float(np.sqrt(np.average([e["rmse"] ** 2 for e in errors], weights=npoints))),
        "max_error": max(entry["max_error"] for entry in errors),
        "electrons_mae": float(electrons.mean()) if len(electrons) else None,
        "electrons_max_error": float(electrons.max()) if len(electrons) else None,
    }


def errors_by_decile(pred: np.ndarray, ref: np.ndarray) -> list[dict]:
    """Errors in ten groups of points, as many points each, from lowest to highest density.

    Parameters
    ----------
    pred, ref : ndarray
        As in `density_errors`; at least ten points.

    Returns
    -------
    list of dict
        For each decile of the reference: ``lower``, ``upper`` (its bounds, electrons/Å^3),
        ``npoints``, ``abs_error_sum``, ``abs_ref_sum``, ``error_sum`` (of model minus
        reference), and what follows of them: ``nmae`` (percent; None where the reference is 0),
        ``mae``, ``bias`` (electrons/Å^3), ``share`` (percent of the absolute error of all points).
    """
    pred, ref = _checked(pred, ref, "")
    if ref.size < 10:
        raise InputError(f"deciles of the density need 10 points or more, found {ref.size}")
    error = pred - ref
    groups = np.array_split(np.argsort(ref, kind="stable"), 10)
    return _with_ratios(
        [
            {
                "lower": float(ref[group[0]]),
                "upper": float(ref[group[-1]]),
                "npoints": len(group),
                "abs_error_sum": float(np.abs(error[group]).sum()),
                "abs_ref_sum": float(np.abs(ref[group]).sum()),
                "error_sum": float(error[group].sum()),
            }
            for group in groups
        ]
    )


def merge_deciles(tables: Sequence[list[dict]]) -> list[dict]:
    """One decile table of many structures: sums are added, bounds are the outermost.

    Parameters
    ----------
    tables : sequence
        Results of `errors_by_decile`, at least one. Each structure has its own deciles.
    """
    sums = ("npoints", "abs_error_sum", "abs_ref_sum", "error_sum")
    return _with_ratios(
        [
            {
                "lower": min(row["lower"] for row in rows),
                "upper": max(row["upper"] for row in rows),
                **{key: sum(row[key] for row in rows) for key in sums},
            }
            for rows in zip(*tables, strict=True)
        ]
    )


def _with_ratios(rows: list[dict]) -> list[dict]:
    total = sum(row["abs_error_sum"] for row in rows)
    for row in rows:
        ref_sum = row["abs_ref_sum"]
        row["nmae"] = 100 * row["abs_error_sum"] / ref_sum if ref_sum else None
        row["mae"] = row["abs_error_sum"] / row["npoints"]
        row["bias"] = row["error_sum"] / row["npoints"]
        row["share"] = 100 * row["abs_error_sum"] / total if total else 0.0
    return rows


def check_finite(values: np.ndarray, name: str, label: str) -> None:
    """Raise InputError if a density holds NaN or infinity."""
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise InputError(f"{label}: {name} density is not finite at {bad} of {values.size} points")


def _checked(pred: np.ndarray, ref: np.ndarray, label: str) -> tuple[np.ndarray, np.ndarray]:
    pred, ref = np.asarray(pred, dtype=np.float64), np.asarray(ref, dtype=np.float64)
    label = label or "density"
    if pred.shape != ref.shape:
        raise InputError(f"{label}: model gives shape {pred.shape}, the reference has {ref.shape}")
    if ref.size == 0:
        raise InputError(f"{label}: has no points")
    for name, values in (("model", pred), ("reference", ref)):
        check_finite(values, name, label)
    return pred.ravel(), ref.ravel()
