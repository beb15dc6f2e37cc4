"""Errors of the accuracy benchmark as a table, from the results in benchmarks/accuracy."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "accuracy" / "results"


def table() -> str:
    """Markdown: one row a tested set."""
    lines = [
        "| model | training s | tested on | structures | NMAE % | worst |",
        "|---|---|---|---|---|---|",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        for test in result.get("tests", []):
            lines.append(
                f"| {path.stem} | {result['seconds']:.0f} | {test['label']} | {test['nframes']} | "
                f"{test['nmae']:.3g} | {test['nmae_worst']:.3g} |"
            )
    return "\n".join(lines) + "\n"
