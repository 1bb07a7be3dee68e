"""Reads a patch while it is stored: which lines, names and binary files it adds. The patch itself is git's, untouched.

The format is that of `git diff --full-index --binary` (git-diff: "Generating patch text with -p").
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worker.secret_scan import BlockSearch, SecretScan

MAX_PIECE = 1024 * 1024
"""Longer lines are read in pieces of about this many bytes."""

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_INDEX = re.compile(rb"index ([0-9a-f]+)\.\.([0-9a-f]+)")
_SIDES = {b" ": b"-+", b"-": b"-", b"+": b"+"}
"""First character of a hunk's line -> the sides that it is on: as the file was before the change, and after it."""
_ESCAPE = re.compile(rb'\\(?:([0-7]{3})|([abtnvfr"\\]))')
_ESCAPED = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


@dataclass(frozen=True)
class BinaryChange:
    """A binary file of a patch: the object ids of its content before and after, zeros for none."""

    path: bytes
    before: str
    after: str


class PatchReader:
    """Follows a patch from line to line, and passes what it adds to a search for secrets."""

    def __init__(self, scan: SecretScan, artifact: str, *, all_new: bool = False) -> None:
        """`artifact` is the name under which the patch is stored. `all_new`: what was there before counts as added."""
        self._scan = scan
        self._artifact = artifact
        self._all_new = all_new
        self._rest = b""
        self._in_line = False
        """Whether `_rest` continues a line whose beginning was read."""
        self._old_left = 0
        self._new_left = 0
        self._path = b""
        self._line = 0
        """Number in the new file of the line that is read."""
        self._blobs = ("", "")
        self._searches: dict[int, BlockSearch] = {}
        """Side of the lines that are being read (its character's code) -> its search. `-` only with `all_new`."""
        self._in_search: list[BlockSearch] = []
        """Those that the line which is read belongs to."""
        self.files = 0
        """Files changed."""
        self.binaries: list[BinaryChange] = []
        """Their contents are not in the patch as they are: search them by their ids."""

    def passed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield each chunk of a patch as it came, and read it."""
        for chunk in chunks:
            yield chunk
            self._feed(chunk)
        if self._rest:
            self._read(self._rest)
        self._end_searches()

    def _feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._read(line + b"\n")
            self._in_line = False
        if len(self._rest) > MAX_PIECE:
            self._read(self._rest)
            self._rest, self._in_line = b"", True

    def _read(self, piece: bytes) -> None:
        """Read a line, or a piece of a long one."""
        if self._in_line:
            self._search(piece)
        elif self._old_left > 0 or self._new_left > 0:
            self._in_hunk(piece)
        elif not piece.startswith(b"\\"):  # no line: "\ No newline at end of file"
            self._end_searches()
            self._header(piece)

    def _in_hunk(self, piece: bytes) -> None:
        kind = piece[:1]
        self._old_left -= kind in (b" ", b"-")
        self._new_left -= kind in (b" ", b"+")
        sides = _SIDES.get(kind, b"") if self._all_new else kind if kind == b"+" else b""
        if not sides and not self._all_new:
            self._end_searches()
        self._in_search = [self._side(side) for side in sides]
        self._search(piece[1:])
        self._line += kind in (b" ", b"+")

    def _side(self, side: int) -> BlockSearch:
        if side not in self._searches:
            self._searches[side] = self._scan.text(self._artifact, self._path, self._line)
        return self._searches[side]

    def _search(self, piece: bytes) -> None:
        for search in self._in_search:
            search.feed(piece)

    def _end_searches(self) -> None:
        for search in self._searches.values():
            search.finish()
        self._searches, self._in_search = {}, []

    def _header(self, line: bytes) -> None:
        text = line.rstrip(b"\n")
        if hunk := _HUNK.match(text):
            self._old_left, self._new_left = (int(count) if count else 1 for count in hunk.group(1, 3))
            self._line = int(hunk[2])
        elif text.startswith(b"diff --git "):
            self.files += 1
            self._path = _path_of(text.removeprefix(b"diff --git "))
            if self._all_new:
                self._scan.name(self._artifact, self._path)
        elif text.startswith(b"new file mode ") and not self._all_new:
            self._scan.name(self._artifact, self._path)
        elif text.startswith((b"rename to ", b"copy to ")):
            self._path = _unquoted(text.partition(b" to ")[2])
            self._scan.name(self._artifact, self._path)
        elif index := _INDEX.match(text):
            self._blobs = (index[1].decode(), index[2].decode())
        elif text == b"GIT binary patch":
            self.binaries.append(BinaryChange(self._path, *self._blobs))


def _path_of(names: bytes) -> bytes:
    """Return the path in `a/PATH b/PATH`. Where the two differ, a line `rename to` follows."""
    return _unquoted(names[len(names) // 2 + 1 :], prefix=b"b/")


def _unquoted(name: bytes, prefix: bytes = b"") -> bytes:
    """Return a name as it is on disk: git quotes names with special bytes (git-config: core.quotePath)."""
    if name.startswith(b'"') and name.endswith(b'"'):
        name = _ESCAPE.sub(lambda code: bytes([int(code[1], 8) if code[1] else _ESCAPED[code[2]]]), name[1:-1])
    return name.removeprefix(prefix)
