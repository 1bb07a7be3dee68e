"""Known values: found in every spelling, encoding and cut; nothing else is."""

import base64
import json
import quopri
import re
import shlex
import subprocess
import unicodedata
from collections.abc import Callable
from functools import cache, partial
from html import escape
from html.entities import html5
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from outpost.redaction.known import KnownSecrets
from outpost.redaction.match import redact
from outpost.redaction.redactor import Redactor
from outpost.redaction.searchable import searchable

MARK = "[REDACTED:TOKEN]"
VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=12, max_size=80).filter(
    lambda value: searchable(value) is None and value == value.strip()
)


def _entities(spell: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: "".join(map(spell, value))


NAMES = {character: name for name, character in html5.items() if name.endswith(";")}


def _units(value: str) -> list[int]:
    data = value.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


def _escaped(unit: int) -> str:
    if unit < 128 and chr(unit).isalnum():
        return chr(unit)
    return f"%u{unit:04X}" if unit > 255 else f"%{unit:02X}"


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON in JSON in JSON": lambda value: json.dumps(json.dumps(json.dumps(value))),
    "JSON as UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON of PHP": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON for HTML": lambda value: re.sub("[<>&'+]", lambda c: f"\\u{ord(c[0]):04X}", json.dumps(value)),
    "single quotes of a shell": shlex.quote,
    "double quotes of a shell": lambda value: '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"',
    "backslashes of a shell": lambda value: re.sub(r"([^A-Za-z0-9_])", r"\\\1", value),
    "HTML": escape,
    "XML": lambda value: escape(value, quote=False).replace("'", "&apos;"),
    "decimal character references": _entities(lambda c: f"&#{ord(c)};"),
    "hexadecimal character references": _entities(lambda c: f"&#x{ord(c):X};"),
    "a URL": lambda value: quote(value, safe=""),
    "a URL in lower case": lambda value: re.sub("%..", lambda code: code[0].lower(), quote(value, safe="")),
    "a query": quote_plus,
    "a URL in a URL": lambda value: quote(quote(value, safe=""), safe=""),
    "JSON in a URL": lambda value: quote(json.dumps(value)[1:-1], safe=""),
    "JSON in JSON in a query": lambda value: quote_plus(json.dumps(json.dumps(value)[1:-1])[1:-1]),
    "JSON of PHP in a URL": lambda value: quote(json.dumps(value)[1:-1].replace("/", "\\/"), safe=""),
    "HTML in a URL": lambda value: quote(escape(value), safe=""),
    "HTML in JSON for HTML": lambda value: json.dumps(escape(value)).replace("&", "\\u0026"),
    "JSON in HTML": lambda value: escape(json.dumps(value)[1:-1]),
    "HTML with names": _entities(lambda c: f"&{NAMES[c]}" if c in NAMES else c),
    "escape of JavaScript": lambda value: "".join(map(_escaped, _units(value))),
    "Perl": _entities(lambda c: c if c.isascii() and c.isalnum() else f"\\x{{{ord(c):x}}}"),
    "repr of Python": repr,
    "ascii of Python": ascii,
    "bytes of Python": lambda value: repr(value.encode()),
    "SQL": lambda value: value.replace("'", "''"),
    "CSV": lambda value: value.replace('"', '""'),
    "hexadecimal digits": lambda value: value.encode().hex(),
    "CSS": _entities(lambda c: c if c.isalnum() else f"\\{ord(c):x} "),
    "CSS with six digits": _entities(lambda c: f"\\{ord(c):06X}"),
    "quoted-printable": lambda value: quopri.encodestring(value.encode()).decode().replace("=\n", ""),
    "quoted-printable in full": lambda value: "".join(f"={byte:02X}" for byte in value.encode()),
    "composed characters": lambda value: unicodedata.normalize("NFC", value),
    "accents alone": lambda value: unicodedata.normalize("NFD", value),
    "UTF-8 read as Latin-1": lambda value: value.encode().decode("latin-1"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=40)
@given(before=st.text("ab =:\"'(", max_size=10), value=VALUES, after=st.text("yz \"')", max_size=10))
@example(before="", value="pa\"ss'w$o`r\\d & <tag>/é!%+", after="")
@example(before="", value="two words\\n\\\\ and more", after="")
def test_a_known_value_disappears_in_every_spelling(spelling: str, before: str, value: str, after: str) -> None:
    spelled = SPELLINGS[spelling](value)

    cleaned = redact(text := f"{before} {spelled} {after}", list(KnownSecrets({"TOKEN": value}).find(text)))

    assert MARK in cleaned
    assert spelled.strip("\"'") not in cleaned
    rest = re.sub("[b\\\\\"']", "", cleaned.replace(MARK, ""))  # without the quotes around it
    assert len(rest) <= len(f"{before}  {after}")


@pytest.mark.parametrize("command", ["printf %q", "declare -p value", "set -x; : "])
def test_a_known_value_disappears_as_bash_prints_it(command: str) -> None:
    value = 'it\'s "a" $ec`ret`\\ with\ttabs & é!'
    script = {"printf %q": 'printf %q "$value"', "set -x; : ": 'set -x; : "$value"'}.get(command, command)

    done = subprocess.run(
        ["/bin/bash", "-c", f'value="$1"; {script}', "bash", value],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )

    cleaned = Redactor({"TOKEN": value}).text(done.stdout + done.stderr)
    assert MARK in cleaned
    assert "ret" not in cleaned.replace(MARK, "")


@given(value=st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), min_size=12), data=st.data())
def test_spellings_may_be_mixed_within_a_value(value: str, data: st.DataObject) -> None:
    spellings = (str, SPELLINGS["decimal character references"], SPELLINGS["a URL"], lambda c: f"\\u{ord(c):04x}")
    choices = data.draw(st.lists(st.sampled_from(spellings), min_size=len(value), max_size=len(value)))
    assume(searchable(value) is None and value == value.strip())

    spelled = "".join(spell(c) for spell, c in zip(choices, value, strict=True))

    assert Redactor({"TOKEN": value}).line(f"<{spelled}>") == f"<{MARK}>"


@given(
    before=st.binary(max_size=100),
    value=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=16, max_size=120).filter(
        lambda value: len(value.strip()) > 15
    ),
    after=st.binary(max_size=100),
    width=st.sampled_from([64, 76]),
    prefix=st.sampled_from(["", "    ", "> ", "+", "2026-11-27T10:00:00Z stdout "]),
    encode=st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]),
)
def test_no_known_value_survives_in_base64_that_is_wrapped(
    before: bytes, value: str, after: bytes, width: int, prefix: str, encode: Callable[[bytes], bytes]
) -> None:
    encoded = encode(before + value.strip().encode() + after).decode()
    lines = [prefix + encoded[start : start + width] for start in range(0, len(encoded), width)]

    cleaned = Redactor({"TOKEN": value}).text("\n".join(lines)).split("\n")

    assert len(cleaned) == len(lines)
    inside = encode(before + value.strip().encode()).decode()[len(encode(before)) : -4]
    rest = "".join(line.removeprefix(prefix) for line in cleaned)
    assert not [start for start in range(len(inside) - 12) if inside[start : start + 13] in rest]


@pytest.mark.parametrize(
    "encode",
    [
        lambda data: base64.b64encode(base64.b64encode(data)),
        lambda data: base64.urlsafe_b64encode(base64.b64encode(data)),
        lambda data: base64.b64encode(data.decode().encode("utf-16-le")),
    ],
    ids=["base64 of base64", "URL-safe base64 of base64", "base64 of UTF-16"],
)
@given(
    before=st.text("ab =:", max_size=9),
    value=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=80),
    after=st.text("yz ", max_size=9),
)
def test_no_known_value_survives_in_base64_of_another_encoding(
    encode: Callable[[bytes], bytes], before: str, value: str, after: str
) -> None:
    assume(searchable(value) is None)
    encoded = encode(f"{before}{value}{after}".encode()).decode()
    found = list(KnownSecrets({"TOKEN": value}).find(encoded))
    assert max((match.end - match.start for match in found), default=0) >= len(encode(value.encode())) - 16


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be"])
def test_a_known_value_in_utf_32_is_found(encoding: str) -> None:
    value = "q8Zr2LkT0vXw-5MnB"
    text = f"key = {value}!".encode(encoding).decode()
    (match,) = KnownSecrets({"TOKEN": value}).find(text)
    assert text[match.start : match.end].replace("\0", "") == value


DUMPS: dict[str, Callable[[bytes], str]] = {
    "hexdump -C": lambda data: "".join(
        f"{at:08x}  {data[at : at + 8].hex(' ')}  {data[at + 8 : at + 16].hex(' ')}  |{_shown(data[at : at + 16])}|\n"
        for at in range(0, len(data), 16)
    ),
    "xxd": lambda data: "".join(
        f"{at:08x}: {data[at : at + 16].hex(' ', 2)}  {_shown(data[at : at + 16])}\n" for at in range(0, len(data), 16)
    ),
}


def _shown(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)


@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("in_json", [False, True])
def test_rows_of_a_hex_dump_that_hold_a_known_value_lose_their_bytes(dump: str, in_json: bool) -> None:
    value = "q8Zr2LkT0vXw5MnB-uor5ClFKHu6MUbgXOsHzo"
    known = KnownSecrets({"TOKEN": value})
    for before in range(16):
        rows = DUMPS[dump](b"." * before + value.encode() + b"." * 20)
        text = json.dumps(rows) if in_json else rows
        cleaned = redact(text, list(known.find(text)))
        left = re.findall(r"[0-9a-f]{8}:? +((?:[0-9a-f]{2,4} {1,2})+)", cleaned)
        shown = bytes.fromhex("".join(left).replace(" ", ""))
        assert not [start for start in range(len(value) - 5) if value[start : start + 6].encode() in shown]
        assert not [start for start in range(len(value) - 5) if value[start : start + 6] in cleaned]
    assert list(known.find(DUMPS[dump](b"nothing to see here, all of it is public"))) == []


DIGITS: dict[str, Callable[[bytes], str]] = {
    "digits": lambda data: data.hex(),
    "percent-encoding": lambda data: "".join(f"%{byte:02X}" for byte in data),
    "JSON": lambda data: "".join(f"\\u{byte:04x}" for byte in data),
}


@pytest.mark.parametrize("form", DIGITS)
@pytest.mark.parametrize("before", [b"", b"a", b"abc"])
def test_a_large_value_in_hexadecimal_digits_is_found(form: str, before: bytes) -> None:
    value = "".join(f"{number:04x}/Z&q" for number in range(2_000))
    text = DIGITS[form](before + value.encode()[1_000:1_100] + b"end")
    (start, end), *_ = ((match.start, match.end) for match in KnownSecrets({"TOKEN": value}).find(text))
    assert end - start >= len(DIGITS[form](value.encode()[1_000:1_100])) - 2


@pytest.mark.parametrize("times", [1, 2])
def test_a_large_value_is_found_across_its_percent_signs(times: int) -> None:
    value = "".join(f"{number:04x}%Z" for number in range(2_000))
    text = "".join(f"%{'25' * (times - 1)}{byte:02X}" for byte in value.encode()[1_000:1_012])
    assert list(KnownSecrets({"TOKEN": value}).find(text))


@pytest.mark.parametrize("other", [b"https://example.org/", b"postgres is a database", b"0000000000000000"])
def test_rows_with_common_words_of_a_value_stay(other: bytes) -> None:
    known = KnownSecrets({"URL": "postgres://app:q8Zr2LkT0@db/0000000000000000", "HOOK": "https://hooks.test/q8Zr2"})
    assert [match for dump in DUMPS.values() for match in known.find(dump(other))] == []


@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("before", range(4, 16))
def test_a_short_value_that_two_rows_of_a_hex_dump_share_is_found(dump: str, before: int) -> None:
    text = DUMPS[dump](b"." * before + b"q8Zr2LkT0vXw" + b"." * 20)
    assert list(KnownSecrets({"TOKEN": "q8Zr2LkT0vXw"}).find(text))


@pytest.mark.parametrize("dump", DUMPS)
@pytest.mark.parametrize("value", ["4929174026385162", "4929-1740-2638-5162"])
@pytest.mark.parametrize("before", range(16))
def test_a_value_of_digits_is_found_in_the_rows_of_a_hex_dump(dump: str, value: str, before: int) -> None:
    text = DUMPS[dump](b"." * before + value.encode() + b"." * 20)
    cleaned = redact(text, list(KnownSecrets({"PIN": value}).find(text)))
    left = re.findall(r"[0-9a-f]{8}:? +((?:[0-9a-f]{2,4} {1,2})+)", cleaned)
    shown = bytes.fromhex("".join(left).replace(" ", ""))
    assert not [start for start in range(len(value) - 5) if value[start : start + 6].encode() in shown]
    assert not [start for start in range(len(value) - 5) if value[start : start + 6] in cleaned]


def test_a_large_value_of_digits_in_hexadecimal_digits_is_found() -> None:
    value = "".join(f"{number * 7919:06d}" for number in range(2_000))
    assert list(KnownSecrets({"PAD": value}).find(value[1_000:1_100].encode().hex()))


@pytest.mark.parametrize("width", [6, 7])
@pytest.mark.parametrize("value", ["q8Zr2LkT0vXw5MnB-uor5ClFKHu6MUbgXOsHzo", "4929174026385162"])
def test_short_rows_inside_a_value_are_found(width: int, value: str) -> None:
    known = KnownSecrets({"TOKEN": value})
    for before in range(width):
        data = b"." * before + value.encode()
        rows = [data[at : at + width] for at in range(0, len(data), width)]
        text = "".join(f"{width * at:08x}: {row.hex(' ', -2)}  {_shown(row)}\n" for at, row in enumerate(rows))
        cleaned = redact(text, list(known.find(text)))
        assert not [row for row in rows if len(row) == width and row in value.encode() and _shown(row) in cleaned]
    assert list(known.find("00000000: 6e6f 7468 696e  nothin\n")) == []


def _rows(data: bytes, row: Callable[[bytes], str], width: int = 16) -> str:
    return "".join(row(data[at : at + width]) + "\n" for at in range(0, len(data), width))


def _little_endian(data: bytes, form: str, size: int = 2) -> str:
    padded = data + bytes(-len(data) % size)
    words = (int.from_bytes(padded[at : at + size], "little") for at in range(0, len(padded), size))
    return " ".join(format(word, form) for word in words)


NUMBERS: dict[str, Callable[[bytes], str]] = {
    "xxd -p": lambda data: _rows(data, lambda row: row.hex(), 30),
    "xxd -p -u in JSON": lambda data: json.dumps(_rows(data, lambda row: row.hex().upper(), 30)),
    "xxd -i": lambda data: _rows(data, lambda row: "  " + "".join(f"0x{byte:02x}, " for byte in row), 12),
    "xxd -e": lambda data: _rows(data, lambda row: f"00000000: {_little_endian(row, '08x', 4)}  {_shown(row)}"),
    "od -An -tx1": lambda data: _rows(data, lambda row: " " + row.hex(" ")),
    "od": lambda data: _rows(data, lambda row: "0000000 " + _little_endian(row, "06o")),
    "od -b": lambda data: _rows(data, lambda row: "0000000 " + " ".join(f"{byte:03o}" for byte in row)),
    "od -c": lambda data: _rows(data, lambda row: "0000000" + "".join(f"{chr(byte):>4}" for byte in row)),
    "od -tu1": lambda data: _rows(data, lambda row: "0000000" + "".join(f"{byte:4}" for byte in row)),
    "hexdump": lambda data: _rows(data, lambda row: "0000000 " + _little_endian(row, "04x")),
    "hexdump -x": lambda data: _rows(data, lambda row: "0000000    " + _little_endian(row, "04x").replace(" ", "    ")),
    "JSON of a Buffer": lambda data: json.dumps({"type": "Buffer", "data": [*data]}, separators=(",", ":")),
    "fmt of Go": lambda data: f"[{' '.join(map(str, data))}]",
    "Uint8Array": lambda data: _rows(data, lambda row: "  " + "".join(f"{byte:3}, " for byte in row), 12),
    "list of characters": lambda data: str([*data.decode()]),
    "digits of UTF-16": lambda data: data.decode().encode("utf-16-le").hex(),
    "base32": lambda data: _rows(base64.b32encode(data), lambda row: row.decode(), 76),
}


@pytest.mark.parametrize("form", NUMBERS)
@pytest.mark.parametrize("value", ["q8Zr2LkT0vXw5MnB-uor5ClFKHu6MUbgXOsHzo", "tangerine-bicycle-harmonica"])
def test_a_value_in_rows_of_numbers_is_found(form: str, value: str) -> None:
    known = KnownSecrets({"TOKEN": value})
    for before in (0, 3, 7, 12):
        assert list(known.find(NUMBERS[form](b"." * before + value.encode() + b"." * 20)))
    assert list(known.find(NUMBERS[form](b"nothing to see here, all of it is public"))) == []


@pytest.mark.parametrize(
    "text", ["1, 2, 3, 4, 5, 6, 7, 8, 9, 10", "10 20 30 40 50 60", "   a   b   c   d", "'a', 'b', 'c'," * 9]
)
def test_other_numbers_and_characters_stay(text: str) -> None:
    assert list(KnownSecrets({"TOKEN": "q8Zr2LkT0vXw5MnB"}).find(text)) == []


def test_the_digits_of_a_value_are_found_without_its_letters() -> None:
    known = KnownSecrets({"TOKEN": "live_8472910583627194_key"})
    assert list(known.find("00000000: 3834 3732 3931 3035 3833 3632 3731 3934  8472910583627194"))
    assert list(known.find("00000000: 3230 3236 3131 3238 3031 3233 3435 3637  2026112801234567")) == []


def test_a_passphrase_is_found_in_narrow_rows() -> None:
    data = b"tangerine-bicycle-harmonica"
    text = _rows(data, lambda row: f"00000000: {row.hex(' ', -2)}  {_shown(row)}", 6)
    assert list(KnownSecrets({"PHRASE": data.decode()}).find(text))


@pytest.mark.parametrize(
    "text",
    [
        "correct\n  horse battery staple",
        "'correct '\n 'horse battery staple'",
        "=?utf-8?q?correct_horse_battery_staple?=",
    ],
)
def test_the_spaces_of_a_passphrase_may_be_ends_of_lines_or_underscores(text: str) -> None:
    assert list(KnownSecrets({"PHRASE": "correct horse battery staple"}).find(text))


def test_the_password_of_an_oauth_client_is_found() -> None:
    """It is percent-encoded, and then in base64 (RFC 6749, 2.3.1)."""
    value = "+/=&%?#@!:;,"
    text = base64.b64encode(b"client:" + quote(value, safe="").encode()).decode()
    assert list(KnownSecrets({"CLIENT": value}).find(text))


def _with_soft_breaks(value: str, width: int) -> str:
    octets = "".join(c if c.isascii() and c.isalnum() else "".join(f"={b:02X}" for b in c.encode()) for c in value)
    units = re.findall("=..|.", octets)
    return "=\n".join("".join(units[at : at + width]) for at in range(0, len(units), width))


def _broken(between: str, value: str, width: int) -> str:
    return between.join(value[at : at + width] for at in range(0, len(value), width))


BROKEN: dict[str, Callable[[str, int], str]] = {
    "quoted-printable": _with_soft_breaks,
    "CRLF": lambda value, width: _with_soft_breaks(value, width).replace("\n", "\r\n"),
    **{
        name: partial(_broken, between)
        for name, between in {
            "a shell": "\\\n",
            "YAML": "\\\n    ",
            "fold": "\n",
            "fold of a file with CRLF": "\r\n",
            "a comment": "\n# ",
            "a comment in C": "\n     * ",
            "a diff": "\n+",
            "a table": " |\n| ",
            "pprint": "'\n '",
            "JavaScript": '" +\n    "',
        }.items()
    },
}


@pytest.mark.parametrize("form", BROKEN)
@settings(max_examples=40)
@given(value=st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=["Cc", "Zs"]), min_size=12))
def test_a_value_that_goes_on_in_the_next_line_is_found(form: str, value: str) -> None:
    assume(searchable(value) is None and value == value.strip() and "\\" not in value)
    text = BROKEN[form](value, 5)
    found = list(KnownSecrets({"TOKEN": value}).find(f"x {text} y"))
    assert max((match.end - match.start for match in found), default=0) >= len(text) - 1


@pytest.mark.parametrize("form", ["quoted-printable", "a shell"])
@pytest.mark.parametrize("width", [4, 9, 17])
def test_a_value_that_goes_on_in_the_next_line_of_a_log_is_taken_out(form: str, width: int) -> None:
    value = "q8Zr2LkT0vXw5MnBuor5ClFKHu6MUbgXOsHzo"
    lines = f"x {BROKEN[form](value, width)} y\nand on".split("\n")
    cleaned = Redactor({"TOKEN": value}).text("\n".join(lines))
    assert cleaned.count("\n") == len(lines) - 1
    assert not [part for part in re.findall(r"\w+", "\n".join(lines)[2:-8]) if len(part) > 3 and part in cleaned]


@pytest.mark.parametrize("end", ["=", "\\"])
@pytest.mark.parametrize("more", ["", "Zr2LkT0v"])
def test_a_value_that_goes_on_behind_a_long_line_is_taken_out(end: str, more: str) -> None:
    value = f"q8Xw5MnB{more}uor5ClFKHu6MUb"
    lines = ["." * 1_100 + f"q8Xw5MnB{end}", *([more + end] if more else []), "uor5ClFKHu6MUb and on"]
    cleaned = Redactor({"TOKEN": value}).text("\n".join(lines)).split("\n")
    assert cleaned == ["." * 1_100 + MARK, *([MARK] if more else []), f"{MARK} and on"]


@pytest.mark.parametrize("end", ["=", "\\"])
def test_a_value_with_the_sign_of_a_break_survives_no_cut_behind_it(end: str) -> None:
    redactor = Redactor({"TOKEN": f"q8Xw5MnB{end}uor5ClFKHu6MUb"})
    assert redactor.line("." * 1_100 + f"q8Xw5MnB{end}") == "." * 1_100 + MARK
    assert redactor.line("uor5ClFKHu6MUb and on") == f"{MARK} and on"


@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_a_known_value_in_json_in_base64_is_found_with_its_slashes_escaped(before: str) -> None:
    value = 'wJalr/XUtn/FEMI+K7"MDENG/bPxR'
    document = json.dumps({before: "x", "key": value}).replace("/", "\\/")
    found = list(KnownSecrets({"TOKEN": value}).find(base64.b64encode(document.encode()).decode()))
    assert max(match.end - match.start for match in found) >= len(value) * 4 / 3 - 2


@given(value=VALUES, cut=st.integers(4, 11), filler=st.integers(1020, 3000))
def test_no_known_value_survives_where_a_long_line_is_cut(value: str, cut: int, filler: int) -> None:
    redactor = Redactor({"TOKEN": value})

    first = redactor.line("." * filler + value[:cut])
    second = redactor.line(value[cut:] + " and so on")

    assert first == "." * filler + MARK
    assert second == f"{MARK} and so on"


ENVIRONMENT = """NODE_ENV=production
PORT=3000
DB_PASSWORD=correct-horse
API_KEY='k3J9s0fLq2mZx81v'
DATABASE_URL=postgres://app:S3cr%40tPw99@db/app
LOG_LEVEL=debug
"""
ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "project_id": "acme-production",
        "private_key": "-----BEGIN PRIVATE KEY-----\n" + "q8Zr2LkT0vXw5MnB" * 4 + "\n-----END PRIVATE KEY-----\n",
        "client_email": "svc@acme-production.iam.gserviceaccount.com",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
    },
    indent=2,
)


@pytest.mark.parametrize(
    "line",
    [
        "NODE_ENV=production",
        "PORT=3000",
        "LOG_LEVEL=debug",
        '  "type": "service_account",',
        '  "auth_uri": "https://accounts.google.com/o/oauth2/auth",',
        '  "token_uri": "https://oauth2.googleapis.com/token"',
        "{",
    ],
)
def test_lines_of_a_secret_that_bear_none_stay(line: str) -> None:
    assert Redactor({"ENV": ENVIRONMENT, "ACCOUNT": ACCOUNT}).line(line) == line


def test_lines_of_a_secret_that_bear_none_are_not_found_in_base64_either() -> None:
    encoded = base64.b64encode(b"NODE_ENV=production\nPORT=3000\n").decode()
    assert list(KnownSecrets({"ENV": ENVIRONMENT}).find(encoded)) == []


@pytest.mark.parametrize(
    "part", ["correct-horse", "k3J9s0fLq2mZx81v", "S3cr%40tPw99", "S3cr@tPw99", "q8Zr2LkT0vXw5MnB" * 4]
)
def test_lines_of_a_secret_that_bear_one_are_found_by_themselves(part: str) -> None:
    matches = KnownSecrets({"ENV": ENVIRONMENT, "ACCOUNT": ACCOUNT}).find(f"it says {part} there")
    assert {match.kind for match in matches} <= {"ENV", "ACCOUNT"}
    assert part not in Redactor({"ENV": ENVIRONMENT, "ACCOUNT": ACCOUNT}).line(f"it says {part} there")


def test_a_short_line_of_a_secret_of_several_lines_is_found_alone() -> None:
    known = {"KEYS": "uor5ClFKHu6MUbgXOsHzoMp7BKOHNf\nEkalT2ib0Z"}
    assert Redactor(known).text("EkalT2ib0Z\nis it") == "[REDACTED:KEYS]\nis it"


def test_a_secret_of_several_lines_is_found_as_a_whole() -> None:
    text = f"before\n{ENVIRONMENT}after"
    match = max(KnownSecrets({"ENV": ENVIRONMENT}).find(text), key=lambda match: match.end - match.start)
    assert text[match.start : match.end] == ENVIRONMENT.strip()


@cache
def some_values() -> Redactor:
    return Redactor({"A": "q8Zr2LkT0vXw5MnB", "B": "p/Xé☃-z9\"q'", "ENV": ENVIRONMENT, "ACCOUNT": ACCOUNT})


@given(text=st.text(st.sampled_from(list("abcdefghij klmnop,.:()é☃\n")), max_size=400))
def test_text_without_a_known_value_stays_byte_for_byte(text: str) -> None:
    assert some_values().text(text) == text


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("\ufeffs3cret-value-9", "s3cret-value-9"),
        ("pa\x07ss-w0rd\u200b-x9", "pass-w0rd-x9"),
        ("k\x00ey-w0rd-x9\ufeff\n", "key-w0rd-x9"),
    ],
)
def test_a_value_is_found_without_its_invisible_characters(value: str, printed: str) -> None:
    assert Redactor({"TOKEN": value}).line(f"it is {printed}!") == f"it is {MARK}!"
    assert list(KnownSecrets({"TOKEN": value}).find(f"it is {value}!"))


def test_positions_are_those_of_the_text_whatever_it_holds() -> None:
    text = "é☃\udc80😀 q8Zr2LkT0vXw5MnB \udcff q8Zr2LkT0vXw5MnB"
    found = {text[match.start : match.end] for match in KnownSecrets({"A": "q8Zr2LkT0vXw5MnB"}).find(text)}
    assert found == {"q8Zr2LkT0vXw5MnB"}


@pytest.mark.parametrize("value", ["short", "postgres", "us-east-1", "eu-central-1", "2026-11-27", "Password", " x "])
def test_short_and_common_values_are_not_searched_for(value: str) -> None:
    assert searchable(value) is not None
    assert list(KnownSecrets({"A": value}).find(f"db = {value} and {value}")) == []


@pytest.mark.parametrize("value", ["hunter2-x", "Tr0ub4dor&3", "correct horse", "000000000000", "maple-river-7"])
def test_other_values_are_searched_for(value: str) -> None:
    assert searchable(value) is None


def test_a_large_secret_is_searched_for_in_parts() -> None:
    value = "".join(f"{number:04x}Zq" for number in range(10_000))
    known = KnownSecrets({"A": value})
    text = f"<{value}>"
    assert redact(text, list(known.find(text))) == "<[REDACTED:A]>"
    assert list(known.find(value[5_000:5_400]))
