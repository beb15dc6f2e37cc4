"""Packages whose own code runs when something in it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from types import ModuleType

# ASE's readers import modules in these two that need nothing of the packages' own code, which
# imports most of SciPy: four fifths of the time of `import ase.io`.
_BEHIND_ASE_IO = ("ase.dft", "ase.spacegroup")


def ase_io() -> ModuleType:
    """The module ase.io."""
    for name in _BEHIND_ASE_IO:
        defer(name)
    return importlib.import_module("ase.io")


def defer(name: str) -> None:
    """Let a package be imported without running its own code before something in it is asked for.

    Its modules can be imported meanwhile. Does nothing if it is imported already.

    Parameters
    ----------
    name : str
        Full name of a package within a package.
    """
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    loader, module = spec.loader, importlib.util.module_from_spec(spec)
    lock = threading.RLock()
    begun = False

    def load(attribute: str):
        nonlocal begun
        with lock:
            if not begun:
                begun = True
                loader.exec_module(module)
        try:
            return vars(module)[attribute]
        except KeyError:
            message = f"module {name!r} has no attribute {attribute!r}"
            raise AttributeError(message) from None

    vars(module)["__getattr__"] = load
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    setattr(importlib.import_module(parent), child, module)
