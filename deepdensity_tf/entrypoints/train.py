"""dd-tf train: from an input file to checkpoints and a learning curve."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepdensity_tf.train.checkpoint import TrainingState
    from deepdensity_tf.train.pretrained import Pretrained
    from deepdensity_tf.train.trainer import Trainer

log = logging.getLogger(__name__)

_MODELS = 4  # more gain little: docs/performance.md
_EARLY = 0.8  # of a run: before it, a least validation error says that the run was too long
_AUTO_MODELS = ("numb_models", "auto")  # on a restart: as many as there were


def add_parser(subparsers) -> None:
    """Add `dd-tf train`."""
    parser = subparsers.add_parser(
        "train",
        help="train a model",
        description="Train a model on systems with densities. Writes out.json (the input with all "
        "defaults), lcurve.out (learning curve) and the checkpoint folder model.ckpt.",
        epilog="examples:\n  dd-tf train input.json\n  dd-tf train input.json --restart\n"
        "  dd-tf train input.json --finetune frozen_model.pb",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", nargs="?", help="training input, JSON or YAML")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="go on from the last checkpoint of training.save_ckpt",
    )
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--init-model",
        metavar="MODEL",
        help="start from the weights of a checkpoint folder or frozen model; its elements may be "
        "others, the baseline is fitted anew",
    )
    start.add_argument(
        "--finetune",
        metavar="MODEL",
        help="the same with the model's own section model (of the input only type_map and "
        "electrons count) and, unless the input says otherwise, a lower learning rate",
    )
    parser.add_argument(
        "--output", default="out.json", metavar="FILE", help="completed input (out.json)"
    )
    parser.add_argument("--keys", action="store_true", help="print all keys of the input and stop")
    parser.add_argument(
        "--schema", action="store_true", help="print a JSON Schema of the input and stop"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.utils.log import import_tensorflow

    import_tensorflow()
    from deepdensity_tf.schema import complete_input, describe_input, json_schema, read_input
    from deepdensity_tf.utils.errors import InputError

    if args.keys:
        print(describe_input())
        return
    if args.schema:
        print(json.dumps(json_schema(), indent=2))
        return
    if args.input is None:
        raise InputError("dd-tf train: no input given, expected a file such as input.json")
    from deepdensity_tf.train.pretrained import load_pretrained

    data, pretrained = read_input(args.input), None
    if args.restart:
        data = _as_before(data, args)
    elif args.finetune:
        pretrained = load_pretrained(args.finetune)
        data = pretrained.complete(data)
    config = complete_input(data, args.input)
    _check_targets(config, args)
    trained = config["training"]["trained"]
    if trained != "all" and not (args.finetune or args.init_model or args.restart):
        raise InputError(
            f"{args.input}: training.trained is {trained}, expected a trained model by "
            "--finetune or --init-model"
        )
    if args.init_model:
        pretrained = load_pretrained(args.init_model)
        pretrained.join_channels(config["model"])
    nmodels = config["training"]["numb_models"] = _number_of_models(config, pretrained)
    if pretrained and nmodels > 1:
        raise InputError(
            f"{args.input}: training.numb_models is {nmodels}, expected 1 with --finetune or "
            "--init-model: models that begin as one would stay one"
        )
    _train(config, args, pretrained)


def _as_before(data: dict, args: argparse.Namespace) -> dict:
    """The input of a restart; what it leaves out of model and learning rate is as it was.

    So are the number of models and the weight decay, which fine-tuning may have made 0.
    A fine-tuned model may differ from the input: its own section counts.
    """
    from deepdensity_tf.schema import stay_of_before
    from deepdensity_tf.train.checkpoint import read_checkpoint_input

    training = data.get("training")
    if type(training) is not dict or type(training.get("save_ckpt", "")) is not str:
        return data  # to be refused
    before, _ = read_checkpoint_input(training.get("save_ckpt", "model.ckpt"))
    kept = {key: before["training"][key] for key in ("weight_decay", "numb_models")}
    data = {key: before[key] for key in ("model", "learning_rate")} | data
    said = {key: value for key, value in training.items() if (key, value) != _AUTO_MODELS}
    data["training"] = kept | said
    with contextlib.suppress(AttributeError):  # no sections: to be refused
        stay_of_before(data["model"], before["model"])
    if args.finetune:
        data["model"] = before["model"]
        if type(data["learning_rate"]) is dict:
            data["learning_rate"] = {**before["learning_rate"], **data["learning_rate"]}
    return data


def _number_of_models(config: dict, pretrained: Pretrained | None) -> int:
    """What `auto` stands for: four, where they begin apart and their coefficients have a mean."""
    from deepdensity_tf.fit import FITTINGS

    asked = config["training"]["numb_models"]
    if asked != "auto":
        return asked
    per_pair = FITTINGS[config["model"]["fitting_net"]["type"]].per_pair
    return 1 if pretrained or per_pair else _MODELS


def _check_targets(config: dict, args: argparse.Namespace) -> None:
    """Refuse at once what would fail only when the first checkpoint or line is written."""
    from deepdensity_tf.utils.errors import InputError

    folder, curve = (Path(config["training"][key]) for key in ("save_ckpt", "disp_file"))
    if not args.restart and (folder / "checkpoint").exists():
        raise InputError(
            f"{folder}: holds checkpoints already; go on by --restart, or choose another "
            "training.save_ckpt"
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{args.input}: training.save_ckpt is {folder}, which is a file")
    for key, path in (("training.disp_file", curve), ("--output", Path(args.output))):
        if path.is_dir() or not path.parent.is_dir():
            raise InputError(f"{key} is {path}, expected a file name in a folder that exists")
    if args.restart and args.init_model:
        raise InputError("--restart and --init-model: expected one of them")


def _train(config: dict, args: argparse.Namespace, pretrained: Pretrained | None) -> None:
    import tensorflow as tf

    from deepdensity_tf.train.side_by_side import share_threads
    from deepdensity_tf.utils.errors import InputError
    from deepdensity_tf.utils.garbage import uncollected
    from deepdensity_tf.utils.ops import own_message

    # It looks for layouts of images, which these graphs have none of, for seconds.
    tf.config.optimizer.set_experimental_options({"layout_optimizer": False})
    share_threads(config["training"]["numb_models"])
    try:
        with uncollected():
            trainer, state = _begun(config, args, pretrained)
            # What there is stays: no later search for garbage looks at it.
            gc.freeze()
        trainer.run()
    except tf.errors.InvalidArgumentError as error:
        # What the checks of the data let pass, e.g. more pairs than one call can hold.
        raise InputError(f"{args.input}: a frame cannot be used: {own_message(error)}") from None
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(f"{own_message(error)}; lower batch_size or numb_points") from None
    log.info("done: step %d, checkpoints in %s", state.step, Path(config["training"]["save_ckpt"]))
    _tell_of_early_best(state, config["training"])


def _tell_of_early_best(state: TrainingState, run: dict) -> None:
    """Say so where a whole run had its least validation error long before its end."""
    elapsed, best = float(state.elapsed.numpy()), int(state.best.step.numpy())
    whole = state.step >= run["numb_steps"] or elapsed >= (run["max_time"] or math.inf)
    if not whole or not state.best.known or best > _EARLY * state.step:
        return
    by_time = run["max_time"] and state.step < run["numb_steps"]
    shorter = f"max_time: {elapsed * best / state.step:.0f}" if by_time else f"numb_steps: {best}"
    log.info(
        "the validation error was least at step %d of %d and no less since (dd-tf freeze takes "
        "those weights): a run that ends there (%s) has small learning rates by then and may do "
        "better",
        best,
        state.step,
        shorter,
    )


def _begun(
    config: dict, args: argparse.Namespace, pretrained: Pretrained | None
) -> tuple[Trainer, TrainingState]:
    """A training that is ready to run, and its state."""
    from deepdensity_tf.train.checkpoint import CheckpointFolder, TrainingState
    from deepdensity_tf.train.trainer import Trainer
    from deepdensity_tf.train.training_data import TrainingData
    from deepdensity_tf.train.workers import find_workers
    from deepdensity_tf.utils.files import atomic_path

    folder = Path(config["training"]["save_ckpt"])
    workers = find_workers()
    if not workers.chief:
        logging.getLogger("deepdensity_tf").setLevel(logging.WARNING)
    data = TrainingData(config, workers, pretrained.elements_seen if pretrained else ())
    before = _checksum_before(config, folder, args.input) if args.restart else None
    if before not in (None, "unknown", data.checksum):
        log.warning("training_data: other frames than those of the checkpoints in %s", folder)
    with workers.strategy.scope():
        state = TrainingState(config, data.checksum)
    checkpoints = CheckpointFolder(folder, state)
    trainer = Trainer(state, checkpoints, data, workers)
    if args.restart:
        checkpoints.restore()
        log.info("going on from step %d", state.step)
    elif pretrained:
        pretrained.assign_to(state)
    if pretrained:
        trainer.adapt()
    elif state.step == 0:
        trainer.initialise()
    several = f", each of {len(state.models)} models" if len(state.models) > 1 else ""
    log.info("%d parameters%s", state.model.nparameters, several)
    if workers.chief:
        with atomic_path(args.output) as temporary:
            temporary.write_text(json.dumps(config, indent=4) + "\n", encoding="utf-8")
    trainer.trace()
    return trainer, state


def _checksum_before(config: dict, folder: Path, source: str) -> str:
    """Checksum of the data trained on so far; the model must be the same."""
    from deepdensity_tf.train.checkpoint import read_checkpoint_input
    from deepdensity_tf.utils.errors import InputError

    before, checksum = read_checkpoint_input(folder)
    if before["model"] != config["model"]:
        raise InputError(
            f"{source}: section model differs from that of {folder}; a restart needs the same model"
        )
    for key in ("trained", "numb_models"):
        kept, asked = (data["training"][key] for data in (before, config))
        if kept != asked:
            raise InputError(
                f"{source}: training.{key} is {asked}, in {folder} it is {kept}; "
                "a restart trains the same weights"
            )
    return checksum
