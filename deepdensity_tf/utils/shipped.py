"""Models that come with the package: NAME.pb and its card NAME.json in models/."""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "models"


def shipped_models() -> list[str]:
    """Their names."""
    return sorted(path.stem for path in FOLDER.glob("*.pb"))


def model_path(given: str | Path) -> Path:
    """The file of a model: the one given, or that of a shipped model of this name.

    A file of that name comes first.
    """
    path = Path(given)
    shipped = FOLDER / f"{given}.pb"
    return shipped if not path.exists() and path.name == str(given) and shipped.exists() else path


def model_card(name: str) -> dict:
    """What is known of a shipped model: data, errors, domain, licence, how it was made."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
