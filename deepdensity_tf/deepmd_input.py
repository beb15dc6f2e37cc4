"""Inputs written for DeePMD-kit's `dp train`: what is taken, and what to write instead.

A key that has no effect here is taken with a warning; one that means something else is an error,
and all of them are told at once.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)


def _always(value: Any) -> bool:
    return True


def _never(value: Any) -> bool:
    return False


def _one_of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _starts(value: Any, *starts: str) -> bool:
    return isinstance(value, str) and value.startswith(starts)


class _Key(NamedTuple):
    """What is said of a key of `dp train`, and for which values it has no effect here."""

    advice: str
    harmless: Callable[[Any], bool] = _never


_NO_LIMIT = _Key("neighbours are not limited", _always)
_ONE_SEED = _Key("training.seed is the seed of all", _always)
_NO_SCALE = _Key("the nets have no such scale", _always)
_ACTIVATION = _Key("leave it out, activations are fixed")
_PRECISION = _Key("write model.precision, float32 or float64", _one_of("default"))
_BATCHES = _Key("leave it out, batch_size of validation_data is the number of frames in all")
_ENERGY = _Key("leave it out; the loss of a density has pref_abs, pref_sq, pref_charge")

_KEYS = {
    "model.type": _Key("there is one kind of model", _one_of("standard")),
    "model.type_embedding": _Key("leave it out, descriptors know the types"),
    "model.data_stat_nbatch": _Key("statistics have a sample of their own", _always),
    "model.data_stat_protect": _Key("statistics need no such bound", _always),
    "model.descriptor.sel": _NO_LIMIT,
    "model.descriptor.seed": _ONE_SEED,
    "model.descriptor.resnet_dt": _NO_SCALE,
    "model.descriptor.type_one_side": _Key("nets know both types of a pair", _one_of(False)),
    "model.descriptor.activation_function": _ACTIVATION,
    "model.descriptor.precision": _PRECISION,
    "model.descriptor.trainable": _Key("all weights are trained", _one_of(True)),
    "model.descriptor.exclude_types": _Key("leave it out, all pairs count", _one_of([])),
    "model.descriptor.set_davg_zero": _Key("no averages are subtracted", _always),
    "model.fitting_net.seed": _ONE_SEED,
    "model.fitting_net.resnet_dt": _NO_SCALE,
    "model.fitting_net.activation_function": _ACTIVATION,
    "model.fitting_net.precision": _PRECISION,
    "model.fitting_net.trainable": _Key("all weights are trained", _one_of(True)),
    "model.fitting_net.numb_fparam": _Key("leave it out, there are no parameters", _one_of(0)),
    "model.fitting_net.numb_aparam": _Key("leave it out, there are no parameters", _one_of(0)),
    "model.fitting_net.rcond": _Key("energies are not fitted", _always),
    "model.fitting_net.atom_ener": _Key("energies are not fitted", _always),
    "learning_rate.type": _Key("leave it out, the rate falls exponentially", _one_of("exp")),
    "learning_rate.decay_steps": _Key("the rate falls at every step", _always),
    "learning_rate.decay_rate": _Key("write stop_lr, the rate at the end"),
    "learning_rate.scale_by_worker": _Key("leave it out, the rate is that of start_lr"),
    "loss.type": _ENERGY,
    "training.systems": _Key("write training_data.systems"),
    "training.batch_size": _Key("write training_data.batch_size"),
    "training.stop_batch": _Key("write numb_steps"),
    "training.set_prefix": _Key("sets are found by set.*", _one_of("set")),
    "training.numb_test": _Key("write validation_data.batch_size"),
    "training.training_data.auto_prob_style": _Key("write auto_prob"),
    "training.training_data.set_prefix": _Key("sets are found by set.*", _one_of("set")),
    "training.validation_data.numb_btch": _BATCHES,
    "training.validation_data.set_prefix": _Key("sets are found by set.*", _one_of("set")),
    "training.disp_training": _Key("the learning curve is always shown", _one_of(True)),
    "training.time_training": _Key("lcurve.out has the seconds", _always),
    "training.profiling": _Key("leave it out, there is no profiler", _one_of(False)),
    "training.profiling_file": _Key("there is no profiler", _always),
    "training.enable_profiler": _Key("leave it out, there is no profiler", _one_of(False)),
    "training.mixed_precision": _Key("write model.precision, float32 or float64"),
    "training.opt_type": _Key("leave it out, Muon moves matrices, Adam the rest", _one_of("Adam")),
    "training.max_ckpt_keep": _Key("the last three checkpoints are kept", _always),
    "nvnmd": _Key("leave it out, it is for other hardware"),
}

for _name in ("e", "f", "v", "ae", "pf", "acdf", "gf", "dos", "cdf", "h"):
    for _end in ("start", "limit"):
        _KEYS[f"loss.{_end}_pref_{_name}"] = _ENERGY

# Keys that both programs have, with values that only dp knows.
_FITTINGS = ("ener", "dipole", "polar", "dos", "property", "direct_force", "ener_spin")
_VALUES = {
    "model.fitting_net.type": (
        _one_of(*_FITTINGS),
        _Key("fits no density: leave it out, or write expansion, pair or exponential"),
    ),
    "model.descriptor.type": (
        lambda value: _starts(value, "se_a", "se_r", "se_e2_r", "se_e3", "dpa", "hybrid"),
        _Key("is not here: leave it out, or write equivariant or se_e2_a"),
    ),
    # 'auto:N' of training_data is known here too.
    "training.training_data.batch_size": (
        lambda value: value == "auto" or _starts(value, "mixed"),
        _Key("the default is taken", _always),
    ),
    "training.validation_data.batch_size": (
        lambda value: _starts(value, "auto") or _starts(value, "mixed"),
        _Key("the default is taken", _always),
    ),
}


def take_deepmd_input(data: dict, source: str = "input") -> dict:
    """An input without the keys of `dp train` that have no effect here.

    Parameters
    ----------
    data : dict
        What the user wrote.
    source : str
        File name for messages.

    Returns
    -------
    dict
        A copy without those keys; a warning names each.

    Raises
    ------
    InputError
        Keys that mean something else here: all of them, with what to write.
    """
    data = copy.deepcopy(data)
    wrong = []
    for path, key in {**_KEYS, **{path: key for path, (_, key) in _VALUES.items()}}.items():
        *parents, last = path.split(".")
        section = _section(data, parents)
        if section is None or last not in section:
            continue
        value = section[last]
        if path in _VALUES and not _VALUES[path][0](value):
            continue
        if key.harmless(value):
            log.warning("%s: %s has no effect: %s", source, path, key.advice)
            del section[last]
        else:
            wrong.append(f"{path} ({value!r}): {key.advice}")
    if wrong:
        raise InputError(f"{source}: written for dp train; {'; '.join(wrong)}")
    return data


def _section(data: dict, parents: list[str]) -> dict | None:
    for name in parents:
        data = data.get(name)
        if not isinstance(data, dict):
            return None
    return data
