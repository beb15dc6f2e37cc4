"""Sphinx configuration. Warnings are errors: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import accuracy_table  # noqa: E402
import commands_page  # noqa: E402

from deepdensity_tf import __version__  # noqa: E402

project = "deepdensity_tf"
author = "The deepdensity_tf developers"
release = version = __version__

extensions = ["myst_parser", "mathml", "dargs.sphinx"]
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
html_math_renderer = "mathml"
myst_heading_anchors = 3
exclude_patterns = ["_build", "generated/accuracy.md"]
html_theme = "furo"
html_title = f"deepdensity_tf {release}"

# Pages made of the program and of the benchmarks' results: written only where they changed, so that
# a second build has little to do.
GENERATED = HERE / "generated"
GENERATED.mkdir(exist_ok=True)
for name, text in (
    ("commands.md", commands_page.page()),
    ("accuracy.md", accuracy_table.table()),
):
    path = GENERATED / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
