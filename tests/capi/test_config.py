"""What `dd-tf config`, CMake and pkg-config say, and that it builds programs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepdensity_tf import __version__
from deepdensity_tf.main import main
from deepdensity_tf.utils import native
from tests.capi.conftest import EXAMPLES


def asked(capsys, *options):
    assert main(["config", *options]) == 0
    return capsys.readouterr().out.strip()


def test_folders_hold_what_they_promise(capsys):
    assert (Path(asked(capsys, "--includedir")) / "deepdensity" / "c_api.h").is_file()
    assert (Path(asked(capsys, "--libdir")) / "libdeepdensity_c.so").is_file()
    assert (Path(asked(capsys, "--libdir")) / "pkgconfig" / "deepdensity.pc").is_file()
    assert (Path(asked(capsys, "--cmake-dir")) / "DeepDensityConfig.cmake").is_file()
    assert Path(asked(capsys, "--op-library")).is_file()
    both = asked(capsys, "--cflags", "--ldflags")
    assert both == f"{asked(capsys, '--cflags')} {asked(capsys, '--ldflags')}"
    assert "op-library:" in asked(capsys)


def test_tensorflow_is_not_imported():
    code = (
        "import sys; from deepdensity_tf.main import main; main(['config', '--cflags'])\n"
        "assert not [m for m in ('tensorflow', 'numpy') if m in sys.modules]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_is_missing_is_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(native, "C_LIBRARY", tmp_path / "none.so")
    assert main(["config"]) == 2
    assert "none.so: the C library is missing; build it by `pip install .`" in (
        capsys.readouterr().err
    )
    monkeypatch.undo()
    monkeypatch.setattr(native.importlib.util, "find_spec", lambda name: None)
    assert main(["config"]) == 2
    assert "TensorFlow is not installed" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("nm"), reason="needs binutils")
def test_only_the_interface_is_exported():
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", native.C_LIBRARY], capture_output=True, text=True, check=True
    ).stdout
    header = (native.INCLUDE / "deepdensity" / "c_api.h").read_text()
    symbols = [line.split()[-1] for line in listing.splitlines()]
    assert len(symbols) == 16 and all(f" {name}(" in header.replace("*", " ") for name in symbols)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cmake"), reason="needs CMake")
def test_cmake_builds_an_example(tmp_path):
    cmake_dir = native.LIB / "cmake" / "DeepDensity"
    configure = ["cmake", "-S", EXAMPLES, "-B", tmp_path, f"-DDeepDensity_DIR={cmake_dir}"]
    subprocess.run(configure, check=True, capture_output=True)
    build = ["cmake", "--build", tmp_path, "--target", "density_cpp"]
    subprocess.run(build, check=True, capture_output=True)
    done = subprocess.run([tmp_path / "density_cpp"], capture_output=True, text=True)
    assert done.returncode == 2 and "usage" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pkg-config"), reason="needs pkg-config")
def test_pkg_config_builds_an_example(tmp_path):
    command = ["pkg-config", "--cflags", "--libs", "deepdensity"]
    environment = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(native.LIB / "pkgconfig")}

    def answer(*command):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, cwd=tmp_path
        )
        return done.stdout.split()

    assert answer("pkg-config", "--modversion", "deepdensity") == [__version__]
    answer("gcc", EXAMPLES / "density.c", *answer(*command), "-o", "density")
    # Found by the program itself, wherever TensorFlow lies.
    assert "[libtensorflow_cc.so.2]" in answer("readelf", "-d", "density")
    done = subprocess.run([tmp_path / "density"], capture_output=True, text=True)
    assert done.returncode == 2 and "usage" in done.stderr
