"""Errors of a density against a reference, in one structure and over a set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepdensity_tf.utils.errors import InputError

NMAE_DEFINITION = "NMAE = 100 sum|rho_model - rho_ref| / sum|rho_ref| over the points, in percent"


class Errors:
    """Errors of structures, added one after the other: of training, validation, test and plots.

    Memory holds some numbers a structure, never its points. `frames` has a dict for each, see
    `density_errors`.
    """

    def __init__(self):
        self.frames: list[dict] = []

    def add(self, predicted, sample, electrons=None, occupancies=None, moments=None) -> None:
        """Add the frames of a sample, whatever the numbers are.

        Parameters
        ----------
        predicted : array_like
            (npoints, ndensity), electrons/Å^3.
        sample : Sample
            Reference, weights, volumes and electrons of the same points.
        electrons : array_like, optional
            (nframes,) exact integrals of the model; without them charges are those of the points.
        occupancies : tuple of ndarray, optional
            PAW occupancies of the atoms (natoms, nset, width) and their units (natoms, nset).
        moments : array_like, optional
            (nframes, 3) first moments of the model, e Å.
        """
        predicted, reference = np.asarray(predicted), np.asarray(sample.density)
        for index, volume in enumerate(sample.volume):
            part = slice(*sample.point_splits[index : index + 2])
            known = electrons is not None and sample.electrons[index] > 0
            exact = (float(electrons[index]), float(sample.electrons[index])) if known else None
            error = _frame_errors(
                predicted[part].T, reference[part].T, sample.weight[part], float(volume), exact
            )
            if occupancies is not None:
                atoms = slice(*sample.coord_splits[index : index + 2])
                values, unit = (np.asarray(x)[atoms] for x in occupancies)
                wanted = sample.augmentation[atoms]
                error["augmentation_error"] = occupancy_error(values, wanted, unit)
            if moments is not None:
                off = float(np.linalg.norm(moments[index] - sample.first_moment[index]))
                error["dipole_error"] = off if np.isfinite(off) else None
            self.frames.append({"label": "", "sampled": True, **error})

    def add_frame(self, *args, **kwargs) -> dict:
        """Add the checked errors of one structure (see `density_errors`) and return them."""
        self.frames.append(density_errors(*args, **kwargs))
        return self.frames[-1]

    def result(self) -> dict:
        """Errors of all (see `summarise`)."""
        return summarise(self.frames)


def occupancy_error(values: np.ndarray, reference: np.ndarray, unit: np.ndarray) -> float | None:
    """Error of PAW occupancies beyond the mean of each element, percent.

    Parameters
    ----------
    values, reference : ndarray
        (natoms, nset, width), NaN where there is no number.
    unit : ndarray
        (natoms, nset) root mean square, over the training data, of the norm of what an element's
        occupancies differ from their mean.

    Returns
    -------
    float or None
        100 times the root mean square over atoms of |error| / unit; None without a reference.
    """
    known = np.isfinite(reference)
    labelled = known.any(-1)
    if not labelled.any():
        return None
    difference = np.where(known, np.nan_to_num(values) - np.nan_to_num(reference), 0.0)
    relative = (difference**2).sum(-1) / unit**2
    return float(100 * np.sqrt(relative[labelled].mean()))


def density_errors(
    pred: np.ndarray,
    ref: np.ndarray,
    volume_element: float | None,
    label: str = "",
    spin: tuple[np.ndarray, np.ndarray] | None = None,
    electrons: float | None = None,
    weight: np.ndarray | None = None,
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
    spin : tuple of ndarray, optional
        Spin densities of the model and of the reference, shaped alike.
    electrons : float, optional
        Exact integral of the model's density; without it, the sum over the grid.
    weight : ndarray, optional
        (npoints,) of a sample: sums with it estimate means over the full grid, without bias.

    Returns
    -------
    dict
        ``label``; ``npoints``; ``sampled`` (bool); ``nmae`` (percent); ``spin_nmae`` (percent:
        100 sum|error of the spin density| / sum|rho_ref|; None without spin); ``mae``, ``rmse``,
        ``max_error`` (electrons/Å^3); ``abs_error_sum``, ``abs_ref_sum`` (the two sums of the
        NMAE); ``electrons_pred``, ``electrons_ref``, ``electrons_error`` (None if `sampled`);
        ``charge_error`` (percent, absolute).

    Raises
    ------
    InputError
        Shapes differ, no points, numbers that are not finite, or a reference that is 0
        everywhere.
    """
    pairs = [_checked(pred, ref, label)]
    if spin is not None:
        pairs.append(_checked(*spin, f"{label or 'density'}, spin"))
    if not pairs[0][1].any():
        raise InputError(f"{label or 'density'}: the reference is 0 everywhere, it has no NMAE")
    sampled = volume_element is None
    npoints, exact = ref.size, None
    if electrons is not None and not sampled:
        exact = (electrons, float(pairs[0][1].sum() * volume_element))
    volume = None if sampled else npoints * volume_element
    predicted, references = zip(*pairs, strict=True)
    error = _frame_errors(predicted, references, weight, volume, exact)
    return {"label": label, "sampled": sampled, **error}


def _frame_errors(pred, ref, weight, volume, electrons) -> dict:
    """Sums over the points of a frame.

    Parameters
    ----------
    pred, ref : sequence of ndarray
        (npoints,) density and, if any, spin density.
    weight : ndarray or None
        (npoints,) whose sums over points are means; None: all points the same.
    volume : float or None
        Of the frame, Å^3.
    electrons : tuple of float or None
        Of model and reference; None: those of the points.
    """
    npoints = len(ref[0])

    def total(values: np.ndarray) -> float:
        return float(values.sum() if weight is None else npoints * (weight @ values))

    error = np.abs(pred[0] - ref[0])
    abs_error_sum, abs_ref_sum = total(error), total(np.abs(ref[0]))
    if electrons is None and weight is None and volume is not None:
        electrons = tuple(total(values[0]) * volume / npoints for values in (pred, ref))
    of_model, of_reference = electrons or (None, None)
    missing = None if electrons is None else of_model - of_reference
    charge = total(pred[0] - ref[0]) / abs_ref_sum if electrons is None else missing / of_reference
    spin = 100 * total(np.abs(pred[1] - ref[1])) / abs_ref_sum if len(ref) > 1 else None
    return {
        "npoints": npoints,
        "nmae": 100 * abs_error_sum / abs_ref_sum,
        "spin_nmae": spin,
        "mae": abs_error_sum / npoints,
        "rmse": float(np.sqrt(total(error**2) / npoints)),
        "max_error": float(error.max()),
        "abs_error_sum": abs_error_sum,
        "abs_ref_sum": abs_ref_sum,
        "electrons_pred": of_model,
        "electrons_ref": of_reference,
        "electrons_error": missing,
        "charge_error": 100 * abs(charge),
        "augmentation_error": None,
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
        ``electrons_max_error`` (of the structures whose electrons are known; None without any);
        ``spin_nmae`` (None without spin), ``charge_error`` (percent), means over structures.
    """
    nmae = np.array([entry["nmae"] for entry in errors])
    npoints = np.array([entry["npoints"] for entry in errors], dtype=float)
    error_sum = sum(entry["abs_error_sum"] for entry in errors)
    worst = errors[int(nmae.argmax())]
    electrons = [abs(e["electrons_error"]) for e in errors if e["electrons_error"] is not None]
    spin = [entry["spin_nmae"] for entry in errors if entry["spin_nmae"] is not None]
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
        "electrons_mae": float(np.mean(electrons)) if electrons else None,
        "electrons_max_error": max(electrons, default=None),
        "spin_nmae": float(np.mean(spin)) if spin else None,
        "charge_error": float(np.mean([entry["charge_error"] for entry in errors])),
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
