"""Finds the lines of private keys, also between other lines and without the line that begins the key.

Sources: RFC 7468 (PEM), RFC 4880 (ASCII armor), RFC 4716 (SSH2), OpenSSH's PROTOCOL.key, the PuTTY manual (PPK).
"""

import re
from collections.abc import Iterator

from outpost.redaction.match import Match
from outpost.redaction.randomness import changes

_KIND = "private-key"
_MARK = re.compile(
    r"(?P<begin>-{4,5} ?BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-Lines: ?\d+)|"
    r"-{4,5} ?END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-(?:MAC|Hash): ?[0-9a-f]+"
)
_PUBLIC_BEGIN = re.compile(r"-{4,5} ?BEGIN (?![A-Z0-9 ]*PRIVATE)[A-Z0-9 ]+-{4,5}|Public-Lines: ?\d+")
_PUBLIC_END = re.compile(r"-{4,5} ?END (?![A-Z0-9 ]*PRIVATE)[A-Z0-9 ]+-{4,5}|Private-Lines")
_TOKEN = re.compile(r"[A-Za-z0-9+/=]+")
_ALONE = re.compile(r"[\s>|*#\"',\\-]*([A-Za-z0-9+/]+={0,2})(?:\\[nr])*[\s\"',\\+]*")
_ESCAPED = re.compile(r"(?:[A-Za-z0-9+/=]|\\+[nr]|%0[AaDd]|&#10;|\s)*")
_ZEROS = re.compile("A{3,}")
"""Of which OpenSSH's format is full: each length is four bytes."""
_OPENSSH = "b3BlbnNzaC1rZXktdjE"
_WIDTHS = frozenset((64, 70, 72, 76))
"""Characters of a full line of PEM, OpenSSH, PuTTY and OpenPGP, of MIME."""
_HEXADECIMAL = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_LEAST = 16
"""Characters of base64 that look like a part of a key when they look random."""
_SURELY = 41
"""Characters of base64 in a row that are a part of a key when they stand inside one; the name of a commit has 40."""
_MOST_OTHER_LINES = 20
_MOST_LINES_BEFORE_BODY = 5
"""Such as the headers of RFC 1421 and of ASCII armor."""
_MOST_PUBLIC_LINES = 100


class PrivateKeys:
    """Follows a stream of lines: whether it is in a private key, or in something public of the same looks."""

    def __init__(self) -> None:
        self._other_lines = -1
        """Lines in a row that hold nothing of the key; negative outside of a key."""
        self._in_body = False
        """Whether a line of the key's body was found."""
        self._public_lines = 0
        """How many more lines may be something public, such as a certificate."""

    def may_find(self, line: str) -> bool:
        """Return whether `find` has to see the next line; almost none."""
        if self._other_lines >= 0 or self._public_lines > 0 or "----" in line or "-Lines: " in line:
            return True
        return len(line) >= 60 and 60 <= len(line) - line.rfind(" ") - 1 <= 90

    def find(self, line: str) -> list[Match]:
        """Return the parts of the next line that belong to a private key."""
        if not self.may_find(line):
            return []
        found: list[Match] = []
        opened: int | None = None
        start = 0
        for mark in _MARK.finditer(line):
            if mark["begin"]:
                opened = mark.start() if opened is None else opened
                self._other_lines, self._public_lines, self._in_body = 0, 0, False
            elif self._other_lines >= 0:
                only_key = opened is not None or _ESCAPED.fullmatch(line, start, mark.start())
                found.append(Match(_KIND, (opened or start) if only_key else mark.start(), mark.end()))
                opened, self._other_lines = None, -1
            start = mark.end()
        return found + self._rest(line, start, opened)

    @property
    def in_public_block(self) -> bool:
        """Whether the last line was in a certificate, a public key, a signature, or another block that is no secret."""
        return self._public_lines > 0

    def _rest(self, line: str, start: int, opened: int | None) -> list[Match]:
        """Return the parts of a line behind its last mark; `opened` is where a key begins that does not end there."""
        if opened is None:
            return self._inside(line, start) if self._other_lines >= 0 else self._outside(line)
        body = _ESCAPED.match(line, start)
        stop = body.end() if body else start
        if stop - start > 40:  # all of it is on one line, which breaks off or whose end is spelled in another way
            self._other_lines = -1
        return [Match(_KIND, opened, stop)]

    def _inside(self, line: str, start: int) -> list[Match]:
        adjacent = None if self._other_lines else 0 if self._in_body else _LEAST
        found = [Match(_KIND, *span) for span in _key_tokens(line, start, adjacent)]
        self._in_body = self._in_body or bool(found)
        is_full = any(match.end - match.start >= _LEAST for match in found)
        self._other_lines = 0 if is_full or start else self._other_lines + 1
        if self._other_lines > (_MOST_OTHER_LINES if self._in_body else _MOST_LINES_BEFORE_BODY):
            self._other_lines = -1
        return found

    def _outside(self, line: str) -> list[Match]:
        if _PUBLIC_BEGIN.search(line):
            self._public_lines = 0 if _PUBLIC_END.search(line) else _MOST_PUBLIC_LINES
        elif _PUBLIC_END.search(line):
            self._public_lines = 0
        elif self._public_lines:
            self._public_lines -= 1
        elif span := _full_line(line):
            self._other_lines, self._in_body = 0, True
            return [Match(_KIND, *span)]
        return []


def _full_line(line: str) -> tuple[int, int] | None:
    """Return where a line, or its last word behind a prefix, is a full line of a key's body."""
    word = line.rsplit(None, 1)[-1].strip("\"',\\") if line and not line.isspace() else ""
    if len(word) not in _WIDTHS or not _TOKEN.fullmatch(word):
        return None
    if changes(_ZEROS.sub("", word)) < 0.35 and not word.startswith(_OPENSSH):
        return None
    if word.isupper() or word.islower() or word.lower().strip("0123456789abcdef") == "":
        return None
    start = line.rindex(word)
    return start, start + len(word)


def _key_tokens(line: str, start: int, adjacent: int | None) -> Iterator[tuple[int, int]]:
    """Yield the parts of a line inside a key that belong to the key.

    `adjacent`: directly behind the beginning or a line of the key, how many characters of base64 alone on a line are
    a part of it, random or not; None elsewhere.
    """
    if alone := _ALONE.fullmatch(line, start):
        text = alone[1]
        follows = adjacent is not None and len(text) >= adjacent and not (adjacent and _HEXADECIMAL.fullmatch(text))
        if follows or _is_of_key(text):
            yield alone.span(1)
        return
    for token in _TOKEN.finditer(line, start):
        text = token[0]
        at_end = not line[token.end() :].strip(" \t\r\"',\\")
        if _is_of_key(text) and (at_end or len(text) >= _SURELY):
            yield token.span()


def _is_of_key(text: str) -> bool:
    """Return whether a text looks like a part of a key in base64: neither a word, a path nor a hexadecimal digest."""
    if text.endswith("=") or len(text) >= _SURELY:
        return True
    return len(text) >= _LEAST and changes(_ZEROS.sub("", text)) >= 0.25 and not _HEXADECIMAL.fullmatch(text)
