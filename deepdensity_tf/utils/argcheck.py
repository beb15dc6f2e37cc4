"""The input's schema: keys, types, defaults and documentation (dargs)."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import yaml
from dargs import Argument
from dargs.dargs import ArgumentError

from deepdensity_tf.utils.errors import InputError


def read_input(path: str | Path) -> dict:
    """Read a training input, JSON or YAML.

    Raises
    ------
    InputError
        Missing or unreadable file, broken syntax, no mapping at the top.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file, expected a training input") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            data = yaml.load(text, _UniqueKeyLoader)
        else:
            data = json.loads(text, object_pairs_hook=_unique_pairs)
    except (json.JSONDecodeError, yaml.YAMLError, _DuplicateKey) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {type(data).__name__} at the top, expected a mapping")
    return data


def complete_input(data: dict, source: str = "input") -> dict:
    """Check an input against the schema and fill in all defaults.

    Parameters
    ----------
    data : dict
        What the user wrote.
    source : str
        File name for messages.

    Raises
    ------
    InputError
        Unknown key (with the nearest right name), missing key, wrong type or value.
    """
    schema = training_input()
    data = {key: value for key, value in data.items() if not key.startswith("_")}
    _refuse_unknown(schema, data, source, "")
    data = _with_sections(data)
    try:
        data = schema.normalize_value(data, trim_pattern="_*")
        schema.check_value(data, strict=True)
    except ArgumentError as error:
        raise InputError(f"{source}: {_one_line(error)}") from None
    _check_values(data, source)
    return data


def describe_input() -> str:
    """Documentation of all keys, as text."""
    return training_input().gen_doc(make_anchor=False)


def training_input() -> Argument:
    """Schema of the whole input."""
    return Argument(
        "base",
        dict,
        [_model(), _learning_rate(), _loss(), _training()],
        doc="Input of dd-tf train.",
    )


def _model() -> Argument:
    from deepdensity_tf.baseline import BASELINES
    from deepdensity_tf.descriptor import DESCRIPTORS
    from deepdensity_tf.fit import FITTINGS

    return Argument(
        "model",
        dict,
        [
            Argument("type_map", list[str], doc="Elements, in the order of the model's types."),
            Argument(
                "rcut_point",
                float,
                optional=True,
                default=4.0,
                doc="How far an atom's density reaches, Å.",
            ),
            Argument(
                "nspline",
                int,
                optional=True,
                default=40,
                doc="Splines of the radial functions; rcut_point / nspline is their resolution.",
            ),
            Argument(
                "precision",
                str,
                optional=True,
                default="float32",
                doc="Of the nets: float32 or float64. The geometry is always float64.",
            ),
            Argument(
                "spin",
                bool,
                optional=True,
                default=False,
                doc="Learn the spin density (up minus down) as a second channel.",
            ),
            Argument(
                "electrons",
                [None, list[float]],
                optional=True,
                default=None,
                doc="Valence electrons of each type: every frame's density is then scaled to "
                "their sum, in training and in the frozen model. Only with fitting type expansion.",
            ),
            Argument(
                "descriptor",
                dict,
                [],
                [DESCRIPTORS.variant("equivariant")],
                optional=True,
                default={},
                doc="What an atom knows of its neighbours.",
            ),
            Argument(
                "fitting_net",
                dict,
                [],
                [FITTINGS.variant("expansion")],
                optional=True,
                default={},
                doc="The contribution of an atom to the density.",
            ),
            Argument(
                "baseline",
                dict,
                [],
                [BASELINES.variant("atomic")],
                optional=True,
                default={},
                doc="What is subtracted before the nets learn.",
            ),
        ],
        doc="The model.",
    )


def _learning_rate() -> Argument:
    return Argument(
        "learning_rate",
        dict,
        [
            Argument(
                "start_lr", float, optional=True, default=5e-3, doc="Learning rate at the start."
            ),
            Argument(
                "stop_lr", float, optional=True, default=1e-5, doc="Learning rate at the end."
            ),
        ],
        optional=True,
        default={},
        doc="Falls exponentially from start_lr to stop_lr over the run, as counted by numb_steps "
        "or max_time, whichever is nearer to its end.",
    )


def _loss() -> Argument:
    from deepdensity_tf.loss import density

    return Argument("loss", dict, density.arguments(), optional=True, default={}, doc="The loss.")


def _data(name: str, optional: bool, doc: str, batch_size: int, numb_points: int) -> Argument:
    return Argument(
        name,
        dict,
        [
            Argument(
                "systems",
                [str, list[str]],
                doc="Systems, or folders that hold systems (searched for type.raw).",
            ),
            Argument(
                "frames",
                [str, list[str]],
                optional=True,
                default=":",
                doc="Frames of each system, as a slice such as '0:32'; or a list, one for each "
                "entry of systems.",
            ),
            Argument(
                "batch_size",
                int,
                optional=True,
                default=batch_size,
                doc="Frames a batch; for validation: frames in all, 0 for every frame.",
            ),
            Argument(
                "numb_points", int, optional=True, default=numb_points, doc="Points of each frame."
            ),
            Argument(
                "uniform_fraction",
                float,
                optional=True,
                default=0.5,
                doc="Share of points drawn uniformly; the rest follows the density. Weights keep "
                "the loss unbiased.",
            ),
        ],
        optional=optional,
        doc=doc,
    )


def _training() -> Argument:
    return Argument(
        "training",
        dict,
        [
            _data("training_data", False, "Data to train on.", 1, 2000),
            _data("validation_data", True, "Data to validate on.", 0, 4000),
            Argument("numb_steps", int, doc="Steps to train."),
            Argument(
                "max_time",
                [float, None],
                optional=True,
                default=None,
                doc="Stop after so many seconds of training even if steps are left.",
            ),
            Argument("seed", int, optional=True, default=1, doc="Seed of weights and batches."),
            Argument("disp_file", str, optional=True, default="lcurve.out", doc="Learning curve."),
            Argument("disp_freq", int, optional=True, default=200, doc="Steps between its lines."),
            Argument(
                "save_freq", int, optional=True, default=1000, doc="Steps between checkpoints."
            ),
            Argument(
                "save_ckpt", str, optional=True, default="model.ckpt", doc="Checkpoint folder."
            ),
            Argument(
                "ema_decay",
                float,
                optional=True,
                default=0.998,
                doc="Decay of the running average of the weights that is validated and frozen.",
            ),
        ],
        doc="The run.",
    )


def _with_sections(data: dict) -> dict:
    """The input with all optional sections: dargs fills in defaults only where one is."""
    data = {"learning_rate": {}, "loss": {}, **data}
    if isinstance(data.get("model"), dict):
        data["model"] = {"descriptor": {}, "fitting_net": {}, "baseline": {}, **data["model"]}
    return data


_POSITIVE = (
    "model.rcut_point",
    "model.nspline",
    "model.descriptor.rcut",
    "model.descriptor.rcut_smth",
    "learning_rate.start_lr",
    "learning_rate.stop_lr",
    "training.numb_steps",
    "training.disp_freq",
    "training.save_freq",
    "training.max_time",
    "training.training_data.batch_size",
    "training.training_data.numb_points",
    "training.validation_data.numb_points",
    "model.descriptor.npass",
    "model.descriptor.nchannel",
    "model.descriptor.nscalar",
    "model.fitting_net.nradial",
)


def _check_values(data: dict, source: str) -> None:
    """Bounds that types alone do not express."""
    for path in _POSITIVE:
        value = _lookup(data, path)
        if value is not None and not value > 0:
            raise InputError(f"{source}: {path} is {value}, expected a positive number")
    for path in ("model.descriptor.neuron", "model.fitting_net.neuron"):
        value = _lookup(data, path) or [1]
        if min(value) < 1:
            raise InputError(f"{source}: {path} is {value}, expected positive layer sizes")
    for name in ("training_data", "validation_data"):
        path = f"training.{name}.uniform_fraction"
        value = _lookup(data, path)
        if value is not None and not 0 < value <= 1:
            raise InputError(f"{source}: {path} is {value}, expected more than 0 and at most 1")
    model = data["model"]
    descriptor = model["descriptor"]
    if not descriptor["rcut_smth"] < descriptor["rcut"]:
        raise InputError(
            f"{source}: model.descriptor.rcut_smth is {descriptor['rcut_smth']}, "
            f"expected less than rcut = {descriptor['rcut']}"
        )
    if not 1 <= descriptor.get("lmax", 1) <= 8:
        raise InputError(
            f"{source}: model.descriptor.lmax is {descriptor['lmax']}, expected 1 to 8"
        )
    if model["precision"] not in ("float32", "float64"):
        raise InputError(
            f"{source}: model.precision is {model['precision']!r}, expected float32 or float64"
        )
    if not model["type_map"] or len(set(model["type_map"])) != len(model["type_map"]):
        raise InputError(
            f"{source}: model.type_map is {model['type_map']}, expected distinct elements"
        )
    _check_electrons(model, source)
    if not 0 <= data["training"]["ema_decay"] < 1:
        raise InputError(
            f"{source}: training.ema_decay is {data['training']['ema_decay']}, "
            "expected 0 to below 1"
        )
    if model["nspline"] < 8:
        raise InputError(f"{source}: model.nspline is {model['nspline']}, expected at least 8")


def _check_electrons(model: dict, source: str) -> None:
    electrons = model["electrons"]
    if electrons is None:
        return
    if len(electrons) != len(model["type_map"]) or min(electrons) < 0 or not sum(electrons):
        raise InputError(
            f"{source}: model.electrons is {electrons}, expected a number for each type of "
            f"{model['type_map']}"
        )
    if model["fitting_net"]["type"] != "expansion":
        raise InputError(
            f"{source}: model.electrons needs fitting_net.type expansion, "
            f"found {model['fitting_net']['type']}"
        )


def _lookup(data: dict, path: str):
    for key in path.split("."):
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data


def _refuse_unknown(argument: Argument, value, source: str, path: str) -> None:
    """Unknown keys, with the nearest right one: dargs names none."""
    if not isinstance(value, dict):
        return
    known = dict(argument.sub_fields)
    for variant in argument.sub_variants.values():
        known["type"] = None
        tag = value.get("type", variant.default_tag)
        if tag not in variant.choice_dict:
            near = difflib.get_close_matches(str(tag), variant.choice_dict, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                f"{source}: {path}type is {tag!r}, expected one of "
                f"{', '.join(sorted(variant.choice_dict))}{hint}"
            )
        known.update(variant.choice_dict[tag].sub_fields)
    for key, item in value.items():
        if key.startswith("_"):
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(sorted(known))}"
            raise InputError(f"{source}: unknown key {path}{key}: {hint}")
        if known[key] is not None:
            _refuse_unknown(known[key], item, source, f"{path}{key}.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).replace("base -> ", "")


class _DuplicateKey(ValueError):
    pass


def _unique_pairs(pairs):
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise _DuplicateKey(f"key {key!r} stands twice in one section")
    return dict(pairs)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, refusing a key given twice."""


def _unique_mapping(loader, node):
    return _unique_pairs(
        [
            (loader.construct_object(k, True), loader.construct_object(v, True))
            for k, v in node.value
        ]
    )


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
