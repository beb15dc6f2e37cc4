"""Fixtures: the C library through ctypes, and programs compiled against it."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.capi.library import Model, open_library

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "c_api"


@pytest.fixture(scope="session")
def lib():
    """The C library, in this process beside Python's TensorFlow."""
    import tensorflow  # noqa: F401

    return open_library()


@pytest.fixture
def load(lib):
    """Factory of models; a failed load gives a model with a status and no handle."""
    models = []

    def make(path):
        models.append(Model(lib, path))
        return models[-1]

    yield make
    for model in models:
        model.close()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Factory: a program of one source, compiled with the flags of `dd-tf config`."""
    from deepdensity_tf.entrypoints.config import configuration

    made = {}

    standards = {".c": "-std=c99", ".cpp": "-std=c++11"}

    def make(source: Path) -> Path:
        if source not in made:
            compiler = shutil.which("g++" if source.suffix == ".cpp" else "gcc")
            if not compiler:
                pytest.skip("needs gcc and g++")
            target = tmp_path_factory.mktemp("programs") / source.stem
            flags = configuration()
            command = [
                compiler,
                "-Wall",
                "-Wextra",
                "-pedantic",
                "-Werror",
                standards[source.suffix],
                str(source),
            ]
            command += shlex.split(f"{flags['cflags']} {flags['ldflags']}") + ["-o", str(target)]
            subprocess.run(command, check=True)
            made[source] = target
        return made[source]

    return make
