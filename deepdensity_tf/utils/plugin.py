"""Plug-ins chosen by `type` in the input: one registry a kind of model piece."""

from __future__ import annotations

from collections.abc import Callable

from dargs import Argument, Variant


class Registry:
    """Classes of one kind by their `type`, with the keys each one takes.

    A plug-in class offers `arguments() -> list[dargs.Argument]` (static) and a
    one-line `summary`.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._classes: dict[str, type] = {}

    def register(self, name: str) -> Callable[[type], type]:
        """Class decorator: make the class known as `name`."""

        def add(cls: type) -> type:
            self._classes[name] = cls
            return cls

        return add

    def __getitem__(self, name: str) -> type:
        return self._classes[name]

    def variant(self, default: str) -> Variant:
        """The dargs variant of all registered types."""
        choices = [
            Argument(name, dict, cls.arguments(), doc=cls.summary)
            for name, cls in sorted(self._classes.items())
        ]
        return Variant(
            "type", choices, optional=True, default_tag=default, doc=f"Which {self.kind}."
        )
