"""The learning curve file."""

from __future__ import annotations

from pathlib import Path

from deepdensity_tf.utils.errors import InputError
from deepdensity_tf.utils.files import atomic_path


class LearningCurve:
    """lcurve.out: one line for each display, columns named in the first line.

    Parameters
    ----------
    path : str or Path
        The file. Lines past `step` are dropped: a restart writes them anew.
    columns : list of str
        Names; the first is `step`.
    step : int
        Last step whose lines stay.
    """

    def __init__(self, path: str | Path, columns: list[str], step: int):
        self._path = Path(path)
        kept = []
        if step and self._path.is_file():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
                fields = line.split()
                whole = len(fields) == len(columns) and fields[0].isdigit()
                if whole and int(fields[0]) <= step:
                    kept.append(line)
        header = "#" + " ".join(f"{name:>12}" for name in columns)
        with atomic_path(self._path) as temporary:
            temporary.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")

    def add(self, step: int, values: list[float]) -> None:
        """Append a line.

        Raises
        ------
        InputError
            The file cannot be written.
        """
        line = f" {step:12d} " + " ".join(f"{value:12.5e}" for value in values)
        try:
            with open(self._path, "a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be written ({error.strerror}); make room or give the "
                "rights, then go on by dd-tf train --restart"
            ) from None
