"""Run one case of the table and say what happened."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import traceback
from dataclasses import dataclass
from pathlib import Path

from deepdensity_tf.main import main
from tests.bad_input.cases import Case


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int | None
    out: str
    err: str
    changed: list[str]  # files that appeared, went or changed
    crash: str  # traceback, if an exception escaped

    def problems(self, expected: tuple[str, ...]) -> list[str]:
        """What is not as it must be; nothing if all is well."""
        found = []
        if self.crash:
            found.append(f"traceback: {self.crash.strip().splitlines()[-1]}")
        if self.code != 2:
            found.append(f"exit code {self.code}")
        if self.err.count("\n") != 1 or "error: " not in self.err or self.out:
            found.append(f"not one line: {self.out + self.err!r}")
        if len(self.err) > 600:
            found.append(f"{len(self.err)} characters")
        found += [f"{text!r} is not in {self.err!r}" for text in expected if text not in self.err]
        if self.changed:
            found.append(f"written: {', '.join(self.changed)}")
        return found


def run_case(case: Case, good: Path, folder: Path) -> Outcome:
    """Copy the good folder, spoil it, run the command in it."""
    shutil.copytree(good, folder, symlinks=True)
    with contextlib.chdir(folder):
        case.spoil(folder)
        before = _listing(folder)
        code, out, err, crash = run_command(case.arguments)
        after = _listing(folder)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    return Outcome(code, out, err, changed, crash)


def run_command(arguments: list[str]) -> tuple[int | None, str, str, str]:
    """dd-tf in this process: exit code, stdout, stderr, traceback."""
    out, err, code, crash = io.StringIO(), io.StringIO(), None, ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(["-q", *arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        except BaseException:
            crash = traceback.format_exc()
    return code, out.getvalue(), err.getvalue(), crash


def _listing(folder: Path) -> dict[str, str]:
    """Every path below with what is in it."""
    found = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(root) / name
            content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found
