"""What a check of the doctor found."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """A deploy succeeds; something is missing for what comes after it, or at the configuration's limits."""
    FAILURE = "failure"
    """A deploy fails, or what it builds does not work."""
    UNCHECKED = "unchecked"
    """It could not be read."""


class Finding(NamedTuple):
    """One result: `check` names what was looked at, `remedy` is a command or a change of the configuration."""

    check: str
    level: Level
    message: str
    remedy: str = ""


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 1 when something fails, else 3 when something could not be read, else 0."""
    levels = {finding.level for finding in findings}
    if Level.FAILURE in levels:
        return 1
    return 3 if Level.UNCHECKED in levels else 0
