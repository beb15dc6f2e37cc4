"""Plug-ins chosen by `type` in the input: one registry a kind of model piece."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from deepdensity_tf.utils.errors import InputError

if TYPE_CHECKING:
    from dargs import Variant

PLUGIN_GROUP = "deepdensity_tf.plugins"


class Registry:
    """Classes of one kind by their `type`, with the keys each one takes.

    A plug-in class offers `arguments() -> list[dargs.Argument]` (static) and a
    one-line `summary`.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._classes: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[type], type]:
        """Class decorator: make the class known as `name`.

        Raises
        ------
        ValueError
            Another class has the name.
        """

        def add(cls: type) -> type:
            if name in self._classes:
                raise ValueError(f"there is a {self.kind} {name!r} already")
            self._classes[name] = cls
            return cls

        return add

    def __getitem__(self, name: str) -> Any:
        return self._classes[name]

    def variant(self, default: str) -> Variant:
        """The dargs variant of all registered types."""
        from dargs import Argument, Variant  # a quarter of the time of importing the formats

        choices = [
            Argument(name, dict, cls.arguments(), doc=cls.summary)
            for name, cls in sorted(self._classes.items())
        ]
        return Variant(
            "type", choices, optional=True, default_tag=default, doc=f"Which {self.kind}."
        )


@functools.cache
def load_plugins(group: str = PLUGIN_GROUP) -> None:
    """Import what installed packages name under the entry points of a group.

    Their modules register classes as they are imported.

    Parameters
    ----------
    group : str
        ``deepdensity_tf.plugins`` or ``deepdensity_tf.formats``.

    Raises
    ------
    InputError
        A plug-in that cannot be imported, or registers a name that is taken.
    """
    for entry in entry_points(group=group):
        _load(entry)


def _load(entry: EntryPoint) -> None:
    try:
        entry.load()
    # A plug-in is anybody's code: whatever it raises, the user must learn which one it was.
    except Exception as error:
        package = entry.dist.name if entry.dist else "unknown package"
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"plug-in {entry.name} = {entry.value} of {package}: cannot be loaded ({reason}); "
            "mend or uninstall it"
        ) from error
