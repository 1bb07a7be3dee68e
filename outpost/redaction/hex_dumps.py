"""Finds known values in hexadecimal digits: in the rows of hex dumps (xxd, hexdump -C, od), and in runs of digits.

Rows cut values, and show them as text as well.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from outpost.redaction.patterns import compiled
from outpost.redaction.searchable import searchable

_LEAST = 8
"""Bytes of a value that count in a row."""
_AT_EDGE = 6
"""Bytes of a value's beginning that count at the end of a row, and of its end at the beginning of one."""
_WORD = re.compile(rb"[a-z:/.@_-]*|[0-9]*")
"""Of the beginning or the end of a value, hardly a part of a secret: words, schemes and numbers."""
_NUMBER = re.compile(rb"[0-9.,:_/ -]+")
"""A value of digits: each of its parts is one, and counts."""
_REPEATED = re.compile(rb"(.{1,2})\1+", re.DOTALL)
_GROUP = "(?:[0-9a-fA-F]{2}){1,2}"
_OFFSET = r"(?m)(?:^|\\n|[\"' ])[0-9a-fA-F]{6,8}:? {1,2}"
"""Of a row; in JSON, the line before it ends in two characters."""
ROW_START = f"{_OFFSET}{_GROUP} {{1,2}}{_GROUP} {{1,2}}{_GROUP} "
"""A pattern of RE2: a text without a match of it has no row."""
_ROW = compiled(f'{_OFFSET}({_GROUP}(?: {{1,2}}{_GROUP}){{2,31}})[^\\n\\\\"]*')

RUN = r"(?:(?:%(?:25)*|=|\\+(?:x|u00))?[0-9a-fA-F]{2}){12,}"
"""A pattern of RE2: bytes in hexadecimal digits, in percent-encoding, quoted-printable or escapes of strings."""
_RUN = compiled(RUN)
_MARKS = re.compile(rb"%(?:25)*(?=[0-9a-fA-F]{2})|=|\\+(?:x|u00)")


class DumpedSecrets:
    """Values in the rows of hex dumps."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        """`values`: the names and values of secrets."""
        encoded = [(name, value.encode("utf-8", "surrogatepass")) for name, value in values]
        self._names = {part: name for name, value in encoded for part in _parts(value, _LEAST)}
        self._short = {part: name for name, value in encoded for part in _parts(value, _AT_EDGE)}
        self._beginnings = {value[:_AT_EDGE]: name for name, value in encoded if value[:_AT_EDGE] in self._short}
        self._ends = {value[-_AT_EDGE:]: name for name, value in encoded if value[-_AT_EDGE:] in self._short}

    def find(self, data: bytes) -> Iterator[tuple[str, int, int]]:
        """Yield name, first and last place of the rows with a part of a value, from their bytes to their end."""
        for row in _ROW.finditer(data):
            # The text beside the bytes may look like further ones.
            shown = (bytes.fromhex(digits.decode()) for digits in (row[1], row[1].rpartition(b"  ")[0]))
            if name := next(filter(None, map(self._part_of, shown)), None):
                yield name, row.start(1), row.end()

    def find_runs(self, data: bytes) -> Iterator[tuple[str, int, int]]:
        """Yield name, first and last place of the runs of digits with a part of a value."""
        for run in _RUN.finditer(data):
            digits = _MARKS.sub(b"", run[0]).decode()
            for start in (0, 1):
                shown = bytes.fromhex(digits[start : len(digits) - (len(digits) - start) % 2])
                if name := _first(_windows(shown, _LEAST), self._names):
                    yield name, *run.span()
                    break

    def _part_of(self, shown: bytes) -> str | None:
        """Return the name of the secret of which a row shows a part."""
        if len(shown) < _LEAST:
            return _first(_windows(shown, _AT_EDGE), self._short)
        last = (shown[-size:][:_AT_EDGE] for size in range(_AT_EDGE, _LEAST))
        first = (shown[:size][-_AT_EDGE:] for size in range(_AT_EDGE, _LEAST))
        whole = _first(_windows(shown, _LEAST), self._names)
        return whole or _first(last, self._beginnings) or _first(first, self._ends)


def _first(parts: Iterable[bytes], names: Mapping[bytes, str]) -> str | None:
    """Return the name of the first part that has one."""
    return next((name for part in parts if (name := names.get(part))), None)


def _windows(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(len(data) - size + 1))


def _parts(value: bytes, size: int) -> Iterator[bytes]:
    """Yield the parts of a value that are in few other texts."""
    is_number = _NUMBER.fullmatch(value) is not None
    is_common = _REPEATED.fullmatch if is_number else _is_common if size == _LEAST else _WORD.fullmatch
    return (part for part in _windows(value, size) if not is_common(part))


def _is_common(part: bytes) -> bool:
    """Return whether a part of a value is in texts of any kind: a common word, the beginning of an address."""
    return b"://" in part or searchable(part.decode("utf-8", "replace").ljust(_LEAST)) is not None
