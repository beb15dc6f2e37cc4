"""dd-tf freeze: from a checkpoint to one graph file."""

from __future__ import annotations

import argparse
import logging

log = logging.getLogger(__name__)


def add_parser(subparsers) -> None:
    """Add `dd-tf freeze`."""
    parser = subparsers.add_parser(
        "freeze",
        help="freeze a checkpoint into a graph file",
        description="Write the last checkpoint's averaged weights as one frozen graph, for dd-tf "
        "predict and for other codes. The models of a training (training.numb_models), or of "
        "several that differ in their seed, become one ensemble: its density is the mean of theirs "
        "(points cost no more), and it knows how far its members lie apart.",
        epilog="examples:\n  dd-tf freeze -c model.ckpt -o frozen_model.pb\n"
        "  dd-tf freeze -c seed1/model.ckpt seed2/model.ckpt -o ensemble.pb",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c",
        "--checkpoint",
        nargs="+",
        default=["model.ckpt"],
        metavar="FOLDER",
        help="checkpoints (model.ckpt), or those of several trainings",
    )
    parser.add_argument(
        "-o", "--output", default="frozen_model.pb", metavar="FILE", help="(frozen_model.pb)"
    )
    parser.add_argument(
        "--last",
        action="store_true",
        help="the last step, not that of the least validation error (training.save_best)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.utils.log import import_tensorflow

    import_tensorflow()
    from deepdensity_tf.model.ensemble import check_members
    from deepdensity_tf.model.frozen import freeze
    from deepdensity_tf.train.checkpoint import load_state

    states = [load_state(folder) for folder in args.checkpoint]
    steps = [state.take_result(args.last) for state in states]
    models = [model for state in states for model in state.models]
    if len(models) > 1:
        pairs = zip(args.checkpoint, states, strict=True)
        check_members(models, [folder for folder, state in pairs for _ in state.models])
    freeze(models, states[0].config, args.output, states[0].data_checksum)
    for folder, step in zip(args.checkpoint, steps, strict=True):
        log.info("%s: step %d of %s", args.output, step, folder)
