"""Builds the native op library with the machine's C++ compiler; the rest is in pyproject.toml.

The library uses TensorFlow's C interface alone: the headers come from the TensorFlow installed when
building, and the result works with every version from 2.16 on.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

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


def compiler() -> str:
    """The C++ compiler: $CXX, or the first of the usual names."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++", "c++"]
    for name in names:
        if shutil.which(name):
            return name
    sys.exit(
        f"deepdensity_tf: no C++ compiler found (tried {', '.join(names)}); install g++ or set CXX"
    )


def build_op_library(target: Path) -> None:
    """Compile op/*.cc to `target`."""
    folder = tensorflow_folder()
    sources = [str(path) for path in sorted((HERE / "op").glob("*.cc"))]
    command = [
        compiler(),
        *FLAGS,
        f"-I{folder / 'include'}",
        *sources,
        "-o",
        str(target),
        f"-L{folder}",
        "-l:libtensorflow_framework.so.2",
    ]
    target.parent.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"deepdensity_tf: the op library does not compile:\n{result.stderr}")


class BuildWithOps(build_py):
    """build_py that also builds the op library, beside the Python sources when editable."""

    def run(self):
        super().run()
        editable = getattr(self, "editable_mode", False)
        root = HERE if editable else Path(self.build_lib)
        build_op_library(root / "deepdensity_tf" / "lib" / "libdeepdensity_op.so")


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3 on this platform: the library knows nothing of Python."""

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


class PlatformDistribution(Distribution):
    """A distribution that is not pure Python."""

    def has_ext_modules(self):
        return True


setup(
    distclass=PlatformDistribution,
    cmdclass={"build_py": BuildWithOps, "bdist_wheel": PlatformWheel},
)
