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
        The file. Lines past `step` are dropped: a restart writes them anew. Those before stay,
        under the names of their columns: columns that one of the runs lacks hold nan there.
    columns : list of str
        Names; the first is `step`.
    step : int
        Last step whose lines stay.
    """

    def __init__(self, path: str | Path, columns: list[str], step: int):
        self._path = Path(path)
        known, rows = _read(self._path) if step else ([], [])
        self._columns = [*columns, *(name for name in known if name not in columns)]
        lines = ["#" + " ".join(f"{name:>12}" for name in self._columns)]
        for row in rows:
            if row["step"].isdigit() and int(row["step"]) <= step:
                lines.append(self._line(row))
        with atomic_path(self._path) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def add(self, step: int, values: dict[str, float]) -> None:
        """Append a line of values by the names of their columns.

        Raises
        ------
        InputError
            The file cannot be written.
        """
        texts = {name: f"{value:.5e}" for name, value in values.items()}
        try:
            with open(self._path, "a", encoding="utf-8") as stream:
                stream.write(self._line({"step": str(step), **texts}) + "\n")
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot be written ({error.strerror}); make room or give the "
                "rights, then go on by dd-tf train --restart"
            ) from None

    def _line(self, texts: dict[str, str]) -> str:
        return " " + " ".join(f"{texts.get(name, 'nan'):>12}" for name in self._columns)


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and whole lines of a file, if there is one; a kill may have cut its last line."""
    if not path.is_file():
        return [], []
    header, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    columns = header.lstrip("#").split()
    if not header.startswith("#") or columns[:1] != ["step"]:
        raise InputError(
            f"{path}: found {header[:40]!r} as first line, expected a learning curve; move the "
            "file away, or choose another training.disp_file"
        )
    rows = [line.split() for line in lines]
    return columns, [
        dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)
    ]
