"""Takes secrets out of logs: known values, and everything that has the format of a secret.

Fed line by line: a private key's body spans lines, so a redactor remembers whether it is inside one. Use one redactor
per stream.
"""

import re
from collections.abc import Mapping

from outpost.redaction.formats import find_formats
from outpost.redaction.known import KnownSecrets
from outpost.redaction.match import redact

_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=]{16,}|^[\s>|+]*[A-Za-z0-9+/=]*\s*$|^(?:Proc-Type|DEK-Info|Version|Comment): ")
_KEY_MARK = "[REDACTED:private-key]"


class Redactor:
    """Replaces secrets by `[REDACTED:<kind>]`, a line at a time; the number of lines never changes."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        """`known`: name of a secret -> its value; values are also found base64- or URL-encoded."""
        self._known = KnownSecrets(known or {})
        self._in_key = False

    def line(self, text: str) -> str:
        """Return one line without its secrets. `text` holds no line break."""
        if self._in_key:
            end = _KEY_ENDS.search(text)
            if end is None and _KEY_BODY.search(text):
                return _KEY_MARK
            self._in_key = False
            if end is not None:
                return _KEY_MARK + self.line(text[end.end() :])
        if "-----BEGIN" in text and (begin := _KEY_BEGINS.search(text)):
            self._in_key = True
            return self._inline(text[: begin.start()]) + self._after_begin(text[begin.end() :])
        return self._inline(text)

    def _after_begin(self, rest: str) -> str:
        end = _KEY_ENDS.search(rest)
        if end is None:
            return _KEY_MARK
        self._in_key = False
        return _KEY_MARK + self.line(rest[end.end() :])

    def text(self, text: str) -> str:
        """Return a text of several lines without its secrets."""
        if not self._in_key and "-----BEGIN" not in text:
            return self._inline(text)
        return "\n".join(self.line(line) for line in text.split("\n"))

    def restart(self) -> None:
        """Forget the lines so far: what follows is another text."""
        self._in_key = False

    def _inline(self, text: str) -> str:
        matches = [*self._known.find(text), *find_formats(text)]
        return redact(text, matches) if matches else text
