"""The input's schema: keys, types, defaults and documentation (dargs)."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from dargs import Argument
from dargs.dargs import ArgumentError

from deepdensity_tf.deepmd_input import take_deepmd_input
from deepdensity_tf.utils.bounds import NAME, NOT_NEGATIVE, POSITIVE, SHARE, bound
from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.plugin import load_plugins


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
    except RecursionError:
        raise InputError(f"{path}: nested too deeply") from None
    except (ValueError, yaml.YAMLError) as error:
        hint = "; comments go into keys that begin with _" if _has_comment(text, error) else ""
        raise InputError(f"{path}: {' '.join(str(error).split())}{hint}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: found {type(data).__name__} at the top, expected a mapping")
    return data


def _has_comment(text: str, error: Exception) -> bool:
    """JSON knows no comments; people write them all the same."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    rest = text[max(0, error.pos - 1) :].lstrip(", \n")
    return rest.startswith(("//", "#", "/*"))


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
    data = take_deepmd_input(data, source)
    _refuse_unknown(schema, data, source, "")
    data = _with_sections(data)
    try:
        data = schema.normalize_value(data, trim_pattern="_*")
        _check_numbers(data, source)
        schema.check_value(data, strict=True)
    except ArgumentError as error:
        raise InputError(f"{source}: {_reason(error, data)}") from None
    _check_values(data, source)
    return data


def describe_input() -> str:
    """Documentation of all keys, as text."""
    return training_input().gen_doc(make_anchor=False)


def json_schema() -> dict:
    """JSON Schema of the input, for editors that check and complete it."""
    from dargs.json_schema import generate_json_schema

    schema = generate_json_schema(training_input())
    _close(schema)
    return {**schema, "title": "Input of dd-tf train"}


def _close(schema: dict) -> None:
    """Let sections have no other keys than those named and comments."""
    for entry in schema.get("properties", {}).values():
        _close(entry)
    if schema.get("properties") and "object" in schema["type"]:
        schema["patternProperties"] = {"^_": {}}
        schema["unevaluatedProperties"] = False


def training_input() -> Argument:
    """Schema of the whole input, with the keys of installed plug-ins."""
    load_plugins()
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
            Argument(
                "type_map",
                list[str],
                doc="Elements, in the order of the model's types.",
                **bound(_are_elements, "distinct elements"),
            ),
            Argument(
                "tebd_dim",
                int,
                optional=True,
                default=16,
                doc="Numbers that stand for an element.",
                **POSITIVE,
            ),
            Argument(
                "rcut_point",
                float,
                optional=True,
                default=4.0,
                doc="How far an atom's density reaches, Å.",
                **POSITIVE,
            ),
            Argument(
                "nspline",
                int,
                optional=True,
                default=60,
                doc="Splines of the radial functions; rcut_point / nspline is their resolution.",
                **bound(lambda value: value >= 8, "at least 8"),
            ),
            Argument(
                "precision",
                str,
                optional=True,
                default="float32",
                doc="Of the nets: float32 or float64. The geometry is always float64.",
                **bound(lambda value: value in ("float32", "float64"), "float32 or float64"),
            ),
            Argument(
                "spin",
                bool,
                optional=True,
                default=False,
                doc="Learn the spin density (up minus down) as a second channel.",
            ),
            Argument(
                "initial_magmom",
                bool,
                optional=True,
                default=False,
                doc="With spin: the signs of the atoms' initial moments (initial_magmom.npy, "
                "VASP's MAGMOM) say which of several spin densities is meant. Turned all, they "
                "turn the spin density and leave the density.",
            ),
            Argument(
                "augmentation",
                [bool, str],
                optional=True,
                default=False,
                doc="Learn PAW occupancies too (augmentation.npy). out.json and checkpoints have "
                "the text of augmentation.json in place of true.",
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


def _are_elements(names: list[str]) -> bool:
    words = all(name.split() == [name] for name in names)
    return bool(names) and words and len(set(names)) == len(names)


def _learning_rate() -> Argument:
    return Argument(
        "learning_rate",
        dict,
        [
            Argument(
                "start_lr",
                float,
                optional=True,
                default=5e-3,
                doc="Learning rate at the start.",
                **POSITIVE,
            ),
            Argument(
                "stop_lr",
                float,
                optional=True,
                default=2e-4,
                doc="Learning rate at the end.",
                **POSITIVE,
            ),
            Argument(
                "warmup_steps",
                int,
                optional=True,
                default=200,
                doc="Steps over which the rate rises linearly to its value; never more than 5 % "
                "of the run. 0: none.",
                **NOT_NEGATIVE,
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


def _is_batch_size(value: int | str) -> bool:
    if isinstance(value, str):
        number = value.removeprefix("auto:")
        return number != value and number.isascii() and number.isdigit() and int(number) > 0
    return value > 0


_BATCH_SIZE = bound(_is_batch_size, "a positive number or 'auto:N'")
_NUMB_MODELS = bound(
    lambda value: value == "auto" if isinstance(value, str) else value > 0,
    "a positive number or 'auto'",
)
_WEIGHT_DECAY = bound(
    lambda value: value == "auto" if isinstance(value, str) else value >= 0, "0 or more, or 'auto'"
)


def _data(name: str, optional: bool, doc: str, batch_size: int, numb_points: int) -> Argument:
    probabilities = [
        Argument(
            "auto_prob",
            str,
            optional=True,
            default="prob_sys_size",
            doc="How often each system is drawn. prob_sys_size: by its frames, so that all frames "
            "are drawn equally often; prob_uniform: all systems equally often; "
            "'prob_sys_size;0:5:0.3;5:9:0.7': the systems 0 to 4 share 0.3, 5 to 8 share 0.7, "
            "each by its frames.",
        ),
        Argument(
            "sys_probs",
            [None, list[float]],
            optional=True,
            default=None,
            doc="Instead of auto_prob: how often each entry of systems is drawn, one number each.",
        ),
    ]
    return Argument(
        name,
        dict,
        [
            *([] if optional else probabilities),
            Argument(
                "systems",
                [str, list[str]],
                doc="Systems (deepmd/npy, also mixed), folders that hold systems (searched for "
                "type.raw), HDF5 files of systems or groups of them (file.hdf5#/group).",
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
                int if optional else [int, str],
                optional=True,
                default=batch_size,
                doc="Frames in all, always the same, spread at random over all systems; 0: every "
                "frame."
                if optional
                else "Frames a step; 'auto:N': as many as make N points.",
                **(NOT_NEGATIVE if optional else _BATCH_SIZE),
            ),
            Argument(
                "numb_points",
                int,
                optional=True,
                default=numb_points,
                doc="Points of each frame.",
                **POSITIVE,
            ),
            Argument(
                "uniform_fraction",
                float,
                optional=True,
                default=0.5,
                doc="Share of points drawn uniformly; the rest follows the density. Weights make "
                "sums over points unbiased.",
                **SHARE,
            ),
            Argument(
                "force",
                bool,
                optional=True,
                default=False,
                doc="Warn of odd frames (atoms too close, no plausible number of electrons), "
                "which are refused otherwise: differences of densities, say.",
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
            _data("validation_data", True, "Data to validate on.", 100, 4000),
            Argument("numb_steps", int, doc="Steps to train.", **POSITIVE),
            Argument(
                "max_time",
                [float, None],
                optional=True,
                default=None,
                doc="Stop after so many seconds of training even if steps are left.",
                **POSITIVE,
            ),
            Argument(
                "seed",
                int,
                optional=True,
                default=1,
                doc="Seed of weights and batches.",
                **NOT_NEGATIVE,
            ),
            Argument(
                "numb_models",
                [int, str],
                optional=True,
                default="auto",
                doc="Models that learn side by side, from seed, seed + 1 ... on: dd-tf freeze "
                "makes one ensemble of them, which errs less than each and knows how far they lie "
                "apart. 'auto': 4; 1 where a model is trained further, or a fitting has no "
                "coefficients.",
                **_NUMB_MODELS,
            ),
            Argument(
                "trained",
                str,
                optional=True,
                default="all",
                doc='Which weights: "all", or "augmentation", those of the PAW occupancies alone, '
                "of a model whose density stays as it is (--finetune or --init-model); save_best "
                "then goes by the error of the occupancies.",
                **bound(lambda value: value in ("all", "augmentation"), "all or augmentation"),
            ),
            Argument(
                "disp_file", str, optional=True, default="lcurve.out", doc="Learning curve.", **NAME
            ),
            Argument(
                "disp_freq",
                int,
                optional=True,
                default=200,
                doc="Steps between its lines.",
                **POSITIVE,
            ),
            Argument(
                "save_freq",
                int,
                optional=True,
                default=1000,
                doc="Steps between checkpoints.",
                **POSITIVE,
            ),
            Argument(
                "save_ckpt",
                str,
                optional=True,
                default="model.ckpt",
                doc="Checkpoint folder.",
                **NAME,
            ),
            Argument(
                "ema_decay",
                float,
                optional=True,
                default=0.998,
                doc="Decay of the running average of the weights that is validated and frozen.",
                **bound(lambda value: 0 <= value < 1, "0 to below 1"),
            ),
            Argument(
                "gradient_max_norm",
                float,
                optional=True,
                default=10.0,
                doc="Gradients whose norm, taken over all weights, is larger are scaled to it. "
                "0: never.",
                **NOT_NEGATIVE,
            ),
            Argument(
                "weight_decay",
                [float, str],
                optional=True,
                default="auto",
                doc="Share of the matrices that a step of learning rate 1 would take from them: "
                "what the data do not ask for is forgotten. 'auto': as much as leaves 1/e of it "
                "after the run, however long. 0: nothing.",
                **_WEIGHT_DECAY,
            ),
            Argument(
                "save_best",
                bool,
                optional=True,
                default=True,
                doc="Keep the averaged weights of the least validation NMAE, seen every disp_freq "
                "steps, in the checkpoints: dd-tf freeze takes them. Only with validation_data.",
            ),
            Argument(
                "tensorboard",
                bool,
                optional=True,
                default=False,
                doc="Write the columns of disp_file for TensorBoard too, and loss and NMAE of "
                "single batches.",
            ),
            Argument(
                "tensorboard_log_dir",
                str,
                optional=True,
                default="log",
                doc="Folder of TensorBoard's files; a restart goes on in it.",
                **NAME,
            ),
            Argument(
                "tensorboard_freq",
                int,
                optional=True,
                default=1,
                doc="Steps between single batches that TensorBoard shows.",
                **POSITIVE,
            ),
        ],
        doc="The run.",
    )


# What models are that are older than these keys of a descriptor, whose defaults say what newer are.
_BEFORE = {"equivariant": {"bounded": False, "crossed": False}}


def complete_model_of_before(model: dict) -> None:
    """Give keys that a model's section lacks, as it is older than they are, the values that say
    what that model is. Changes `model`.
    """
    descriptor = model["descriptor"]
    for key, value in _BEFORE.get(descriptor["type"], {}).items():
        descriptor.setdefault(key, value)


def stay_of_before(model: dict, before: dict) -> None:
    """Make an input's section of a model say what is in it as `before`, the completed section of
    that model, where it leaves it out and the default is what newer models are. Changes `model`.
    """
    descriptor = before["descriptor"]
    for key, value in _BEFORE.get(descriptor["type"], {}).items():
        if descriptor[key] == value:
            model.setdefault("descriptor", {}).setdefault(key, value)


def _with_sections(data: dict) -> dict:
    """The input with all optional sections: dargs fills in defaults only where one is."""
    data = {"learning_rate": {}, "loss": {}, **data}
    if isinstance(data.get("model"), dict):
        data["model"] = {"descriptor": {}, "fitting_net": {}, "baseline": {}, **data["model"]}
    return data


_HUGE = 10**18
_OUT_OF_BOUNDS = re.compile(r"key `(\w+)` gets bad value that fails .* checking\. (.*)")


def _check_numbers(data: dict, source: str) -> None:
    """No infinity, NaN, or what overflows when multiplied."""
    for path, value in _numbers(data, ""):
        if not abs(value) <= _HUGE:
            raise InputError(
                f"{source}: {path} is {str(value)[:20]}, expected a finite number, at most 1e18"
            )


def _check_values(data: dict, source: str) -> None:
    """Keys that must go together."""
    model = data["model"]
    for section, key, other in (
        (model["descriptor"], "rcut_smth", "rcut"),
        (data["learning_rate"], "stop_lr", "start_lr"),
    ):
        if section[key] > section[other] or key == "rcut_smth" and section[key] == section[other]:
            raise InputError(
                f"{source}: {key} is {section[key]}, expected less than {other} = {section[other]}"
            )
    descriptor, fitting = model["descriptor"], model["fitting_net"]
    if descriptor.get("axis_neuron", 0) > descriptor.get("neuron", [0])[-1]:
        raise InputError(
            f"{source}: model.descriptor.axis_neuron is {descriptor['axis_neuron']}, expected at "
            f"most the last of neuron, {descriptor['neuron'][-1]}"
        )
    if fitting["type"] == "expansion" and fitting["nradial"] > model["nspline"]:
        raise InputError(
            f"{source}: model.fitting_net.nradial is {fitting['nradial']}, expected at most "
            f"nspline = {model['nspline']}"
        )
    switches = {"pref_spin": model["spin"], "pref_aug": model["augmentation"]}
    used = {key: value for key, value in data["loss"].items() if switches.get(key, True)}
    if not any(used.values()):
        raise InputError(f"{source}: loss.{', '.join(used)} are 0, expected one above 0")
    trained = data["training"]["trained"]
    if trained == "augmentation" and not model["augmentation"]:
        raise InputError(
            f"{source}: training.trained is {trained}, model.augmentation is false, expected true"
        )
    if data["loss"]["pref_dipole"] and fitting["type"] != "expansion":
        raise InputError(
            f"{source}: loss.pref_dipole needs model.fitting_net.type expansion, "
            f"found {fitting['type']}"
        )
    if model["initial_magmom"]:
        _check_initial_magmom(model, source)
    _check_electrons(model, source)


def _check_initial_magmom(model: dict, source: str) -> None:
    for key, found, expected in (
        ("spin", model["spin"], True),
        ("fitting_net.type", model["fitting_net"]["type"], "expansion"),
    ):
        if found != expected:
            raise InputError(
                f"{source}: model.initial_magmom is true, model.{key} is {found}, "
                f"expected {expected}"
            )


def _numbers(value, path: str) -> Iterator[tuple[str, float]]:
    """All numbers with their keys."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _numbers(entry, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for entry in value:
            yield from _numbers(entry, path)
    elif isinstance(value, int | float):
        yield path, value


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
        if not isinstance(tag, str) or tag not in variant.choice_dict:
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


def _reason(error: ArgumentError, data: dict) -> str:
    """What dargs found, in our words where it is a bound."""
    text = " ".join(str(error).split()).replace("base -> ", "")
    found = _OUT_OF_BOUNDS.search(text)
    if not found:
        return text
    path = ".".join([*error.path.split("/"), found[1]])
    return f"{path} is {_lookup(data, path)!r}, {found[2]}"


class _BadKey(ValueError):
    pass


def _unique_pairs(pairs):
    keys = [key for key, _ in pairs]
    for key in keys:
        if not isinstance(key, str):
            raise _BadKey(f"key {key!r} is no text")
        if keys.count(key) > 1:
            raise _BadKey(f"key {key!r} stands twice in one section")
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
