"""What `dd-tf predict` computes for one structure, and the files it goes to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepdensity_tf.formats import FileOptions, Grid, file_format, write_volumetric
from deepdensity_tf.formats.findings import report
from deepdensity_tf.formats.integral import examine_prediction
from deepdensity_tf.formats.qe_save import write_save
from deepdensity_tf.infer.grids import GridOptions
from deepdensity_tf.infer.structures import StructureFrame
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path

if TYPE_CHECKING:
    from ase import Atoms

    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.utils.paw_blocks import Occupancies

log = logging.getLogger(__name__)

# Formats whose files hold the spin density beside the density.
TOGETHER = ("qe", "vasp", "npz")


@dataclass(frozen=True)
class PredictOptions:
    """What is computed.

    Parameters
    ----------
    grid : GridOptions
        Where.
    electrons : float, optional
        Rescale density, spin density and gradient so that the density has this number.
    spin, gradient : bool
        The spin density, the gradient of the density as well.
    files : FileOptions
        What some kinds of files need to know.
    """

    grid: GridOptions = field(default_factory=GridOptions)
    electrons: float | None = None
    spin: bool = False
    gradient: bool = False
    files: FileOptions = field(default_factory=FileOptions)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of what is computed, "density" first."""
        extra = (name for name in ("spin", "gradient") if getattr(self, name))
        return ("density", *extra)


@dataclass(frozen=True)
class Prediction:
    """Densities of one structure.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure; its cell spans the grid.
    grid : Grid
        Where the values are.
    electrons : float
        Of the density on the grid, before rescaling.
    values : dict
        "density" and "spin" (nx, ny, nz) in electrons/Å^3, "gradient" (nx, ny, nz, 3) in
        electrons/Å^4.
    occupancies : Occupancies, optional
        PAW occupancies of the atoms, where the model has them.
    """

    atoms: Atoms
    grid: Grid
    electrons: float
    values: dict[str, np.ndarray]
    occupancies: Occupancies | None = None


def predict(
    model: DeepDensity,
    structure: StructureFrame,
    grid: Grid,
    options: PredictOptions,
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Density of a structure, and what else is asked.

    Parameters
    ----------
    model : DeepDensity
        Frozen model.
    structure : StructureFrame
        Atoms.
    grid : Grid
        Where (see `infer.grids.choose_grid`).
    options : PredictOptions
        Quantities.
    progress : callable, optional
        Called with the points done and the points in all, while the density is computed.

    Raises
    ------
    InputError
        An element the model does not know, no spin in the model, no electrons to rescale.
    """
    atoms = structure.atoms
    atype = model.types_of(atoms)
    pbc = bool(atoms.pbc.any())
    box = grid.cell if pbc else None
    frame = (atoms.positions - grid.origin, grid.cell, atype, grid.shape, pbc)
    values = {"density": model.eval_grid(*frame, progress=progress)}
    electrons = float(values["density"].sum() * grid.volume_element)
    scale = _scale(electrons, options.electrons)
    values["density"] *= scale
    if options.spin:
        values["spin"] = scale * model.eval_grid(*frame, spin=True)
    if options.gradient:
        gradient = model.eval_gradient(atoms.positions, box, atype, grid.points())
        values["gradient"] = scale * gradient.reshape(*grid.shape, 3)
    report(examine_prediction(electrons, atoms, _valences(model, atype)), structure.label)
    on_grid = atoms.copy()
    on_grid.cell = grid.cell
    occupancies = None
    if model.augmentation is not None:
        occupancies = model.eval_augmentation(atoms.positions, box, atype)
    return Prediction(on_grid, grid, electrons, values, occupancies)


def _valences(model: DeepDensity, atype: np.ndarray) -> float | None:
    """Electrons of the training's elements, where the model knows them."""
    valence = model.training_script["model"].get("electrons")
    return float(np.sum(np.take(valence, model.elements_of(atype)))) if valence else None


def _scale(found: float, wanted: float | None) -> float:
    """Factor that gives the wanted number of electrons."""
    if wanted is None:
        return 1.0
    if found <= 0:
        raise InputError(f"--electrons: the model gives {found:g} electrons, nothing to rescale")
    return wanted / found


def output_files(
    outputs: Sequence[str | Path], quantities: Iterable[str], number: int | None = None
) -> list[tuple[str, Path]]:
    """Every file of a prediction, with the quantity it holds.

    Parameters
    ----------
    outputs : sequence of str or Path
        Files of the density.
    quantities : iterable of str
        See `PredictOptions.quantities`.
    number : int, optional
        Frame of a trajectory: it comes before the suffix, with six digits or more.

    Examples
    --------
    >>> [str(path) for _, path in output_files(["a/rho.cube"], ["density", "spin"], 12)]
    ['a/rho.000012.cube', 'a/rho.000012.spin.cube']
    >>> [str(path) for _, path in output_files(["CHGCAR"], ["density", "gradient"], 12)]
    ['CHGCAR.000012', 'CHGCAR.000012.gradient.npy']
    """
    files = []
    for quantity in quantities:
        words = [] if number is None else [f"{number:06d}"]
        if quantity == "gradient":
            files.append((quantity, _named(outputs[0], [*words, quantity], ".npy")))
            continue
        words += [] if quantity == "density" else [quantity]
        # Some files hold density and spin density together.
        apart = [o for o in outputs if quantity == "density" or file_format(o) not in TOGETHER]
        files += [(quantity, _named(output, words)) for output in apart]
    return files


def _named(path: str | Path, words: list[str], suffix: str | None = None) -> Path:
    """The path with words before its suffix, or before another suffix."""
    path = Path(path)
    own = path.suffix
    if path.name.upper().startswith("CHGCAR") and own.lower() not in (".vasp", ".cube", ".npy"):
        own = ""  # CHGCAR.new: the end is part of the name
    stem = path.name[: len(path.name) - len(own)]
    return path.with_name(".".join([stem, *words]) + (own if suffix is None else suffix))


def write_prediction(
    prediction: Prediction, quantity: str, path: Path, options: FileOptions | None = None
) -> None:
    """Write one quantity to a file, which appears whole or not at all."""
    values = prediction.values[quantity]
    if quantity == "gradient":
        with atomic_path(path) as temporary:
            np.save(temporary, values)
    elif file_format(path) == "qe" and options and options.waves:
        write_save(path, prediction.atoms, values, options.waves, prediction.values.get("spin"))
    else:
        options = replace(
            options or FileOptions(),
            occupancies=prediction.occupancies,
            spin=prediction.values.get("spin"),
        )
        write_volumetric(path, prediction.atoms, values, prediction.grid.origin, options)
