"""Which parts of a secret's value are secret: of a file, the lines and values that bear secrets, not the others."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from outpost.redaction.randomness import is_random
from outpost.redaction.searchable import MIN_LENGTH, searchable

MAX_WHOLE = 2048
"""Characters; a longer value is looked for by its parts only."""

_MARK = "\ufeff"
"""Of byte order, at the beginning of a file that an editor on Windows wrote: readers take it away."""
_ASSIGNMENT = re.compile(r"""\s*(?:export |set |- )?\s*["']?([\w./ -]{1,80}?)["']?\s*(?:=>|:=|[=:])\s*(\S.*)""")
_SECRET_NAME = re.compile(
    r"pass(?!ive)|pwd|secret|token|private|credential|api_?-?key|access_?-?key|_key\b|^key$|auth(?!or|_?ur[il]|_?prov)",
    re.IGNORECASE,
)
_URL = re.compile(r"://[^\s/:@]{0,256}:([^\s/]+)@")
_NETRC = re.compile(r"\bpassword\s+(\S+)")


def pieces_of(value: str) -> list[str]:
    """Return the texts to look for: the value as a whole, and the parts of it that are secrets by themselves."""
    whole = value.strip().strip(_MARK).strip()
    pieces = {piece for piece in _parts(whole) if searchable(piece) is None}
    if "\n" not in whole or len(whole) <= MAX_WHOLE:
        pieces |= {whole} if searchable(whole) is None else set()
    return sorted(pieces)


def _parts(whole: str) -> Iterator[str]:
    if whole.startswith(("{", "[")):
        try:
            yield from _leaves("", json.loads(whole))
        except (ValueError, RecursionError):
            pass
        else:
            return
    lines = whole.splitlines()
    found = False
    for line in lines:
        for part in _of_line(line.strip(), alone=len(lines) == 1):
            found = True
            yield part
    if len(lines) > 1:  # when no line looks like a secret, any of them may be one
        others = (line.strip() for line in lines if not _ASSIGNMENT.fullmatch(line))
        yield from (line for line in others if not found or is_random(line, MIN_LENGTH))


def _leaves(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(name, inner)
    elif isinstance(value, str):
        yield from _of_value(name, value)


def _of_line(line: str, *, alone: bool) -> Iterator[str]:
    """Yield what is secret on a line; `alone` means that the line is the value, which is looked for anyway."""
    if match := _URL.search(line):
        yield from {match[1], unquote(match[1])}
    if match := _NETRC.search(line):
        yield match[1]
    if match := _ASSIGNMENT.fullmatch(line):
        yield from _of_value(match[1], match[2].rstrip(" ,;").strip("\"'"))
    elif not alone and is_random(line):
        yield line


def _of_value(name: str, value: str) -> Iterator[str]:
    if match := _URL.search(value):
        yield from {match[1], unquote(match[1])}
    if "://" in value:
        yield from (part for part in re.split(r"[/?&=#:@]", value) if is_random(part))
    elif "PRIVATE KEY" in value or "\n" in value or "\\n" in value:
        yield from (line for line in re.split(r"\\n|\s+", value) if is_random(line))
    elif _SECRET_NAME.search(name) or (is_random(value) and not re.search(r"@|\.\w+\.", value)):
        yield value
