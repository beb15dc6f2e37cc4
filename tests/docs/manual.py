"""What the tests of the manual look at: its files, their code blocks and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {".venv", "run", "_build", "generated", "node_modules", "build", ".pytest_cache"}


class Block(NamedTuple):
    """A fenced block."""

    path: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All Markdown files of the repository."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return [ROOT / path for path in sorted(found) if not SKIPPED & set(path.parts)]


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a file, and those indented by four spaces (language "")."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        fence = re.match(r"(\s*)(```+)(.*)", lines[number])
        if fence:
            end = number + 1
            while end < len(lines) and lines[end].strip() != fence[2]:
                end += 1
            text = "\n".join(line.removeprefix(fence[1]) for line in lines[number + 1 : end])
            yield Block(path, number + 1, fence[3].strip(), text)
            number = end + 1
            continue
        if lines[number].startswith("    ") and (number == 0 or not lines[number - 1].strip()):
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            yield Block(path, number + 1, "", "\n".join(line[4:] for line in lines[number:end]))
            number = end
            continue
        number += 1


def commands(script: str) -> Iterator[list[str]]:
    """Arguments of every `dd-tf` in a shell script, whatever runs it (mpirun, srun, exec, ...)."""
    for line in script.replace("\\\n", " ").splitlines():
        if "dd-tf " not in line:
            continue
        for inner in re.findall(r"\$\((dd-tf [^)]*)\)", line):
            yield inner.split()[1:]
        words = shlex.shlex(
            re.sub(r"\$\([^)]*\)", "VALUE", line), posix=True, punctuation_chars=";&|>"
        )
        words.whitespace_split = True
        words.commenters = "#"
        yield from _split(list(words))


def _split(words: list[str]) -> Iterator[list[str]]:
    """The commands of one line, between separators."""
    command: list[str] | None = None
    for word in [*words, ";"]:
        if set(word) <= set(";&|>"):
            if command is not None:
                yield command
            command = None
        elif word == "dd-tf" and command is None:
            command = []
        elif command is not None:
            command.append(word)


def python_commands(block: Block) -> Iterator[tuple[Path, list[str]]]:
    """Script and options of every `python FILE.py` in a block, from the folder it is run in."""
    folder = block.path.parent if block.path.name == "README.md" else ROOT
    for line in block.text.replace("\\\n", " ").splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["cd"]:
            folder = ROOT / words[1]
        if words[:1] in (["python"], ["sh"]) and words[1].endswith((".py", ".sh")):
            yield folder / words[1], [word for word in words if word.startswith("--")]


def links(path: Path) -> Iterator[str]:
    """Targets of the links and pictures outside of code."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    text = re.sub(r"`[^`\n]*`", "", text)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def inline_code(path: Path) -> Iterator[str]:
    """Code within lines."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    yield from re.findall(r"`([^`\n]+)`", text)
