"""Where in a text a secret stands."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Match:
    """A secret in a text: `text[start:end]`. `kind` is the name of a known secret, or of a format."""

    kind: str
    start: int
    end: int


def redact(text: str, matches: Iterable[Match]) -> str:
    """Return `text` with every match replaced by `[REDACTED:<kind>]`; matches that touch or overlap become one."""
    parts: list[str] = []
    end = 0
    for match in sorted(matches, key=lambda match: (match.start, -match.end)):
        if match.start >= end:
            parts += [text[end : match.start], f"[REDACTED:{match.kind}]"]
        end = max(end, match.end)
    return "".join([*parts, text[end:]])
