"""dd-tf compress: a faster copy of a frozen model."""

from __future__ import annotations

import argparse

from deepdensity_tf.entrypoints.options import add_json, output_file, positive_float, write_json


def add_parser(subparsers) -> None:
    """Add `dd-tf compress`."""
    parser = subparsers.add_parser(
        "compress",
        help="a faster copy of a frozen model",
        description="Put tables in place of the nets of interatomic distances, and one native op "
        "without pair lists in place of the sum over point-atom pairs. The result is used like the "
        "model it comes from; its errors against that are printed.",
        epilog="example:\n  dd-tf compress -i frozen_model.pb -o compressed_model.pb",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-i", "--input", default="frozen_model.pb", metavar="FILE", help="(frozen_model.pb)"
    )
    parser.add_argument(
        "-o",
        "--output",
        default="compressed_model.pb",
        type=output_file,
        metavar="FILE",
        help="(compressed_model.pb)",
    )
    parser.add_argument(
        "-s",
        "--step",
        type=positive_float,
        metavar="Å",
        help="distance of the tables' nodes (as small as their error asks for)",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.utils.log import import_tensorflow

    import_tensorflow()
    from deepdensity_tf.infer.compression import compress, density_error

    result = compress(args.input, args.output, args.step)
    error = density_error(args.input, args.output)
    figures = {"step": result.step, "table_error": result.table_error, "fused": result.fused}
    write_json(args, {**figures, "density_error": error})
    print(f"table step             {result.step:.6g} Å")
    print(f"table error, relative  {result.table_error:.1e}")
    print(f"points in one op       {'yes' if result.fused else 'no (fitting type needs a net)'}")
    print(f"density error          {error:.1e} of the mean density (largest, made-up structure)")
