"""dd-tf models: the models that come with the package."""

from __future__ import annotations

import argparse
import json


def add_parser(subparsers) -> None:
    """Add `dd-tf models`."""
    parser = subparsers.add_parser(
        "models",
        help="models that come with the package, and what they are good for",
        description="List the models that come with the package, or print the card of one: data, "
        "errors on structures never seen, domain, what it must not be used for, licence. Every "
        "command takes their names as -m NAME.",
        epilog="examples:\n  dd-tf models\n  dd-tf models organic\n"
        "  ./density $(dd-tf models organic --path) ...     # for programs that want a file",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="print the card of this one")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--path", action="store_true", help="print the file of NAME alone")
    form.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.utils.errors import InputError
    from deepdensity_tf.utils.shipped import model_card, model_path, shipped_models

    names = shipped_models()
    if args.name is not None and args.name not in names:
        raise InputError(f"models: found {args.name!r}, expected one of {', '.join(names)}")
    if args.path and args.name is None:
        raise InputError("--path: goes with the name of a model")
    if args.path:
        print(model_path(args.name))
        return
    cards = {name: model_card(name) for name in names}
    if args.json:
        print(json.dumps(cards[args.name] if args.name else cards, indent=2, ensure_ascii=False))
    elif args.name:
        print(_card(args.name, cards[args.name]))
    else:
        for name, card in cards.items():
            size = model_path(name).stat().st_size / 1e6
            print(f"{name:<12s} {card['elements']}; {card['level']}; {size:.1f} MB")
            print(f"{'':<12s} {card['summary']}")


def _card(name: str, card: dict) -> str:
    """The card as text: a heading a key."""
    from textwrap import fill, indent

    parts = [name]
    for key, value in card.items():
        if isinstance(value, dict):
            width = max(map(len, value))
            text = "\n".join(f"{k:<{width}s}  {v}" for k, v in value.items())
        else:
            text = fill(str(value), 88)
        parts.append(f"{key}\n{indent(text, '  ')}")
    return "\n\n".join(parts)
