"""Imports point downward, in the order that the manual states."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "deepdensity_tf"


def below():
    """What each part of the package may import, by the table in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.search(r"```text\n(.*?)```", text, re.S)[1]
    direct = {}
    for line in table.splitlines():
        name, _, under = line.partition(":")
        direct[name] = under.split()
        # What stands below comes first: no circles.
        assert set(direct[name]) < set(direct), line
    allowed: dict[str, set[str]] = {}
    for name, under in direct.items():
        allowed[name] = set(under).union(*(allowed[other] for other in under))
    return allowed


def imports(path, package=PACKAGE):
    """Parts of the package that a file imports anywhere in it, with the lines."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: -node.level]) + "." if node.level else ""
            # `from deepdensity_tf import plot` names a part as `from deepdensity_tf.plot` does.
            module = base + (node.module or "")
            names = [f"{module.rstrip('.')}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            words = name.split(".")
            if words[0] == package.name and len(words) > 1 and words[1].islower():
                yield words[1], node.lineno


def violations(package=PACKAGE):
    """Upward imports, one line each."""
    allowed = below()
    found = []
    for path in sorted(package.rglob("*.py")):
        part = path.relative_to(package).with_suffix("").parts[0]
        if part == "__init__":
            continue
        assert part in allowed, f"{part}: say in docs/architecture.md where it stands"
        for target, line in imports(path, package):
            if target in allowed and target != part and target not in allowed[part]:
                found.append(f"{path.relative_to(package)}:{line} imports {target}")
    return found


def test_imports_point_downward():
    # The one known: `plot.sections.Structure`, atoms on a grid, is of a lower level by its nature.
    found = [line for line in violations() if not line.startswith("infer/frames.py")]
    assert found == []


def test_every_part_of_the_table_exists():
    for name in below():
        assert (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file(), name


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("utils/files.py", "from deepdensity_tf.formats import Grid"),
        ("infer/metrics.py", "from deepdensity_tf.train.trainer import Trainer"),
        ("model/frozen.py", "def f():\n    import deepdensity_tf.infer.frames"),
        ("data/system.py", "from deepdensity_tf import plot"),
        ("fit/pair.py", "from ..schema import complete_input"),
    ],
)
def test_an_upward_import_is_found(tmp_path, file, line):
    package = tmp_path / "deepdensity_tf"
    (package / file).parent.mkdir(parents=True)
    (package / file).write_text(f"from deepdensity_tf.utils.errors import InputError\n{line}\n")
    assert [found.split(":")[0] for found in violations(package)] == [file]
