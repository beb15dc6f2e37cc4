"""dd-tf config: what C and C++ programs need to compile and link."""

from __future__ import annotations

import argparse
import shlex

_ANSWERS = {
    "cflags": "options of the compiler",
    "ldflags": "options of the linker",
    "includedir": "folder of the headers deepdensity/c_api.h and deepdensity/deepdensity.hpp",
    "libdir": "folder of libdeepdensity_c.so; pkgconfig/ is in it",
    "cmake-dir": "DeepDensity_DIR of CMake's find_package(DeepDensity)",
    "op-library": "the TensorFlow ops, for programs that load frozen models themselves",
}


def add_parser(subparsers) -> None:
    """Add `dd-tf config`."""
    parser = subparsers.add_parser(
        "config",
        help="compile C and C++ programs with the library",
        description="Print what programs need that use libdeepdensity_c: all of it, or what is "
        "asked for, on one line.",
        epilog="examples:\n"
        "  cc density.c $(dd-tf config --cflags --ldflags) -o density\n"
        "  cmake -S . -B build -DDeepDensity_DIR=$(dd-tf config --cmake-dir)",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, text in _ANSWERS.items():
        parser.add_argument(
            f"--{name}", dest="asked", action="append_const", const=name, default=[], help=text
        )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    answers = configuration()
    if args.asked:
        print(" ".join(answers[name] for name in args.asked))
    else:
        print("\n".join(f"{name + ':':<13}{answer}" for name, answer in answers.items()))


def configuration() -> dict[str, str]:
    """Flags and paths by name, quoted for the shell.

    Raises
    ------
    InputError
        If the C library was not built or TensorFlow is not installed.
    """
    from deepdensity_tf.utils.errors import InputError
    from deepdensity_tf.utils.native import C_LIBRARY, INCLUDE, LIB, OP_LIBRARY, tensorflow_folder

    if not C_LIBRARY.is_file():
        raise InputError(f"{C_LIBRARY}: the C library is missing; build it by `pip install .`")
    tensorflow = tensorflow_folder()
    # TensorFlow is named too, and kept: it need not lie where the C library looks by itself.
    ldflags = [f"-L{LIB}", "-ldeepdensity_c", f"-Wl,-rpath,{LIB}", f"-L{tensorflow}"]
    ldflags += ["-Wl,--push-state,--no-as-needed", "-l:libtensorflow_cc.so.2"]
    ldflags += ["-l:libtensorflow_framework.so.2", "-Wl,--pop-state", f"-Wl,-rpath,{tensorflow}"]
    return {
        "cflags": shlex.quote(f"-I{INCLUDE}"),
        "ldflags": shlex.join(ldflags),
        "includedir": shlex.quote(str(INCLUDE)),
        "libdir": shlex.quote(str(LIB)),
        "cmake-dir": shlex.quote(str(LIB / "cmake" / "DeepDensity")),
        "op-library": shlex.quote(str(OP_LIBRARY)),
    }
