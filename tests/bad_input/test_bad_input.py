"""Every malformed input of the table: one line that names it, exit code 2, nothing written."""

import itertools
import shutil

import pytest

from tests.bad_input.cases import CASES
from tests.bad_input.good import COMMANDS, make_good
from tests.bad_input.run import run_case, run_command


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad_input") / "good"
    folder.mkdir()
    make_good(folder)
    return folder


def test_the_table_is_long_enough_and_names_are_unique():
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("command", COMMANDS)
def test_good_input_is_taken(good, tmp_path, monkeypatch, command):
    """Otherwise the cases would prove nothing."""
    shutil.copytree(good, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    if command == "restart":
        shutil.move("model.ckpt", "new.ckpt")
    code, _, err, crash = run_command(COMMANDS[command].split())
    assert (code, crash) == (0, ""), err


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(good, tmp_path, case):
    assert not run_case(case, good, tmp_path / "run").problems(case.expected)


def test_kinds_are_all_there():
    kinds = [kind for kind, _ in itertools.groupby(case.kind for case in CASES)]
    assert len(kinds) == len(set(kinds)) >= 10
