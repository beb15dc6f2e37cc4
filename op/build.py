"""Compiles libdeepdensity_op.so: the kernels once for each instruction set, the rest once.

    python op/build.py TARGET [--cxx CXX] [FLAG ...]

FLAGs go to every call of the compiler, e.g. those of a sanitizer. Needs no installed package but
TensorFlow, whose headers and library it uses.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
FLAGS = "-std=c++17 -O3 -fPIC -pthread -fno-math-errno -fopenmp-simd -fvisibility=hidden".split()
LINK = ["-shared", "-static-libstdc++", "-static-libgcc", "-ldl"]
# Before TensorFlow's libraries, some of which offer parts of a C++ runtime: two do not mix.
RUNTIME = ["-Wl,-Bstatic", "-lstdc++", "-Wl,-Bdynamic"]
# What dispatch.cc asks the machine for.
_AVX2 = "-mavx2 -mfma -mbmi -mbmi2"
_X86 = {
    "baseline": "",
    "avx2": _AVX2,
    "avx512": f"{_AVX2} -mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl",
}


class CompileError(Exception):
    """The compiler failed; its messages."""


def build(
    target: Path, tensorflow: Path, compiler: Sequence[str], extra: Sequence[str] = ()
) -> None:
    """Compile and link the library.

    Parameters
    ----------
    target : Path
        The library.
    tensorflow : Path
        The installed package.
    compiler : sequence of str
        The compiler and its own options.
    extra : sequence of str
        Further flags; the last word on optimisation is theirs.

    Raises
    ------
    CompileError
        The compiler fails.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        objects = compile_objects(Path(scratch), tensorflow, compiler, extra)
        library = [f"-L{tensorflow}", "-l:libtensorflow_framework.so.2"]
        script = f"-Wl,--version-script,{SOURCE / 'exports.map'}"
        link, runtime = (LINK, RUNTIME) if not extra else (["-shared"], [])
        run(
            [
                *compiler,
                *FLAGS,
                *extra,
                *link,
                *objects,
                "-o",
                str(target),
                script,
                *runtime,
                *library,
            ]
        )


def compile_objects(
    folder: Path, tensorflow: Path, compiler: Sequence[str], extra: Sequence[str] = ()
) -> list[str]:
    """Compile all sources into a folder: the object files; arguments as of `build`."""
    x86 = _target(compiler).startswith(("x86_64", "amd64"))
    flags = [*FLAGS, f"-I{tensorflow / 'include'}", *extra]
    if x86:
        flags.append("-DDD_X86_KERNELS")
    jobs = [(source, source.stem, []) for source in sorted(SOURCE.glob("*.cc"))]
    jobs = [job for job in jobs if job[1] != "kernels"]
    sets = _X86 if x86 else {"baseline": ""}
    # First what takes longest.
    jobs = [
        (SOURCE / "kernels.cc", name, [f"-DDD_ISA={name}", *options.split()])
        for name, options in sets.items()
    ] + jobs

    def compile_one(job: tuple) -> str:
        source, name, options = job
        made = str(folder / f"{name}.o")
        run([*compiler, *flags, *options, "-c", str(source), "-o", made])
        return made

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compile_one, jobs))


def _target(compiler: Sequence[str]) -> str:
    """The machine that the compiler compiles for."""
    try:
        return run([*compiler, "-dumpmachine"])
    except CompileError:
        return platform.machine().lower()


def run(command: list[str]) -> str:
    """What a command prints; CompileError with its messages if it fails."""
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise CompileError(result.stderr)
    return result.stdout


def main() -> int:
    """Build as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("--cxx", default="g++")
    args, extra = parser.parse_known_args()
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("TensorFlow is missing")
    try:
        build(
            args.target,
            Path(next(iter(spec.submodule_search_locations))),
            shlex.split(args.cxx),
            extra,
        )
    except CompileError as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
