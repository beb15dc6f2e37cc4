"""Recipes of packages name what the package itself names; licence."""

import re
from pathlib import Path

import pytest

from deepdensity_tf import __version__

tomllib = pytest.importorskip("tomllib")  # Python 3.11

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_recipe_has_the_dependencies_of_the_package():
    recipe = (ROOT / "packaging" / "conda" / "meta.yaml").read_text()
    section = re.search(r"\n  run:\n((?:    - .*\n)+)", recipe)[1]
    found = {line.strip("- ").replace(" ", "") for line in section.splitlines()}
    # conda has a matplotlib without windows.
    found = {name.replace("matplotlib-base", "matplotlib") for name in found}
    assert found == {*PROJECT["dependencies"], f"python{PROJECT['requires-python']}"}
    assert f'version: "{__version__}"' in recipe
    assert f"license: {PROJECT['license']}" in recipe


@pytest.mark.parametrize(
    "part", ["GNU LESSER GENERAL PUBLIC LICENSE\n", "GNU GENERAL PUBLIC LICENSE\n"]
)
def test_licence_has_both_texts(part):
    text = (ROOT / "LICENSE").read_text()
    assert part in text and text.count("Version 3, 29 June 2007") == 2
    assert f"SPDX-License-Identifier: {PROJECT['license']}" in text
    assert PROJECT["license-files"] == ["LICENSE"]
