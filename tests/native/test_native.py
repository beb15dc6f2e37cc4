"""The op library without TensorFlow (stand_in.cc): under sanitizers, by other compilers, emulated.

`driver.cc` calls all ops at random, with sensible arguments and with extreme ones. A sanitizer has
nothing to report, on any instruction set; all builds answer and refuse the same calls, and agree
in the sums of what they answer.
"""

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from deepdensity_tf.utils.native import tensorflow_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("DEEPDENSITY_NATIVE"),
        reason="builds the library up to seven times: asked for by DEEPDENSITY_NATIVE=1",
    ),
]

HERE = Path(__file__).resolve().parent
OP = HERE.parents[1] / "op"
CXX = os.environ.get("CXX", "g++")
CALLS, SEED = 1500, 1

_CHECKED = "-O1 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=all".split()
SANITIZERS = {
    "address": ["-fsanitize=address,undefined,float-cast-overflow", *_CHECKED],
    "thread": ["-fsanitize=thread", *_CHECKED],
}
EMULATED = "aarch64-linux-gnu-g++"
ISAS = ("baseline", "avx2", "avx512")


@functools.cache
def builder():
    """op/build.py as a module."""
    spec = importlib.util.spec_from_file_location("op_build", OP / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """Factory: the program that a compiler makes of the library and driver.cc."""
    made = {}

    def make(compiler: str = CXX, *flags: str) -> Path:
        if shutil.which(compiler) is None:
            pytest.skip(f"needs {compiler}")
        if (compiler, flags) not in made:
            folder, build = tmp_path_factory.mktemp("driver"), builder()
            command = [compiler, *build.FLAGS, f"-I{tensorflow_folder() / 'include'}", *flags]
            objects = build.compile_objects(folder, tensorflow_folder(), [compiler], flags)
            sources = [str(HERE / name) for name in ("stand_in.cc", "driver.cc")]
            program = folder / "driver"
            build.run([*command, *sources, *objects, "-o", str(program)])
            made[compiler, flags] = program
        return made[compiler, flags]

    return make


def run(program: Path, *arguments, isa: str = "", emulator: Sequence[str] = ()) -> list[str]:
    """The lines that a driver prints; skips what this machine cannot run."""
    command = [*emulator, program, *map(str, arguments)]
    environment = {**os.environ, "DEEPDENSITY_ISA": isa, "TF_NUM_INTRAOP_THREADS": "2"}
    environment["ASAN_OPTIONS"] = "allocator_may_return_null=1"
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip(f"this machine has no {isa}")
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


def assert_same(found: list[str], expected: list[str]) -> None:
    """The same verdicts; sums as close as single and double precision let them be."""
    assert len(found) == len(expected)
    for number, lines in enumerate(zip(found, expected, strict=True)):
        message = "call {}: {} | {}".format(number, *lines)
        one, other = (line.split() for line in lines)
        assert one[:2] == other[:2] and len(one) == len(other), message
        for k in range(2, len(one), 5):
            assert one[k : k + 3] == other[k : k + 3], message
            tolerance = (1e-4 if "f" in one[2::5] else 2e-5) * float(other[k + 4]) + 1e-9
            assert abs(float(one[k + 3]) - float(other[k + 3])) <= tolerance, message


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_sanitizers_find_nothing(driver, sanitizer, isa):
    program = driver(CXX, *SANITIZERS[sanitizer])
    lines = run(program, CALLS // 3, SEED, 3, isa=isa)
    verdicts = {line.split()[1] for line in lines}
    assert verdicts >= {"answered", "refused"}


@pytest.mark.parametrize("isa", ISAS[1:])
def test_instruction_sets_agree(driver, isa):
    program = driver()
    assert_same(run(program, CALLS, SEED, isa=isa), run(program, CALLS, SEED, isa=ISAS[0]))


@pytest.mark.parametrize("compiler", ["g++-11", "g++-12", "clang++-14", EMULATED])
def test_compilers_agree(driver, compiler):
    emulator = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"] if compiler == EMULATED else []
    if emulator and shutil.which(emulator[0]) is None:
        pytest.skip(f"needs {emulator[0]}")
    expected = run(driver(), CALLS, SEED)
    assert_same(run(driver(compiler), CALLS, SEED, emulator=emulator), expected)
