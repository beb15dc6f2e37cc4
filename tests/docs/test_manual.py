"""Commands, options, inputs, imports, links and messages in the manual are those of the program."""

import ast
import contextlib
import copy
import importlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deepdensity_tf.main import COMMANDS, build_parser
from deepdensity_tf.schema import complete_input
from tests.docs.manual import ROOT, blocks, commands, inline_code, links, pages, python_commands

PAGES = pages()
BLOCKS = [block for path in PAGES for block in blocks(path)]
SHELL = [block for block in BLOCKS if block.language in ("", "sh", "bash", "console", "shell")]
SCRIPTS = sorted(path for path in ROOT.glob("examples/**/*.sh") if "run" not in path.parts[:-1])

# What every snippet of an input must have and may leave out.
LEAST = {"model": {"type_map": ["H"]}, "training": {"numb_steps": 1}}
LEAST_DATA = {"systems": "data"}


@pytest.fixture(scope="module")
def parser():
    return build_parser()


def parse(parser, arguments, where):
    """Fails if the parser refuses the arguments; whether folders exist does not matter."""
    errors, wrong = io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr(Path, "is_dir", lambda self: True)
        try:
            parser.parse_args(arguments)
        except SystemExit as stop:
            wrong = stop.code
    assert not wrong, f"{where}: dd-tf {' '.join(arguments)}: {errors.getvalue()}"


def test_commands_of_shell_blocks_parse(parser):
    found = [(block, words) for block in SHELL for words in commands(block.text)]
    assert len(found) > 40
    for block, words in found:
        parse(parser, [word for word in words if not word.startswith("$")], block)


def test_commands_of_example_scripts_parse(parser):
    found = [(path, words) for path in SCRIPTS for words in commands(path.read_text())]
    assert found
    for path, words in found:
        parse(parser, words, path)


def test_scripts_of_shell_blocks_exist_with_their_options():
    found = [(block, *rest) for block in SHELL for rest in python_commands(block)]
    assert len(found) > 5
    for block, script, given in found:
        assert script.is_file(), f"{block}: {script}"
        # Or in a module beside it.
        text = "".join(path.read_text(encoding="utf-8") for path in script.parent.glob("*.py"))
        assert not [option for option in given if f'"{option}"' not in text], f"{block}: {given}"


def test_examples_of_help_texts_parse(parser):
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        leaves = importlib.import_module("commands_page").leaves
    finally:
        sys.path.remove(str(ROOT / "docs"))
    for leaf in leaves(parser):
        found = list(commands(leaf.epilog or ""))
        for words in found:
            parse(parser, words, f"help of {leaf.prog}")


def test_every_command_is_in_the_manual():
    used = {words[0] for block in SHELL for words in commands(block.text) if words}
    assert set(COMMANDS) <= used


def test_options_in_running_text_exist(parser):
    known = set(re.findall(r"--[a-z][a-z-]*", full_help(parser)))
    own = {
        path
        for path in PAGES
        if path.parent.name in ("docs", "tutorials") or path.name == "README.md"
    }
    scripts = "\n".join(path.read_text() for path in ROOT.glob("examples/**/*.py"))
    scripts += "\n".join(path.read_text() for path in ROOT.glob("benchmarks/**/*.py"))
    for path in own:
        for code in inline_code(path):
            if code.startswith("dd-tf "):
                assert code.split()[1] in {*COMMANDS, "COMMAND", "--help", "--version"}, (
                    path,
                    code,
                )
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code):
                assert option in known or option in scripts, f"{path}: {code}"


def full_help(parser):
    texts = [parser.format_help()]
    for action in parser._actions:
        if isinstance(action.choices, dict):
            texts += [full_help(child) for child in action.choices.values()]
    return "\n".join(texts)


def inputs():
    for block in BLOCKS:
        if block.language == "json":
            yield block, json.loads(block.text)
        elif block.language == "yaml":
            yield block, yaml.safe_load(block.text)


def test_inputs_pass_the_schema():
    found = list(inputs())
    assert len(found) > 8
    for block, snippet in found:
        complete_input(with_least(snippet), str(block))


def with_least(snippet):
    data = copy.deepcopy(snippet)
    for section, least in LEAST.items():
        data[section] = {**least, **data.get(section, {})}
    training = data["training"]
    training["training_data"] = {**LEAST_DATA, **training.get("training_data", {})}
    return data


def test_example_inputs_pass_the_schema():
    for path in [
        *ROOT.glob("benchmarks/accuracy/inputs/*.json"),
        ROOT / "examples/ethane/input.json",
    ]:
        complete_input(json.loads(path.read_text()), str(path))


@pytest.mark.parametrize(
    "page, names",
    [
        ("aluminium", ["aluminium"]),
        ("water", ["water"]),
        ("one_d", ["one_d_metal"]),
    ],
)
def test_inputs_of_tutorials_are_those_of_the_benchmark(page, names):
    found = [data for block, data in inputs() if block.path.name == f"{page}.md"]
    for snippet, name in zip(found, names, strict=False):
        whole = json.loads((ROOT / "benchmarks/accuracy/inputs" / f"{name}.json").read_text())
        assert_part_of(snippet, whole, name)


def assert_part_of(part, whole, where):
    if isinstance(part, dict):
        for key, value in part.items():
            assert_part_of(value, whole[key], f"{where}.{key}")
    else:
        assert part == whole, where


def test_python_blocks_compile_and_import():
    found = [block for block in BLOCKS if block.language == "python"]
    assert found
    for block in found:
        for node in ast.walk(ast.parse(block.text, str(block))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("deepdensity_tf"):
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name), f"{block}: {node.module}.{name.name}"


def test_relative_links_resolve():
    generated = {ROOT / "docs" / "generated" / "commands.md"}
    for path in PAGES:
        for target in links(path):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            assert file.exists() or file in generated, f"{path}: {target}"
            if anchor and file.suffix == ".md":
                assert anchor in anchors(file), f"{path}: {target}"


REFERENCES = {
    # What names one, wherever it stands, and the form of a right one. Nobody is asked whether it
    # is there: tests run without a network.
    r"https?://[^\s)>\"'`]*": r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[\w./%~?=&#+-]*)?",
    r"arxiv[: ]+\d[^\s,;)\]]*": r"arXiv[: ]\d{2}(0[1-9]|1[0-2])\.\d{4,5}(v\d)?",
    r"\bdoi[:. ]+\S*": r"doi:10\.\d{4,5}/[\w./()-]+",
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_external_references_have_their_form(kind):
    files = [*PAGES, *ROOT.glob("deepdensity_tf/**/*.py")]
    for path in files:
        for found in re.findall(kind, path.read_text(encoding="utf-8"), flags=re.I):
            text = found.rstrip(".,;)")
            assert re.fullmatch(REFERENCES[kind], text), f"{path}: {text}"


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_paths_in_running_text_exist():
    made = re.compile(r"/(_build|run)\b")  # by make docs and the examples
    folders = "|".join(("examples", "benchmarks", "deepdensity_tf", "tests", "op", "docs"))
    for path in PAGES:
        for code in inline_code(path):
            if re.fullmatch(rf"({folders})/[\w./-]+", code) and not made.search(code):
                assert (ROOT / code).exists(), f"{path}: {code}"


def test_messages_on_the_page_of_errors_are_in_the_program():
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.M)
    said = messages()
    assert len(rows) > 20
    for row in rows:
        for part in re.findall(r"`([^`]+)`", row):
            assert part in said, f"docs/errors.md: no message has {part!r}"


def messages():
    """All texts of the program in a row, with gaps where values come."""
    texts = []
    for path in [*ROOT.glob("deepdensity_tf/**/*.py"), ROOT / "setup.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (getattr(value, "value", "\0") for value in node.values)
                texts.append("".join(part if isinstance(part, str) else "\0" for part in parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_every_page_is_in_a_table_of_contents():
    index = (ROOT / "docs" / "index.md").read_text()
    for path in (ROOT / "docs").glob("**/*.md"):
        name = path.relative_to(ROOT / "docs").with_suffix("").as_posix()
        if name != "index" and not {"_build", "generated"} & set(path.parts):
            assert re.search(rf"^{name}$", index, flags=re.M), name


def test_page_of_commands_has_all(parser):
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        text = importlib.import_module("commands_page").page()
    finally:
        sys.path.remove(str(ROOT / "docs"))
    for name in COMMANDS:
        assert f"\n## dd-tf {name}" in text
    assert "--electrons" in text and "example" in text


@pytest.mark.slow
def test_manual_builds_without_warnings(tmp_path):
    pytest.importorskip("sphinx")
    options = ["-E", "-W", "--keep-going", "-q", "-b", "html", "-d", str(tmp_path / "trees")]
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(tmp_path / "html")],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    # Equations need no network, and every one was understood.
    theory = (tmp_path / "html" / "theory.html").read_text()
    assert theory.count("<math") > 30 and "\\frac" not in theory and "\\rho" not in theory
    for page in (tmp_path / "html").rglob("*.html"):
        assert not re.search(r'<(script|link|img)[^>]*(src|href)="https?:', page.read_text()), page
    keys = (tmp_path / "html" / "keys.html").read_text()
    assert "uniform_fraction" in keys and "rcut_smth" in keys
