"""Packages that run when something in them is asked for."""

import subprocess
import sys
import textwrap


def run(script):
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ase_reads_without_scipy_and_has_all_it_had():
    script = """
        import io, sys
        from deepdensity_tf.utils.deferred import ase_io
        atoms = ase_io().read(io.StringIO("1\\n\\nH 0 0 0\\n"), format="extxyz")
        print(atoms.symbols, "scipy" in sys.modules)
        import ase.dft, ase.dft.kpoints
        from ase.spacegroup import crystal
        from ase.dft import DOS
        print(len(crystal("Al", [(0, 0, 0)], spacegroup=225, cellpar=[4.05] * 3 + [90] * 3)))
        print(ase.dft.kpoints.monkhorst_pack is ase.dft.monkhorst_pack, DOS.__module__)
        print(hasattr(ase.dft, "nothing"), "scipy" in sys.modules)
    """
    assert run(script).splitlines() == ["H False", "4", "True ase.dft.dos", "False True"]


def test_what_is_imported_stays():
    script = """
        import ase.dft
        from deepdensity_tf.utils.deferred import defer
        before = ase.dft
        defer("ase.dft")
        defer("ase.no_such_package")
        print(ase.dft is before)
    """
    assert run(script) == "True\n"


def test_packages_run_once_for_all_threads(tmp_path):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").write_text("")
    (inner / "__init__.py").write_text(
        "import time\nprint('runs')\ntime.sleep(0.2)\nfrom outer.inner.part import value\n"
    )
    (inner / "part.py").write_text("value = 3\n")
    script = f"""
        import sys, threading
        sys.path.insert(0, {str(tmp_path)!r})
        from deepdensity_tf.utils.deferred import defer
        defer("outer.inner")
        import outer.inner.part
        print("part")
        found = []
        ask = lambda: found.append(outer.inner.value)
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(found)
    """
    assert run(script) == "part\nruns\n[3, 3, 3, 3]\n"
