"""The formats of density files: what each one is known by, what reads and what writes it."""

from __future__ import annotations

import re
from typing import Any

from deepdensity_tf.utils.plugin import Registry, load_plugins

FORMATS_GROUP = "deepdensity_tf.formats"


class Format:
    """Base class of formats: what a module registers by ``@FORMATS.register(name)``.

    A format reads, writes, or does both; what it does not do it leaves out.

    Attributes
    ----------
    suffixes : tuple of str
        Ends of file names, lower case, without that of a compression.
    words : tuple of str
        What file names hold, upper case.
    magic : tuple of bytes
        First bytes of the (decompressed) file.
    pattern : re.Pattern or None
        What the (decompressed) text begins with, where neither `magic` nor the name tells.
    unit : str or None
        What its files hold unless said otherwise, see `UNITS`; None: files say it themselves.
    """

    suffixes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()
    pattern: re.Pattern | None = None
    unit: str | None = None

    # read(path) or, with a unit, read(path, unit=None) -> list of GridField
    read: Any = None
    # write(path, atoms, density, origin, options): density in electrons/Å^3
    write: Any = None
    # write_potential(path, atoms, potential, origin): potential in eV
    write_potential: Any = None

    @classmethod
    def is_named(cls, name: str) -> bool:
        """Whether a file name, without the suffix of a compression, is one of this format."""
        return name.lower().endswith(cls.suffixes) or any(
            word in name.upper() for word in cls.words
        )


class _Formats(Registry):
    """The registry, with the formats of other packages."""

    def all(self) -> dict[str, type[Format]]:
        """Formats by name, those of installed plug-ins too."""
        load_plugins(FORMATS_GROUP)
        return self._classes


FORMATS = _Formats("format")
