"""Searches results for secrets: reports where they stand, and changes nothing.

Memory is bounded: content is searched in blocks, each with the end of the one before it, so that a secret on the border
of two blocks is found as well.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from outpost.domain.findings import MAX_PATH_LENGTH, MOST_PLACES, UNSEARCHED, Finding, Findings
from outpost.redaction.formats import find_formats
from outpost.redaction.known import KnownSecrets
from outpost.redaction.match import redact
from worker.lines import printable

BLOCK_BYTES = 1024 * 1024
CARRY_BYTES = 128 * 1024
"""What a block repeats of the one before: a secret of 16 KiB (the longest), each character escaped to six."""


class Hit(NamedTuple):
    """A secret that a search found."""

    kind: str
    known: bool
    line: int
    text: str = ""
    """What was found there; empty unless the search is for the texts."""


class SecretScan:
    """One search through the results of an attempt. `findings` returns what it found so far."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """`known`: name of a secret -> its value."""
        self._known = KnownSecrets(known)
        self._counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._places: dict[bool, list[Finding]] = {True: [], False: []}
        self._withheld: set[str] = set()

    @property
    def findings(self) -> Findings:
        """All that was found."""
        return Findings(
            secrets=dict(self._counts[True]),
            formats=dict(self._counts[False]),
            places=tuple(self._places[True] + self._places[False])[:MOST_PLACES],
            withheld=tuple(sorted(self._withheld)),
        )

    def name(self, artifact: str, path: bytes) -> None:
        """Search the name of a file that an artifact adds."""
        self._add_content(artifact, path, self._texts([path]))

    def text(self, artifact: str, path: bytes, first_line: int) -> "BlockSearch":
        """Return the search of text that an artifact adds to a file; its first line is number `first_line` there."""

        def found(hit: Hit) -> None:
            self._add(artifact, path, hit.line, hit.kind, hit.known)

        return BlockSearch(self._known, found, first_line)

    def content(
        self, artifact: str, path: bytes, content: Iterable[bytes], before: Callable[[], Iterable[bytes]] | None = None
    ) -> None:
        """Search content that is not text. `before` returns the content that it replaces: what was there is not new.

        Another text of a kind that was there is: another line of the same secret, another key of the same format.
        """
        found = self._texts(content)
        if found and before is not None:
            found -= self._texts(before())
        self._add_content(artifact, path, found)

    def unsearched(self, artifact: str, path: bytes) -> None:
        """Note that content could not be searched: the artifact is withheld."""
        self._add(artifact, path, None, UNSEARCHED, known=True)

    def _add_content(self, artifact: str, path: bytes, found: Iterable[Hit]) -> None:
        for kind, known in sorted({(hit.kind, hit.known) for hit in found}):
            self._add(artifact, path, None, kind, known)

    def _texts(self, content: Iterable[bytes]) -> set[Hit]:
        found: set[Hit] = set()
        search = BlockSearch(self._known, lambda hit: found.add(hit._replace(line=0)), texts=True)
        for chunk in content:
            search.feed(chunk)
        search.finish()
        return found

    def _add(self, artifact: str, path: bytes, line: int | None, kind: str, known: bool) -> None:
        self._counts[known][kind] += 1
        if known:
            self._withheld.add(artifact)
        if len(self._places[known]) < MOST_PLACES:
            text = printable(path)
            shown = redact(text, self._known.find(text)).replace("\n", " ").replace("\t", " ")[:MAX_PATH_LENGTH]
            self._places[known].append(Finding(artifact=artifact, path=shown, line=line, kind=kind, known=known))


class BlockSearch:
    """Searches bytes in pieces of any size; reports each kind of secret, or with `texts` each text, once a line."""

    def __init__(
        self, known: KnownSecrets, found: Callable[[Hit], None], first_line: int = 1, *, texts: bool = False
    ) -> None:
        self._known = known
        self._found = found
        self._texts = texts
        self._line = first_line
        """Line of the first byte that waits."""
        self._waiting: list[bytes] = []
        self._size = 0
        self._reported: set[Hit] = set()
        """Those in the lines that wait: a block repeats the end of the one before it."""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= BLOCK_BYTES + CARRY_BYTES:
            self._search()

    def finish(self) -> None:
        """Search the rest. Nothing follows."""
        if self._waiting:
            self._search()

    def _search(self) -> None:
        block = b"".join(self._waiting)
        text = block.decode("utf-8", "surrogateescape")
        self._report(text)
        if "\0" in text:  # UTF-16, or binary formats with UTF-16 inside
            self._report(text.replace("\0", ""))
        carried = block[-CARRY_BYTES:]
        self._line += block.count(b"\n") - carried.count(b"\n")
        self._waiting, self._size = [carried], len(carried)
        self._reported = {hit for hit in self._reported if hit.line >= self._line}

    def _report(self, text: str) -> None:
        line, position = self._line, 0
        for start, end, kind, known in sorted(_matches(text, self._known)):
            line += text.count("\n", position, start)
            position = start
            hit = Hit(kind, known, line, text[start:end] if self._texts else "")
            if hit not in self._reported:
                self._reported.add(hit)
                self._found(hit)


def _matches(text: str, secrets: KnownSecrets) -> Iterator[tuple[int, int, str, bool]]:
    """Yield start, end, kind and whether it is known; a text in a secret's format that is a known one counts once."""
    known = sorted(secrets.find(text), key=lambda match: match.start)
    starts = [match.start for match in known]
    ends = list(accumulate((match.end for match in known), max))
    yield from ((match.start, match.end, match.kind, True) for match in known)
    for match in find_formats(text):
        before = bisect_left(starts, match.end)  # those that begin before its end
        if not before or ends[before - 1] <= match.start:
            yield match.start, match.end, match.kind, False
