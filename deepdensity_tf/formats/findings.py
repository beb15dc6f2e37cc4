"""What is odd about a file: doubts are warnings, faults are refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal, NamedTuple

from deepdensity_tf.utils.errors import InputError

log = logging.getLogger(__name__)


class Finding(NamedTuple):
    """Something odd.

    Parameters
    ----------
    severity : str
        "doubt": a warning; "fault": refused, with --force a warning; "final": refused.
    message : str
        Without the name of the file.
    """

    severity: Literal["doubt", "fault", "final"]
    message: str


def report(findings: Iterable[Finding], label: str, force: bool = False) -> None:
    """Warn of the doubts; refuse a fault.

    Raises
    ------
    InputError
        A fault that `force` does not override.
    """
    for finding in findings:
        text = f"{label}: {finding.message}"
        if finding.severity == "final" or (finding.severity == "fault" and not force):
            raise InputError(text)
        log.warning("%s", text)
