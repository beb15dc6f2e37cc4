"""dd-tf doc-train-input: every key of the training input, as DeePMD-kit has it."""

from __future__ import annotations

import argparse


def add_parser(subparsers) -> None:
    """Add `dd-tf doc-train-input`."""
    parser = subparsers.add_parser(
        "doc-train-input",
        help="every key of the training input",
        description="Print every key of the training input with type, default and meaning; the "
        "same as dd-tf train --keys.",
        epilog="example:\n  dd-tf doc-train-input | less",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.utils.log import import_tensorflow

    import_tensorflow()
    from deepdensity_tf.schema import describe_input

    print(describe_input())
