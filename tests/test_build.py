"""What the build says when something is missing, and the op library itself."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from deepdensity_tf.utils import op_library, ops
from deepdensity_tf.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def build(arguments, **environment):
    """setup.py in a process of its own; site-packages hidden if asked."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, env=environment
    )


def test_missing_compiler_is_one_line(tmp_path):
    code = "import sys; sys.argv = ['setup.py', '--version']; import runpy\n"
    code += "names = runpy.run_path('setup.py'); names['compiler']()"
    result = build(["-c", code], PATH=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.strip().splitlines()[-1] == (
        "deepdensity_tf: no C++ compiler found (tried g++, clang++, c++); install g++ or set CXX"
    )


def test_missing_tensorflow_is_one_line():
    code = "import sys; sys.argv = ['setup.py', '--version']; import runpy, importlib.util\n"
    code += "names = runpy.run_path('setup.py'); importlib.util.find_spec = lambda name: None\n"
    code += "names['tensorflow_folder']()"
    result = build(["-c", code], PATH="/usr/bin:/bin")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last == "deepdensity_tf: TensorFlow is missing; install it first: pip install tensorflow"


@pytest.mark.parametrize(
    "content, message",
    [(None, "the op library is missing"), (b"no library", "cannot load the op library")],
)
def test_op_library_that_cannot_be_used(tmp_path, monkeypatch, content, message):
    path = tmp_path / "libdeepdensity_op.so"
    if content:
        path.write_bytes(content)
    monkeypatch.setattr(op_library, "LIBRARY", path)
    op_library.load_op_library.cache_clear()
    try:
        with pytest.raises(InputError) as caught:
            op_library.load_op_library()
    finally:
        monkeypatch.undo()
        op_library.load_op_library.cache_clear()
        op_library.load_op_library()
    assert message in str(caught.value) and "pip install" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not shutil.which("nm"), reason="needs binutils")
def test_library_uses_the_c_interface_alone():
    """No C++ symbol of TensorFlow: one build serves all versions."""
    listing = subprocess.run(
        ["nm", "-D", "--undefined-only", str(ops.LIBRARY)], capture_output=True, text=True
    ).stdout
    symbols = [line.split()[-1] for line in listing.splitlines()]
    assert any(symbol.startswith("TF_") for symbol in symbols)
    assert not [symbol for symbol in symbols if "tensorflow" in symbol or "absl" in symbol]


def test_sdist_has_all_that_the_build_and_the_tests_need(tmp_path):
    # In a copy: setuptools writes beside setup.py.
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "lib", "run", "build")
    shutil.copytree(ROOT, copy, ignore=ignored)
    result = subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "--formats=tar", "-d", str(tmp_path)],
        cwd=copy,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "Deprecat" not in result.stderr
    with tarfile.open(next(tmp_path.glob("*.tar"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("op", "deepdensity_tf", "tests", "examples/ethane", "examples/plugin"):
        files = {path for path in (copy / folder).rglob("*") if path.is_file()}
        missing = {path.relative_to(copy).as_posix() for path in files} - packed
        assert not missing
    for name in ("Makefile", "LICENSE", "CHANGELOG.md", "CITATION.cff", "docs/theory.md"):
        assert name in packed
