"""Finds known values in text, however they are escaped or encoded."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from outpost.redaction.dumps import DumpedSecrets
from outpost.redaction.encodings import EncodedSecrets
from outpost.redaction.match import Match
from outpost.redaction.patterns import Pattern, any_of, compiled
from outpost.redaction.pieces import pieces_of
from outpost.redaction.searchable import searchable
from outpost.redaction.spelling import spelled, spelled_beginning

_MOST = 128
"""Characters that are searched for at once: longer values of one line are searched for in parts."""
_MOST_SPELLED = 8192
"""Characters of all values; of more, letters and digits are searched for as they are and in hexadecimal digits only."""
_LEAST = 4
"""Characters of a value that count as its beginning."""


class KnownSecrets:
    """Values that may not appear in a text. Of a value of several lines, those that bear secrets are found singly."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values`: name of a secret -> its value. What is not `searchable` is not searched for."""
        pieces = [(name, form) for name, value in values.items() for form in _forms(pieces_of(value))]
        self._parts = [(name, part) for name, piece in pieces for part in _parts(piece)]
        few = sum(len(part) for _, part in self._parts) <= _MOST_SPELLED
        patterns = [(name, spelled(part, letters=few and len(part) <= _MOST)) for name, part in self._parts]
        # In base64 a fragment is enough, and the lines that bear no secret are none.
        named = {name for name, part in self._parts if "\n" not in part}
        encoded = [(name, part) for name, part in self._parts if "\n" not in part or name not in named]
        self._encoded = EncodedSecrets(encoded, step=4 if few else 16)
        self._dumped = DumpedSecrets(self._parts, few=few)
        found = (pattern for _, pattern in patterns)
        self.may_find = any_of([*found, *self._encoded.patterns, *self._dumped.patterns])
        """Returns whether a value may stand in a text, which is given in UTF-8."""
        self._patterns = patterns

    def find(self, text: str) -> Iterator[Match]:
        """Return an iterator over where a value stands; matches may overlap. `kind` is the name of the secret."""
        data = text.encode("utf-8", "surrogatepass")
        return self._matches(text, data) if self.may_find(data) else iter(())

    def _matches(self, text: str, data: bytes) -> Iterator[Match]:
        for name, pattern in self._compiled:
            place = _Place(text, data)
            for match in pattern.finditer(data):
                yield Match(name, place.of(match.start()), place.of(match.end()))
        place = _Place(text, data)
        for name, start, end in self._dumped.find(data):
            yield Match(name, place.of(start), place.of(end))
        yield from self._encoded.find(text)

    @cached_property
    def _compiled(self) -> list[tuple[str, Pattern]]:
        return [(name, compiled(pattern, longest=True)) for name, pattern in self._patterns]

    def find_beginning(self, text: str) -> Iterator[Match]:
        """Yield where the end of `text` is the beginning of a value, of which the rest may follow."""
        data = text.encode("utf-8", "surrogatepass")
        for name, pattern in self._beginnings:
            if match := pattern.search(data):
                yield Match(name, _Place(text, data).of(match.start()), len(text))

    @cached_property
    def _beginnings(self) -> list[tuple[str, Pattern]]:
        parts = [(name, part) for name, part in self._parts if len(part) <= _MOST]
        return [(name, compiled(spelled_beginning(part, _LEAST))) for name, part in parts]


class _Place:
    """Converts positions in a text's UTF-8, that hardly ever go back, to positions in the text."""

    def __init__(self, text: str, data: bytes) -> None:
        self._data = data
        self._is_ascii = len(text) == len(data)
        self._byte = self._character = 0

    def of(self, byte: int) -> int:
        if self._is_ascii:
            return byte
        first, last = sorted((self._byte, byte))
        between = len(self._data[first:last].decode("utf-8", "surrogatepass"))
        self._character += between if byte > self._byte else -between
        self._byte = byte
        return self._character


def _forms(pieces: Sequence[str]) -> list[str]:
    """Return the texts, and as they are printed otherwise.

    Those with accents also with composed characters and with accents alone (UAX #15); those with control characters
    without them, which logs take away.
    """
    others = {unicodedata.normalize(form, piece) for piece in pieces for form in ("NFC", "NFD")}
    others |= {"".join(c for c in piece if c.isprintable() or c in "\t\r\n") for piece in pieces}
    return [*pieces, *sorted(other for other in others.difference(pieces) if searchable(other) is None)]


def _parts(piece: str) -> Iterator[str]:
    """Yield parts of a long line, of nearly the same length; anything else as it is."""
    count = 1 if "\n" in piece else -(-len(piece) // _MOST)
    for number in range(count):
        yield piece[number * len(piece) // count : (number + 1) * len(piece) // count]
