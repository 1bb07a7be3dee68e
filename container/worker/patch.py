"""Takes secrets out of a patch as it streams by: only added text is changed, so the patch still applies."""

import re
from collections.abc import Iterable, Iterator

from outpost.redaction.redactor import Redactor
from worker.lines import cut_position

MAX_PIECE = 1024 * 1024
"""Longer lines are read in pieces of at most this many bytes."""

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_INDEX = re.compile(rb"index [0-9a-f]+\.\.([0-9a-f]+)")


class PatchScrubber:
    """Reads git's unified diff line by line and knows where in it each line stands."""

    def __init__(self, scrubber: Redactor) -> None:
        self._scrubber = scrubber
        self._old_left = 0
        self._new_left = 0
        self._blob = ""
        self.files = 0
        """Files changed."""
        self.binary_blobs: list[str] = []
        """Object ids of the new contents of binary files: those cannot be scrubbed, only searched."""
        self.secret_in_header = False
        """Whether a path carries a secret: that cannot be scrubbed either."""

    def scrub(self, pieces: Iterable[tuple[bytes, bool]]) -> Iterator[bytes]:
        """Yield the patch without secrets; each piece comes with whether it begins a line."""
        added = False
        for piece, begins_line in pieces:
            if begins_line:
                added = self._place(piece)
            yield self._redact(piece, begins_line) if added else piece

    def _place(self, line: bytes) -> bool:
        """Follow the structure; say whether `line` is an added line of text."""
        if self._old_left > 0 or self._new_left > 0:
            return self._inside_hunk(line)
        if hunk := _HUNK.match(line):
            self._old_left, self._new_left = (int(count) if count else 1 for count in hunk.groups())
            self._scrubber.restart()
        elif line.startswith(b"\\"):
            return False
        else:
            self._header(line)
        return False

    def _inside_hunk(self, line: bytes) -> bool:
        kind = line[:1]
        self._old_left -= kind in (b" ", b"-")
        self._new_left -= kind in (b" ", b"+")
        if kind == b" ":
            self._scrubber.line(_text(line[1:].rstrip(b"\n")))  # an unchanged line may begin a private key
        return kind == b"+"

    def _header(self, line: bytes) -> None:
        if line.startswith(b"diff --git "):
            self.files += 1
            self._scrubber.restart()
        elif index := _INDEX.match(line):
            self._blob = index[1].decode()
        elif line.startswith(b"GIT binary patch"):
            self.binary_blobs.append(self._blob)
        if line.startswith((b"diff --git ", b"rename to ", b"copy to ")):
            text = _text(line.rstrip(b"\n"))
            self.secret_in_header |= self._scrubber.line(text) != text

    def _redact(self, piece: bytes, begins_line: bool) -> bytes:
        head, body = (piece[:1], piece[1:]) if begins_line else (b"", piece)
        text = body.removesuffix(b"\n")
        clean = self._scrubber.line(_text(text)).encode("utf-8", "surrogateescape")
        return head + clean + body[len(text) :]


def pieces_of(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Split a stream into lines with their ends, and long lines into pieces that never halve a key."""
    rest = b""
    begins_line = True
    for chunk in chunks:
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line + b"\n", begins_line
            begins_line = True
        while len(rest) > MAX_PIECE:
            position = cut_position(rest, MAX_PIECE)
            yield rest[:position], begins_line
            rest, begins_line = rest[position:], False
    if rest:
        yield rest, begins_line


def holds_secret(content: Iterable[bytes], scrubber: Redactor) -> bool:
    """Say whether a stream of bytes that are not text holds a secret."""
    texts = (piece.decode("latin-1").rstrip("\n") for piece, _ in pieces_of(content))
    return any(scrubber.line(text) != text for text in texts)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")
