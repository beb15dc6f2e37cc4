"""Text of structure files for readers that trust the counts in it."""

from __future__ import annotations

import io
from pathlib import Path

from deepdensity_tf.formats.base import open_bytes
from deepdensity_tf.utils.errors import InputError

_PATIENCE = 100  # lines: some readers look a few beyond the end


class EndingText(io.TextIOWrapper):
    """Text that refuses to be read on and on behind its end.

    Readers take as many lines as a header counts: with a count of 400 digits they would never end.
    Line ends come as \\n, a byte order mark is left out, bytes that are no UTF-8 are replaced.
    """

    def __init__(self, path: Path):
        super().__init__(open_bytes(path), encoding="utf-8-sig", errors="replace")  # type: ignore[arg-type]
        self._path = path
        self.behind = 0  # lines asked for behind the end since the last one that was there

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        """As that of any text file.

        Raises
        ------
        InputError
            The end has been passed for long.
        """
        line = super().readline(size)
        self.behind = 0 if line else self.behind + 1
        if self.behind > _PATIENCE:
            raise self.truncated()
        return line

    def truncated(self) -> InputError:
        """What to say of a file that ends too early."""
        return InputError(
            f"{self._path}: ends before what its header counts, expected as many lines "
            "(truncated, or a wrong number of atoms?)"
        )
