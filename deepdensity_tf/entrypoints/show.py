"""dd-tf show: what is in a frozen model."""

from __future__ import annotations

import argparse
import json

# As DeePMD-kit calls them.
ATTRIBUTES = ("type-map", "descriptor", "fitting-net", "size", "observed-type")


def add_parser(subparsers) -> None:
    """Add `dd-tf show`."""
    parser = subparsers.add_parser(
        "show",
        help="what is in a frozen model",
        description="Print elements, cut-offs, kind, version, number of parameters and training "
        "input of a frozen model.",
        epilog="examples:\n  dd-tf show frozen_model.pb --script\n"
        "  dd-tf show frozen_model.pb type-map descriptor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="frozen model")
    parser.add_argument(
        "attributes",
        nargs="*",
        metavar="WHAT",
        help=f"only these: {', '.join(ATTRIBUTES)} (all)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the training input")
    parser.add_argument("--script", action="store_true", help="print the training input as YAML")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Run the sub-command."""
    from deepdensity_tf.utils.errors import InputError

    for name in args.attributes:
        if name not in ATTRIBUTES:
            raise InputError(f"show: found {name!r}, expected one of {', '.join(ATTRIBUTES)}")
    from deepdensity_tf.infer.deep_density import DeepDensity
    from deepdensity_tf.utils.shipped import model_path

    model = DeepDensity(args.model)
    facts = {
        "file": args.model,
        "size": model_path(args.model).stat().st_size,
        "type_map": list(model.type_map),
        "rcut": model.rcut,
        "rcut_point": model.rcut_point,
        "model_type": model.model_type,
        "model_version": model.model_version,
        "observed": _observed(model),
        **model.info,
    }
    if args.attributes:
        _print_attributes(_attributes(facts, model.training_script, args.attributes), args.json)
    elif args.json:
        print(json.dumps({**facts, "training_script": model.training_script}, indent=2))
    else:
        print(_describe(facts, model.training_script))
    if args.script and not args.json and not args.attributes:
        import yaml

        print(f"\n{yaml.safe_dump(model.training_script, sort_keys=False)}", end="")


def _observed(model) -> dict[str, dict[str, int]]:
    """Atoms and frames of each element of the training data; empty if not known."""
    counts = zip(model.type_map, model.elements_seen.tolist(), strict=True)
    return {name: {"atoms": n, "frames": m} for name, (n, m) in counts if n}


def _attributes(facts: dict, script: dict, names: list[str]) -> dict:
    """What was asked for by name."""
    values = {
        "type-map": facts["type_map"],
        "descriptor": script["model"]["descriptor"],
        "fitting-net": script["model"]["fitting_net"],
        "size": facts.get("nparameters"),
        "observed-type": facts["observed"],
    }
    return {name: values[name] for name in names}


def _print_attributes(values: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        print(f"{name}: {json.dumps(value)}")


def _describe(facts: dict, script: dict) -> str:
    lines = {
        "model": f"{facts['file']} ({facts['size'] / 2**20:.2f} MB)",
        "elements": " ".join(facts["type_map"]),
        "cut-off between atoms": f"{facts['rcut']:g} Å",
        "cut-off of the density": f"{facts['rcut_point']:g} Å",
        "fitting type": facts["model_type"],
        "graph version": facts["model_version"],
    }
    if facts["observed"]:
        observed = (f"{e} {n['atoms']} ({n['frames']})" for e, n in facts["observed"].items())
        lines["atoms trained on (frames)"] = ", ".join(observed)
    if "nparameters" in facts:
        lines["parameters"] = f"{facts['nparameters']:,}"
    if "package_version" in facts:
        lines["frozen by"] = f"deepdensity_tf {facts['package_version']}"
    if "compression" in facts:
        lines["compressed"] = f"table step {facts['compression']['step']:g} Å"
    lines.update(_training_summary(script))
    if "data_checksum" in facts:
        lines["data checksum"] = facts["data_checksum"]
    width = max(map(len, lines)) + 2
    return "\n".join(f"{name + ':':<{width}}{value}" for name, value in lines.items())


def _training_summary(script: dict) -> dict[str, str]:
    """The keys of the training input people ask for first, where they are there."""
    model, training = script.get("model", {}), script.get("training", {})
    data = training.get("training_data", {})
    values = {
        "descriptor": model.get("descriptor", {}).get("type"),
        "baseline": (model.get("baseline") or {}).get("type"),
        "training steps": training.get("numb_steps"),
        "training data": ", ".join(_as_list(data.get("systems"))),
        "training frames": data.get("frames"),
    }
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def _as_list(value) -> list[str]:
    return [value] if isinstance(value, str) else [str(entry) for entry in value or []]
