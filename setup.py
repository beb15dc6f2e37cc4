"""Builds the native libraries with the machine's C++ compiler; the rest is in pyproject.toml.

libdeepdensity_op.so holds TensorFlow ops, libdeepdensity_c.so is the C interface for other
programs. Both use TensorFlow's C interface alone: the headers come from the TensorFlow installed
when building, and the result works with every version from 2.16 on.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
FLAGS = [
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-shared",
    "-pthread",
    "-fno-math-errno",
    "-fvisibility=hidden",
    "-static-libstdc++",
    "-static-libgcc",
]

# As in op/build.py.
RUNTIME = ["-Wl,-Bstatic", "-lstdc++", "-Wl,-Bdynamic"]


def tensorflow_folder() -> Path:
    """Where TensorFlow is installed, without importing it."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("deepdensity_tf: TensorFlow is missing; install it first: pip install tensorflow")
    folder = Path(next(iter(spec.submodule_search_locations)))
    header = folder / "include" / "tensorflow" / "c" / "kernels.h"
    if not header.is_file():
        sys.exit(f"deepdensity_tf: {header} is missing; TensorFlow 2.16 or later is needed")
    return folder


def compiler() -> list[str]:
    """The C++ compiler: $CXX, which may bring options, or the first of the usual names."""
    given = shlex.split(os.environ.get("CXX", ""))
    for command in [given] if given else [["g++"], ["clang++"], ["c++"]]:
        if shutil.which(command[0]):
            return command
    tried = given[0] if given else "g++, clang++, c++"
    sys.exit(f"deepdensity_tf: no C++ compiler found (tried {tried}); install g++ or set CXX")


def compile_library(target: Path, sources: list[Path], options: list[str]) -> None:
    """Compile C++ sources to the shared library `target`."""
    folder = tensorflow_folder()
    command = [*compiler(), *FLAGS, f"-I{folder / 'include'}", *map(str, sorted(sources))]
    command += ["-o", str(target), f"-L{folder}", *options]
    target.parent.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"deepdensity_tf: {target.name} does not compile:\n{result.stderr}")


def build_op_library(package: Path) -> None:
    """The TensorFlow ops, op/*.cc."""
    sys.path.insert(0, str(HERE / "op"))
    import build

    target = package / "lib" / "libdeepdensity_op.so"
    try:
        build.build(target, tensorflow_folder(), compiler())
    except build.CompileError as error:
        sys.exit(f"deepdensity_tf: {target.name} does not compile:\n{error}")


def build_c_library(package: Path, editable: bool, version: str) -> None:
    """The C interface, op/c_api: library, headers, and files for CMake and pkg-config."""
    source = HERE / "op" / "c_api"
    # Installed, TensorFlow lies beside the package; no relative path leads there from a checkout.
    tensorflow = str(used_tensorflow()) if editable else "../tensorflow"
    link = [*RUNTIME, "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    link += [f"-Wl,-rpath,{tensorflow if editable else '$ORIGIN/../../tensorflow'}"]
    link += ["-Wl,-soname,libdeepdensity_c.so", f"-Wl,--version-script,{source / 'exports.map'}"]
    known_ops = (HERE / "deepdensity_tf" / "utils" / "known_ops.txt").read_text().split()
    define = f'-DDD_KNOWN_OPS="{" ".join(known_ops)}"'
    target = package / "lib" / "libdeepdensity_c.so"
    compile_library(target, list(source.glob("*.cc")), [define, *link])
    shutil.copytree(source / "include", package / "include", dirs_exist_ok=True)
    values = {
        "@VERSION@": version,
        "@TENSORFLOW_PC@": tensorflow if editable else "${prefix}/../tensorflow",
        "@TENSORFLOW@": tensorflow,
    }
    for template in (source / "cmake").glob("*.in"):
        folder = "pkgconfig" if template.stem.endswith(".pc") else "cmake/DeepDensity"
        text = template.read_text()
        for name, value in values.items():
            text = text.replace(name, value)
        target = package / "lib" / folder / template.stem
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def used_tensorflow() -> Path:
    """The TensorFlow that will be used: not that of an isolated build, if there is another."""
    folder = Path(sysconfig.get_path("purelib")) / "tensorflow"
    return folder if folder.is_dir() else tensorflow_folder()


class BuildWithNative(build_py):
    """build_py that also builds the native libraries, beside the Python sources when editable."""

    def run(self):
        super().run()
        editable = getattr(self, "editable_mode", False)
        package = (HERE if editable else Path(self.build_lib)) / "deepdensity_tf"
        build_op_library(package)
        build_c_library(package, editable, self.distribution.get_version())


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3 on this platform: the libraries know nothing of Python."""

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


class PlatformDistribution(Distribution):
    """A distribution that is not pure Python."""

    def has_ext_modules(self):
        return True


setup(
    distclass=PlatformDistribution,
    cmdclass={"build_py": BuildWithNative, "bdist_wheel": PlatformWheel},
)
