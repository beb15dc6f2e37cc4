"""Nothing is lost: an address and leak sanitizer build, and the memory of many cycles."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deepdensity_tf.utils.native import INCLUDE, OP_LIBRARY, PACKAGE, tensorflow_folder

CYCLES = Path(__file__).parent / "cycles.c"
SOURCES = Path(__file__).parents[2] / "op" / "c_api"
KNOWN_OPS = PACKAGE / "utils" / "known_ops.txt"


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The cycles with the library compiled in, under the address and undefined sanitizers."""
    folder, tensorflow = tmp_path_factory.mktemp("sanitized"), tensorflow_folder()
    command = ["g++", "-std=c++17", "-g", "-O1", "-pthread", "-fsanitize=address,undefined"]
    command += ["-fno-sanitize-recover=undefined", f"-I{tensorflow / 'include'}", f"-I{INCLUDE}"]
    command += [f'-DDD_KNOWN_OPS="{KNOWN_OPS.read_text().replace(chr(10), " ")}"']
    command += [*map(str, SOURCES.glob("*.cc")), "-x", "c++", str(CYCLES), f"-L{tensorflow}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    command += [f"-Wl,-rpath,{tensorflow}", "-o", str(folder / "cycles")]
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    built = subprocess.run(command, capture_output=True, text=True)
    if "cannot find -lasan" in built.stderr or "libasan" in built.stderr:
        pytest.skip("needs libasan")
    assert built.returncode == 0, built.stderr
    (folder / OP_LIBRARY.name).symlink_to(OP_LIBRARY)
    return folder / "cycles"


@pytest.mark.slow
def test_sanitizers_find_nothing(sanitized, frozen_model):
    done = subprocess.run([sanitized, frozen_model, "2", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Sanitizer" not in done.stderr


@pytest.mark.slow
def test_sanitizers_would_find_a_leak(sanitized, frozen_model):
    done = subprocess.run(
        [sanitized, frozen_model, "1", "1"],
        capture_output=True,
        text=True,
        env={"CYCLES_LEAK": "1"},
    )
    assert done.returncode != 0 and "in DD_Load" in done.stderr


@pytest.mark.slow
def test_memory_stays_flat(compiled, frozen_model):
    """After TensorFlow's own caches have filled, neither loads nor evaluations add memory."""
    program = compiled(CYCLES)

    def resident(ncycles, nevals):
        command = [program, frozen_model, str(ncycles), str(nevals)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [int(line) for line in out.split()]

    cycles = resident(14, 1)
    # A model that is not freed makes 2 MB a cycle, 10 MB in all.
    assert cycles[-1] - cycles[8] < 4000
    # An output that is not freed (the gradient on the grid of 12 x 13 x 14) makes 52 kB an
    # evaluation, 5.7 MB in all.
    # Threads' heaps differ by as much between two processes, a leak is in all of them.
    few, many = (min(resident(1, n)[0] for _ in range(3)) for n in (10, 120))
    assert many - few < 3000
