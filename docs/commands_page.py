"""The page of all commands, from the parsers themselves."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from deepdensity_tf.main import build_parser

_HEAD = """\
# Commands

`dd-tf COMMAND --help` says the same on the terminal. Results go to stdout or files, messages to
stderr. Exit codes: 0; 2 for wrong input, with one line that says what was found and what was
expected; 130 if interrupted; 141 if the reader of the output went away. Every command takes
`-v`/`--verbose` (say more) and `-q`/`--quiet` (only warnings and errors).
"""


def page() -> str:
    """Markdown of the whole page."""
    os.environ["COLUMNS"] = "88"  # width of the usage lines
    parts = [_HEAD, *(_section(parser) for parser in leaves(build_parser()))]
    return "\n".join(parts)


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """All parsers without sub-commands of their own."""
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not nested:
        yield parser
    for action in nested:
        for child in action.choices.values():
            yield from leaves(child)


def _section(parser: argparse.ArgumentParser) -> str:
    lines = [f"## {parser.prog}\n"]
    if parser.description:
        lines.append(_prose(parser.description) + "\n")
    lines += ["```text", parser.format_usage().removeprefix("usage: ").rstrip(), "```\n"]
    rows = [_row(parser, action) for action in parser._actions if not _everywhere(action)]
    lines += ["| argument | meaning |", "|---|---|", *rows, ""] if rows else []
    if parser.epilog:
        lines += ["```text", parser.epilog.strip(), "```", ""]
    return "\n".join(lines)


def _prose(text: str) -> str:
    """Descriptions with lines of their own, such as tables, keep them."""
    if "\n  " in text:
        return f"```text\n{text.strip()}\n```"
    return _escaped(text)


def _everywhere(action: argparse.Action) -> bool:
    return action.dest in ("help", "verbosity")


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    formatter = argparse.HelpFormatter(parser.prog)
    invocation = formatter._format_action_invocation(action)
    # %(default)s and its kind are filled in as for the terminal.
    text = formatter._expand_help(action) if action.help else ""
    return f"| `{invocation}` | {_escaped(text)} |"


def _escaped(text: str) -> str:
    for character in "\\*_<|`$[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
