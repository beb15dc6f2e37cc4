"""What the files of dd-tf predict need, and when they are refused."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdensity_tf.formats import FileOptions
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.infer.prediction import PredictOptions

log = logging.getLogger(__name__)


def spare_chgcar(path: str, args: argparse.Namespace) -> None:
    """A CHGCAR there may be the result of hours of VASP."""
    from deepdensity_tf.formats import file_format
    from deepdensity_tf.utils.errors import InputError

    if file_format(path) == "vasp" and Path(path).exists() and not args.force:
        raise InputError(f"{path}: exists already; --force replaces it, or choose another name")


def file_options(args: argparse.Namespace, outputs: list[str]) -> FileOptions:
    """What the outputs need beside the density."""
    from deepdensity_tf.formats import FileOptions, file_format
    from deepdensity_tf.formats.vasp_paw import read_augmentation
    from deepdensity_tf.interfaces.espresso import plane_waves
    from deepdensity_tf.utils.errors import InputError

    kinds = {file_format(path) for path in outputs}
    for option, kind, name in (
        ("ecutrho", "qe", "save"),
        ("hdf5", "qe", "save"),
        ("augmentation", "vasp", "CHGCAR"),
    ):
        if getattr(args, option) and kind not in kinds:
            raise InputError(f"--{option}: goes with a {name} output, none was asked for (-o)")
    return FileOptions(
        waves=plane_waves(args.structure, args.ecutrho, args.hdf5) if "qe" in kinds else None,
        augmentation=read_augmentation(args.augmentation) if args.augmentation else None,
    )


def warn_chgcar(outputs: list[str], model: DeepDensity, options: PredictOptions) -> None:
    """Say of CHGCAR files that they are not complete."""
    from deepdensity_tf.formats import file_format

    of_vasp = model.augmentation is not None and model.augmentation.code == "vasp"
    if of_vasp or options.files.augmentation:
        return
    for path in outputs:
        if file_format(path) == "vasp":
            log.warning(
                "%s: holds no PAW augmentation occupancies. VASP says so ('PAW occupancies are "
                "missing on CHGCAR') and starts them without: ICHARG = 1 saves fewer steps, "
                "ICHARG = 11 is not to be trusted. A model trained on CHGCAR files with "
                "model.augmentation predicts them; --augmentation takes them from a CHGCAR",
                path,
            )


def check_not_input(path: str, inputs: list[str | None]) -> None:
    from deepdensity_tf.utils.errors import InputError

    for given in inputs:
        if given and Path(path).resolve() == Path(given).resolve():
            raise InputError(f"{path}: is also an input, choose another name for the output")
