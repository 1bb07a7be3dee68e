"""All the ways in which programs spell a value: escaped for JSON, shells, HTML, URLs, Python, SQL, INI, CSS, mail.

Also as UTF-16 and UTF-32. The escapes may be mixed and nested (JSON inside JSON inside a shell's quotes): each
character is looked for in every spelling. Sources: RFC 8259 (JSON), RFC 3986 and the URL Standard (percent-encoding, +
for a space), ECMA-262, B.2.1 (`escape`), the HTML Standard (character references), the Bash manual (quoting, ANSI-C
quoting), the Python reference (string literals), perlop (escapes), CSS Syntax Module Level 3, 4.3.7 (escapes),
RFC 2045, 6.7 (quoted-printable).
"""

from contextlib import suppress
from html.entities import html5

_WRAP = "[\"'`]?[ \\t|\\\\=+.,]*\\r?\\n[ \\t|#*>/.+-]*[\"'`]?"
"""The end of a line inside a value: `fold`, `textwrap`, a table's cell, and literals that are joined, as of `pprint`.

With what may stand on either side: the mark of a line that is continued, quotes, operators, the marks of comments.
"""
_DOUBLED = {'"': '""', "'": "''|'\\\\''|'\"'\"'", "$": "\\$\\$", " ": f"\\+|&nbsp;|_|{_WRAP}"}
"""Further spellings: SQL and CSV double their quotes, a shell leaves them, Make doubles its dollars.

A space is also an underscore (RFC 2047, 4.2), or the end of a line.
"""
_NAMES: dict[str, list[str]] = {}
"""Character -> its names in HTML."""
for _name, _of in html5.items():
    if _name.endswith(";"):
        _NAMES.setdefault(_of, []).append(_name.removesuffix(";"))
_PERCENT = "%(?:25)*"
"""Of percent-encoding, once or again."""
_BACKSLASH = f"(?:\\\\|{_PERCENT}5[Cc])+"
_QUOTING = f"(?:[\\\\`^]|{_PERCENT}5[Cc])*"
"""Escape characters as many as there are layers of quoting."""
_AMPERSAND = f"(?:&|{_PERCENT}26|{_BACKSLASH}u0026)(?:amp(?:;|{_PERCENT}3[Bb]))*"
_BREAK = f"(?:{_WRAP})?"
_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\0": "0", "\x1b": "e"}


def spelled(value: str, *, letters: bool = True) -> str:
    """Return a pattern of RE2, over UTF-8 as bytes, of every spelling of `value`.

    Without `letters`, letters and digits are taken as they are: it is shorter, and most encoders leave them.
    """
    pattern = _BREAK.join(_characters(value, letters=letters))
    if not letters:
        return pattern
    encoded = [_utf16(value)] if value.isascii() else _encoded(value)
    return "|".join((pattern, _hexadecimal(value), *encoded))


def spelled_beginning(value: str, least: int) -> str:
    """Return a pattern that matches `least` characters or more of the beginning of `value` at the end of a text.

    The text may end in what says that its last line is continued.
    """
    characters = _characters(value, letters=False)
    rest = [f"(?:{_BREAK}{character}" for character in characters[least:]]
    return f"{_BREAK.join(characters[:least])}{''.join(rest)}{')?' * len(rest)}[=\\\\]?\\z"


def _characters(value: str, *, letters: bool) -> list[str]:
    return [_character(c) if letters or not (c.isalnum() and c.isascii()) else c for c in value]


def _character(c: str) -> str:
    encoded = c.encode("utf-8", "surrogatepass")
    quoting = "" if c.isalnum() and c.isascii() else _QUOTING
    octets = _BREAK.join(f"(?:{_PERCENT}|=(?:3D)*){_digits(byte, 2)}" for byte in encoded)
    ways = [f"{quoting}(?:{_plain(c, encoded)}|{octets}|{_references(c)})"]
    ways.append(f"{_BACKSLASH}(?:{'|'.join(_escapes(c))})")
    if c in _DOUBLED:
        ways.append(_DOUBLED[c])
    units = c.encode("utf-16-be", "surrogatepass")
    pairs = [int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2)]
    ways.append("".join(f"{_PERCENT}u{_digits(unit, 4)}" for unit in pairs))
    if not c.isascii():
        ways.append("".join(f"{_BACKSLASH}(?:x?{_digits(byte, 2)}|0?{byte:03o})" for byte in encoded))
        ways.append("".join(f"{_BACKSLASH}u{_digits(unit, 4)}" for unit in pairs))
        # UTF-8 that was read as Latin-1, as the bytes of binary files are, and `escape` of JavaScript.
        ways += [_literal(encoded.decode("latin-1").encode()), f"{_PERCENT}{_digits(ord(c), 2)}"]
    return f"(?:{'|'.join(ways)})"


def _escapes(c: str) -> list[str]:
    """Return what stands behind backslashes: `u00e9`, `u{e9}`, `x{e9}`, `U000000e9`, `e9 ` of CSS, `xe9`, octal."""
    code = ord(c)
    ways = [f"0*{_digits(code, 1)} ?", f"[ux]\\{{0*{_digits(code, 1)}\\}}", f"U{_digits(code, 8)}"]
    if code < 65536:
        ways.append(f"u{_digits(code, 4)}")
    if code < 256:
        ways.append(f"x{_digits(code, 2)}")
    if c.isascii():
        ways.append(f"0?{code:03o}")
    if c in _LETTERS:
        ways.append(_LETTERS[c])
    return ways


def _plain(c: str, encoded: bytes) -> str:
    """Return the character itself."""
    if c == "\n":
        return "\\r?\\n"
    if c == "%":
        return "%[%]?"
    return _AMPERSAND if c == "&" else _literal(encoded)


def _references(c: str) -> str:
    """Return the character references of HTML and XML."""
    code = ord(c)
    end = f"(?:;|{_PERCENT}3[Bb])"
    ways = [f"(?:#|{_PERCENT}23)(?:0*{code}|[xX]0*{_digits(code, 1)}){end}?"]
    ways += [f"{name}{end}" for name in _NAMES.get(c, ())]
    return f"{_AMPERSAND}(?:{'|'.join(ways)})"


def _utf16(value: str) -> str:
    """Return ASCII text as UTF-16 or UTF-32 of either byte order."""
    return "\\x00(?:\\x00\\x00)?".join(_literal(c.encode()) for c in value)


def _encoded(value: str) -> list[str]:
    """Return a text as Windows-1252, which Latin-1 is part of, and as UTF-16 without its zeros.

    As they stand in bytes that were decoded as UTF-8, with surrogates for those that are none (PEP 383).
    """
    found = list[str]()
    for name in ("cp1252", "utf-16-le", "utf-16-be"):
        with suppress(UnicodeEncodeError):
            text = value.encode(name).replace(b"\0", b"").decode("utf-8", "surrogateescape")
            found.append(_literal(text.encode("utf-8", "surrogatepass")))
    return found


def _hexadecimal(value: str) -> str:
    """Return the digits of the bytes, with or without something between two bytes."""
    return "(?:[ :,-]|, ?0[xX]|\\\\x)?".join(_digits(byte, 2) for byte in value.encode())


def _digits(number: int, width: int) -> str:
    """Return the hexadecimal digits of a number, in both cases."""
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in f"{number:0{width}x}")


def _literal(data: bytes) -> str:
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\x{byte:02x}" for byte in data)
