"""dd-tf completion: what makes a shell complete commands and options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

_SCRIPT = """\
# Completion of dd-tf; from: dd-tf completion SHELL
%(zsh)s_dd_tf() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} key= word words=
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$word" in
            -*) ;;
            *)  case "$key $word" in
                    %(keys)s) key="${key:+$key }$word" ;;
                esac ;;
        esac
    done
    case "$key:$before" in
%(choices)s
        *) case "$key" in
%(cases)s
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _dd_tf dd-tf
"""

_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def add_parser(subparsers) -> None:
    """Add `dd-tf completion`."""
    parser = subparsers.add_parser(
        "completion",
        help="shell completion",
        description="Print a script that makes bash or zsh complete commands, options and their "
        "values; all else is completed as files.",
        epilog="examples:\n"
        '  eval "$(dd-tf completion bash)"\n'
        "  dd-tf completion bash > ~/.local/share/bash-completion/completions/dd-tf",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh"), help="which shell")
    parser.set_defaults(run=run, commands=subparsers)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    print(script(args.commands, args.shell), end="")


def script(commands: argparse._SubParsersAction, shell: str) -> str:
    """The script for a shell, of all commands and their options."""
    parsers = dict(_parsers(commands))
    cases = [f'            "") words="{" ".join(commands.choices)} --help --version" ;;']
    choices = []
    for key, parser in parsers.items():
        cases.append(f'            "{key}") words="{" ".join(_words(parser))}" ;;')
        for action in parser._actions:
            if action.option_strings and action.choices:
                names = "|".join(f'"{key}:{option}"' for option in action.option_strings)
                choices.append(f'        {names}) words="{" ".join(map(str, action.choices))}" ;;')
    keys = "|".join(f'"{key}"' if " " in key else f'" {key}"' for key in parsers)
    return _SCRIPT % {
        "zsh": _ZSH if shell == "zsh" else "",
        "keys": keys,
        "choices": "\n".join(choices),
        "cases": "\n".join(cases),
    }


def _parsers(commands: argparse._SubParsersAction, above: str = "") -> Iterator[tuple]:
    """All parsers by their words: "train", "plot", "plot lcurve"."""
    for name, parser in commands.choices.items():
        yield above + name, parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from _parsers(action, f"{name} ")


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """Options, names of sub-commands and values of arguments."""
    words: list[str] = []
    for action in parser._actions:
        words += action.option_strings or [str(choice) for choice in action.choices or ()]
    return words
