"""Finds known values in hex dumps, whose rows cut them and show them as text as well: of xxd, hexdump -C and od."""

from collections.abc import Iterable, Iterator

from outpost.redaction.patterns import compiled

_LEAST = 6
"""Bytes of a value that count in a row; fewer, at the value's ends, are not found."""
_GROUP = "(?:[0-9a-fA-F]{2}){1,2}"
_OFFSET = r"(?m)(?:^|\\n|[\"' ])[0-9a-fA-F]{6,8}:? {1,2}"
"""Of a row; in JSON, the line before it ends in two characters."""
ROW_START = f"{_OFFSET}{_GROUP} {{1,2}}{_GROUP} {{1,2}}{_GROUP} "
"""A pattern of RE2: a text without a match of it has no row."""
_ROW = compiled(f'{_OFFSET}({_GROUP}(?: {{1,2}}{_GROUP}){{2,31}})[^\\n\\\\"]*')


class DumpedSecrets:
    """Values in the rows of hex dumps."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        """`values`: the names and values of secrets."""
        encoded = [(name, value.encode("utf-8", "surrogatepass")) for name, value in values]
        self._names = {
            value[start : start + _LEAST]: name for name, value in encoded for start in range(len(value) - _LEAST + 1)
        }

    def find(self, data: bytes) -> Iterator[tuple[str, int, int]]:
        """Yield name, first and last place of the rows with a part of a value, from their bytes to their end."""
        for row in _ROW.finditer(data):
            shown = bytes.fromhex(row[1].decode())
            for start in range(len(shown) - _LEAST + 1):
                if name := self._names.get(shown[start : start + _LEAST]):
                    yield name, row.start(1), row.end()
                    break
