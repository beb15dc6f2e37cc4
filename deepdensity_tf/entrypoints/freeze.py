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
        "predict and for other codes.",
        epilog="example:\n  dd-tf freeze -c model.ckpt -o frozen_model.pb",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c",
        "--checkpoint",
        default="model.ckpt",
        metavar="FOLDER",
        help="checkpoints (model.ckpt)",
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
    from deepdensity_tf.model.frozen import freeze
    from deepdensity_tf.train.checkpoint import load_state

    state = load_state(args.checkpoint)
    step = state.take_result(args.last)
    freeze(state.model, state.config, args.output, state.data_checksum)
    log.info("%s: step %d of %s", args.output, step, args.checkpoint)
