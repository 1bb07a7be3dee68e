"""Finds known values in dumps of bytes: rows of numbers or characters, and runs of hexadecimal digits.

Those of xxd, hexdump and od, and what Node.js, Go, Java and Python print of bytes. Rows cut values, and may show them
as text as well.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from outpost.redaction.patterns import any_of, compiled
from outpost.redaction.searchable import searchable

_LEAST = 8
"""Bytes of a value that count in a row."""
_OFFSET_BYTES = 12
"""Before the bytes of a row, what says where it stands."""
_AT_EDGE = 6
"""Bytes of a value's beginning that count at the end of a row, and of its end at the beginning of one."""
_GRAM = 4
"""Bytes of a value of which the numbers are searched for first."""
_WORD = re.compile(rb"[a-z:/.@_-]*|[0-9]*")
"""Of the beginning or the end of a value, hardly a part of a secret: words, schemes and numbers."""
_PUNCTUATED = re.compile(rb"[a-z]*[:/.@_-][a-z:/.@_-]*|[0-9]*")
"""The same of a row that shows few bytes: there a word is one of a phrase."""
_NUMBER = re.compile(rb"[0-9.,:_/ -]+")
"""A value of digits: each of its parts is one, and counts."""
_YEAR = re.compile(rb"19|20")
_DIFFERENT = 5
"""Digits of a number in a value of letters and digits that is no date and no sequence."""
_REPEATED = re.compile(rb"(.{1,2})\1+", re.DOTALL)

_BETWEEN = "[ ,]{1,4}(?:0[xX])?"
_OFFSET_ROW = "(?m)(?:^|\\\\n|[\"' ])[0-9a-fA-F]{6,8}:? {1,2}(?:(?:[0-9a-fA-F]{2}){1,2} {1,2}){3}"
_WORD_ROW = r"(?:\b|\\n)0[0-9a-fA-F]{5,7}:? {1,4}(?:[0-9a-fA-F]{4} {4}|[0-9a-fA-F]{8} |[0-7]{6} ){2}"
"""A row of words of two or four bytes, of whatever order."""
_CHARACTERS = r"(?: {3}[!-~]| {2}\\[0abtnvfr]| [0-7]{3}| {4}| {2}sp){4,}"
"""A row of `od -c`, `od -ta` or `hexdump -c`."""
_CELLS = "(?: {3}[!-~]){3}"
"""What every such row has, and no indented line."""
_QUOTED = r"""(?:(?:'[^'\n]'|"[^"\n]"),? *){6,}"""
_NUMBERS = rf"(?:(?:0[xX]|-)?[0-9a-fA-F]{{2,16}}{_BETWEEN}-?){{2,}}[0-9a-fA-F]{{2,16}}"
_ROW = compiled(f"({_NUMBERS})|({_CHARACTERS})|({_QUOTED})")
_TOKEN = re.compile(rb"(-?)(?:0[xX])?([0-9a-fA-F]+)")
_ROW_END = re.compile(rb'[\n\\"]|$')

_RUN_BYTES = "(?:(?:%(?:25)*|=|\\\\+(?:x|u00))?[0-9a-fA-F]{2})"
RUN = f"{_RUN_BYTES}{{12,}}"
"""A pattern of RE2: bytes in hexadecimal digits, in percent-encoding, quoted-printable or escapes of strings."""
_RUN = compiled(f"{_RUN_BYTES}{{{_LEAST},}}")
_MARKS = re.compile(rb"%(?:25)*(?=[0-9a-fA-F]{2})|=|\\+(?:x|u00)")


class DumpedSecrets:
    """Values in the rows of dumps, and in runs of digits."""

    def __init__(self, values: Iterable[tuple[str, str]], *, few: bool) -> None:
        """`values`: the names and values of secrets; `few`: whether their numbers are searched for one by one."""
        encoded = [(name, value.encode("utf-8", "surrogatepass")) for name, value in values]
        self._names = {part: name for name, value in encoded for part in _parts(value, _LEAST)}
        self._narrow = {part: name for name, value in encoded for part in _parts(value, _AT_EDGE, _PUNCTUATED)}
        edges = {part for _, value in encoded for part in _parts(value, _AT_EDGE)}
        self._beginnings = {value[:_AT_EDGE]: name for name, value in encoded if value[:_AT_EDGE] in edges}
        self._ends = {value[-_AT_EDGE:]: name for name, value in encoded if value[-_AT_EDGE:] in edges}
        grams = (
            dict.fromkeys(gram for _, value in encoded for gram in _grams(value))
            if few
            else {_NUMBERS: None, RUN: None}
        )
        self.patterns = [_OFFSET_ROW, _WORD_ROW, _CELLS, _QUOTED, *(["|".join(grams)] if grams else [])]
        """Of RE2: a text without a match of these has no row and no run of a value."""
        self._may_find = any_of(self.patterns)

    def find(self, data: bytes) -> Iterator[tuple[str, int, int]]:
        """Yield name, first and last place of the rows with a part of a value, from their bytes to their end."""
        for row in _ROW.finditer(data):
            if not self._may_find(data[max(0, row.start() - _OFFSET_BYTES) : row.end() + 2]):
                continue
            if name := next(filter(None, map(self._part_of, _shown(*row.groups()))), None):
                end = _ROW_END.search(data, row.end())
                yield name, row.start(), end.start() if end else len(data)
        yield from self._find_runs(data)

    def _find_runs(self, data: bytes) -> Iterator[tuple[str, int, int]]:
        """Yield the same of the runs of digits."""
        for run in _RUN.finditer(data):
            digits = _MARKS.sub(b"", run[0]).decode()
            for start in (0, 1):
                shown = bytes.fromhex(digits[start : len(digits) - (len(digits) - start) % 2])
                found = (_first(_windows(each, _LEAST), self._names) for each in (shown, shown.replace(b"\0", b"")))
                if name := next(filter(None, found), None):
                    yield name, *run.span()
                    break

    def _part_of(self, shown: bytes) -> str | None:
        """Return the name of the secret of which a row shows a part."""
        if len(shown) < _LEAST:
            return _first(_windows(shown, _AT_EDGE), self._narrow)
        last = (shown[-size:][:_AT_EDGE] for size in range(_AT_EDGE, _LEAST))
        first = (shown[:size][-_AT_EDGE:] for size in range(_AT_EDGE, _LEAST))
        whole = _first(_windows(shown, _LEAST), self._names)
        return whole or _first(last, self._beginnings) or _first(first, self._ends)


def _shown(numbers: bytes | None, characters: bytes | None, quoted: bytes | None) -> Iterator[bytes]:
    """Yield the bytes that a row may show, in each way to read it."""
    if characters:
        cells = (characters[at : at + 4].strip() for at in range(0, len(characters), 4))
        yield b"".join(_character(cell) for cell in cells)
    elif quoted:
        yield b"".join(re.findall(rb"""['"](.)['"]""", quoted))
    elif numbers:
        # The text beside the bytes may look like further ones.
        for part in {numbers, numbers.rpartition(b"  ")[0]}:
            for shown in _read(_TOKEN.findall(part)):
                yield shown
                yield shown.replace(b"\0", b"")


def _read(tokens: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """Yield the bytes of numbers (sign and digits): hexadecimal ones of either byte order, decimal and octal ones."""
    digits = [number for _, number in tokens]
    for width in (2, 4, 8):
        words = [bytes.fromhex(each.decode()) for each in digits if len(each) in {2, width}]
        yield b"".join(words)
        yield b"".join(word[::-1] for word in words)
    small = [(sign, number) for sign, number in tokens if len(number) <= 3 and number.isdigit()]
    yield bytes(int(number) * (-1 if sign else 1) % 256 for sign, number in small)
    octal = [number for number in digits if not number.strip(b"01234567")]
    yield bytes(int(number, 8) % 256 for number in octal if len(number) == 3)
    yield b"".join((int(number, 8) % 65536).to_bytes(2, "little") for number in octal if len(number) == 6)


def _character(cell: bytes) -> bytes:
    """Return the byte of a cell of `od -c`, if it may be in a value."""
    if len(cell) == 3 and not cell.strip(b"01234567"):
        return bytes([int(cell, 8) % 256])
    return b" " if cell in (b"", b"sp") else cell if len(cell) == 1 else b"\n"


def _grams(value: bytes) -> Iterator[str]:
    """Yield patterns of a few bytes of a value as numbers: hexadecimal in groups of any size, decimal, octal."""
    for text in (value, value.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")):
        for at in {*range(0, len(text) - _GRAM, _GRAM), max(0, len(text) - _GRAM)}:
            gram = text[at : at + _GRAM]
            yield f"(?:{_BETWEEN})?".join(_either_case(byte) for byte in gram)
            if text is value:
                yield "[ ,]{1,4}".join(f"(?:{byte}|-{256 - byte})" if byte > 127 else f"{byte}" for byte in gram)
                yield " {1,3}".join(f"{byte:03o}" for byte in gram)


def _either_case(byte: int) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in f"{byte:02x}")


def _first(parts: Iterable[bytes], names: Mapping[bytes, str]) -> str | None:
    """Return the name of the first part that has one."""
    return next((name for part in parts if (name := names.get(part))), None)


def _windows(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(len(data) - size + 1))


def _parts(value: bytes, size: int, word: re.Pattern[bytes] = _WORD) -> Iterator[bytes]:
    """Yield the parts of a value that are in few other texts."""
    is_number = _NUMBER.fullmatch(value) is not None
    is_common = _REPEATED.fullmatch if is_number else _is_common if size == _LEAST else word.fullmatch
    return (part for part in _windows(value, size) if not is_common(part))


def _is_common(part: bytes) -> bool:
    """Return whether a part of a value is in texts of any kind: a common word, the beginning of an address."""
    if part.isdigit() and len({*part}) >= _DIFFERENT and part not in b"01234567890123456789" and not _YEAR.match(part):
        return False
    return b"://" in part or searchable(part.decode("utf-8", "replace").ljust(_LEAST)) is not None
