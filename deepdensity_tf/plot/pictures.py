"""Pictures of models and of their training, as matplotlib figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from deepdensity_tf.infer.metrics import density_errors, errors_by_decile
from deepdensity_tf.plot.sections import Line, Plane
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

DENSITY = r"density (electrons/Å$^3$)"
# Densities below this part of the largest one are drawn as this part.
_FLOOR = 1e-4
_STYLE = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid.which": "major",
    "grid.alpha": 0.3,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
}
_COLOURS = {"trn": "#1f77b4", "val": "#d62728"}
_NAMES = {"trn": "training", "val": "validation"}
_QUANTITIES = {
    "nmae": "NMAE (%)",
    "loss": "loss",
    "lr": "learning rate",
    "charge": "error of the charge (%)",
}


def check_picture(path: str | Path) -> None:
    """Raise InputError unless matplotlib can write a file of this name."""
    supported = ("png", "pdf", "svg", "eps", "jpg", "tif")
    if Path(path).suffix.lstrip(".").lower() not in supported:
        raise InputError(f"{path}: unknown kind of picture, expected .{', .'.join(supported)}")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure; its suffix chooses the format."""
    check_picture(path)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=200, bbox_inches="tight")


def read_lcurve(path: str | Path) -> dict[str, np.ndarray]:
    """Columns of a learning curve by their names; a torn last line is left out.

    Raises
    ------
    InputError
        Missing file, no header with `step`, or no data.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected a learning curve such as lcurve.out")
    header, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    names = header.lstrip("# ").split()
    if not header.startswith("#") or "step" not in names:
        raise InputError(f"{path}: first line names no columns, expected '# step ...'")
    try:
        rows = [[float(word) for word in line.split()] for line in lines if line[:1] != "#"]
    except ValueError as error:
        raise InputError(f"{path}: {error}, expected numbers") from None
    rows = [row for row in rows if len(row) == len(names)]
    if not rows:
        raise InputError(f"{path}: has no lines of data yet")
    return dict(zip(names, np.array(rows).T, strict=True))


@rc_context(_STYLE)
def learning_curve(columns: dict[str, np.ndarray]) -> Figure:
    """Errors, losses and learning rate against the step, one panel a quantity, log scale.

    Parameters
    ----------
    columns : dict
        See `read_lcurve`. Columns are called quantity_val, quantity_trn or quantity.
    """
    panels: dict[str, list[str]] = {}
    for name in columns:
        quantity, _, part = name.rpartition("_")
        if name not in ("step", "time"):
            panels.setdefault(quantity if part in _NAMES else name, []).append(name)
    figure, axes = _figure(len(panels), width=3.2, height=2.8)
    for axis, (quantity, names) in zip(axes, panels.items(), strict=True):
        for name in names:
            part = name.rpartition("_")[2]
            colour, label = _COLOURS.get(part, "black"), _NAMES.get(part)
            few = len(columns["step"]) < 20
            marker = "o" if few else None
            axis.plot(
                columns["step"], columns[name], color=colour, label=label, marker=marker, ms=3
            )
        if any((columns[name] > 0).any() for name in names):
            _log_scale(axis)
        axis.set(xlabel="step", ylabel=_QUANTITIES.get(quantity, quantity))
        axis.grid()
        if any(name.rpartition("_")[2] in _NAMES for name in names):
            axis.legend()
    return figure


@rc_context(_STYLE)
def parity(pred: np.ndarray, ref: np.ndarray, title: str) -> Figure:
    """Model against reference as a 2-D histogram, and the error in each decile of the density.

    Parameters
    ----------
    pred, ref : ndarray
        All points, electrons/Å^3.
    title : str
        What is shown.
    """
    pred, ref = np.ravel(pred), np.ravel(ref)
    errors = density_errors(pred, ref, None)
    figure, (left, right) = _figure(2, width=3.8, height=3.4)
    top = max(ref.max(), pred.max())
    bins = np.geomspace(_FLOOR * top, top, 161)
    counts, _, _ = np.histogram2d(np.clip(ref, bins[0], top), np.clip(pred, bins[0], top), bins)
    image = left.pcolormesh(
        bins, bins, np.ma.masked_equal(counts.T, 0), norm=LogNorm(1), rasterized=True
    )
    left.plot(bins[[0, -1]], bins[[0, -1]], color="black", lw=0.6)
    left.set(xscale="log", yscale="log", aspect="equal")
    left.set(xlabel=f"reference {DENSITY}", ylabel=f"model {DENSITY}", title=title)
    figure.colorbar(image, ax=left, label="points", shrink=0.85)
    text = f"NMAE {errors['nmae']:.2f} % over all points\nRMSE {errors['rmse']:.2g} electrons/Å$^3$"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}
    left.text(0.04, 0.96, text, transform=left.transAxes, va="top", bbox=box)
    _draw_deciles(right, errors_by_decile(pred, ref))
    return figure


def _draw_deciles(axis, deciles: list[dict]) -> None:
    place = np.arange(1, 11)
    mae = np.array([row["mae"] for row in deciles])
    mean = np.array([row["abs_ref_sum"] / row["npoints"] for row in deciles])
    axis.bar(place, mae, color="#9ecae1", label="mean absolute error")
    axis.plot(place, mean, "_", color="black", ms=14, mew=1.4, label="mean density")
    _log_scale(axis)
    # Vacuum has densities and errors many decades below those that matter.
    axis.set_ylim(bottom=max(0.3 * mae[mae > 0].min(initial=1.0), 1e-6 * mae.max()))
    axis.set(xlabel="decile of the density (10: highest)", ylabel="electrons/Å$^3$")
    axis.set_xticks(place)
    twin = axis.twinx()
    twin.plot(place, [row["share"] for row in deciles], color="#d62728", marker="o", ms=3)
    twin.set_ylabel("share of the absolute error (%)", color="#d62728")
    twin.spines["right"].set_visible(True)
    twin.set_ylim(0, 100)
    axis.legend(loc="upper left")


class _PlainNumbers(LogFormatter):
    """Writes 0.2 where LogFormatter writes 2e-01, at the ticks that it labels."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _log_scale(axis) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(_PlainNumbers())
    axis.yaxis.set_minor_formatter(_PlainNumbers(minor_thresholds=(1, 0.5)))


@rc_context(_STYLE)
def slices(plane: Plane, pred: np.ndarray, ref: np.ndarray, title: str) -> Figure:
    """Reference, model and their difference in one plane, with the atoms near it.

    Parameters
    ----------
    plane : Plane
        Coordinates of the points.
    pred, ref : ndarray
        Densities in the plane, (n, m), electrons/Å^3.
    title : str
        What is shown.
    """
    figure, axes = _figure(3, width=2.7, height=3.6, sharex=True, sharey=True)
    pred, ref = plane.close(pred), plane.close(ref)
    error = pred - ref
    top, limit = (max(float(np.abs(values).max()), 1e-12) for values in (ref, error))
    floor = max(float(ref.min()), _FLOOR * top)
    density = {"norm": LogNorm(floor, top), "cmap": "viridis"}
    signed = {"norm": Normalize(-limit, limit), "cmap": "RdBu_r"}
    panels = (
        ("reference", np.maximum(ref, floor), density, DENSITY, "white"),
        ("model", np.maximum(pred, floor), density, DENSITY, "white"),
        ("model $-$ reference", error, signed, "difference (electrons/Å$^3$)", "black"),
    )
    for axis, (name, values, colours, label, atoms) in zip(axes, panels, strict=True):
        image = axis.pcolormesh(
            plane.x, plane.y, values, shading="gouraud", rasterized=True, **colours
        )
        figure.colorbar(image, ax=axis, label=label, location="bottom", aspect=25)
        axis.set(title=name, xlabel="Å", aspect="equal")
        _draw_atoms(axis, plane, atoms)
    axes[0].set_ylabel("Å")
    seen = ref >= floor
    if seen.any():
        axes[0].set_xlim(plane.x[seen].min(), plane.x[seen].max())
        axes[0].set_ylim(plane.y[seen].min(), plane.y[seen].max())
    figure.suptitle(title, fontsize=9)
    return figure


def _draw_atoms(axis, plane: Plane, colour: str) -> None:
    """Filled: in the plane (0.3 Å); open: above or below it."""
    named: list[tuple[float, float]] = []
    for symbol, x, y, distance in sorted(plane.atoms, key=lambda atom: atom[3]):
        face = colour if distance < 0.3 else "none"
        axis.plot(x, y, "o", ms=3.5, mec=colour, mfc=face, mew=0.7)
        # Labels of atoms above one another would cover each other.
        if all(np.hypot(x - a, y - b) > 0.6 for a, b in named):
            axis.annotate(
                symbol,
                (x, y),
                xytext=(3, 3),
                textcoords="offset points",
                color=colour,
                fontsize=7,
                clip_on=True,
            )
            named.append((x, y))


@rc_context(_STYLE)
def profile(line: Line, pred: np.ndarray, ref: np.ndarray, title: str) -> Figure:
    """Reference and model along a line, their difference on the axis at the right.

    Parameters
    ----------
    line : Line
        Places and atoms.
    pred, ref : ndarray
        Densities, (n,), electrons/Å^3.
    title : str
        What is shown.
    """
    figure, (axis,) = _figure(1, width=6.0, height=3.4)
    twin = axis.twinx()
    twin.axhline(0, color="#d62728", lw=0.5)
    twin.plot(line.distance, pred - ref, color="#d62728", lw=1.0)
    twin.set_ylabel(r"model $-$ reference (electrons/Å$^3$)", color="#d62728")
    twin.spines["right"].set_visible(True)
    # Symmetric, and wide enough that the error does not cover the density.
    limit = 2.0 * max(float(np.abs(pred - ref).max()), 1e-12)
    twin.set_ylim(-limit, limit)
    axis.plot(line.distance, ref, color="black", label="reference")
    axis.plot(line.distance, pred, color="#1f77b4", ls="--", label="model")
    axis.set(xlabel=f"{line.name} (Å)", ylabel=DENSITY)
    axis.set_title(title, loc="left")
    axis.set_ylim(top=1.15 * max(float(ref.max()), float(pred.max())))
    for symbol, place in line.atoms:
        axis.axvline(place, color="grey", lw=0.6, ls=":")
        axis.annotate(
            symbol, (place, 0.97), xycoords=("data", "axes fraction"), va="top", ha="left"
        )
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    # The density lies on top of the error.
    axis.set_zorder(twin.get_zorder() + 1)
    axis.patch.set_visible(False)
    return figure


def _figure(npanels: int, width: float, height: float, **options):
    """A row of panels, `width` x `height` inches each."""
    figure = Figure(figsize=(width * npanels, height), layout="constrained")
    return figure, figure.subplots(1, npanels, squeeze=False, **options)[0]
