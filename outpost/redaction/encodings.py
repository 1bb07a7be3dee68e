"""Finds known values in base64 and base32: at each alignment, and in the fragments that wrapping leaves of them.

Also in base64 of base64, as Kubernetes shows secrets that hold some, of UTF-16, as PowerShell takes commands, and of
percent-encoding, as OAuth clients send their passwords (RFC 6749, 2.3.1).
"""

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from outpost.redaction.match import Match

_GRAM = 8
_ENDS = 10_000
"""A step with which only the ends of longer forms are searched for: they are hardly ever wrapped, and many."""
_AT_ONCE = 10_000
_FRAGMENT = 12
"""Characters of base64 that count as a fragment; of a short value, the half of it."""


class EncodedSecrets:
    """Values in base64 and its URL-safe variant (RFC 4648), whole, or cut where lines are wrapped."""

    def __init__(self, values: Iterable[tuple[str, str]], step: int) -> None:
        """`values`: the names and values of secrets; fragments of less than `step` + 7 characters may be missed."""
        self._grams: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
        for name, value in values:
            data = value.encode("utf-8", "surrogatepass")
            plain = {form for text in _in_json(value) for form in _forms(text.encode("utf-8", "surrogatepass"))}
            twice = {form for inner in _forms(data) for form in _forms(inner.encode())}
            wide = _forms(value.encode("utf-16-le", "surrogatepass"))
            in_url = {form for quoted in (quote(data, safe=""), quote_plus(data)) for form in _forms(quoted.encode())}
            self._add(name, plain, step)
            self._add(name, (twice | wide | in_url | _base32_forms(data)) - plain, _ENDS)
        grams = sorted(gram.replace("+", "\\+") for gram in self._grams)
        self.patterns = ["|".join(grams[i : i + _AT_ONCE]) for i in range(0, len(grams), _AT_ONCE)]
        """Of RE2: a text without a match of these has no fragment."""

    def _add(self, name: str, forms: Iterable[str], step: int) -> None:
        for form in forms:
            for start in {*range(0, len(form) - _GRAM, step), len(form) - _GRAM} if len(form) >= _GRAM else ():
                self._grams[form[start : start + _GRAM]].add((name, form, start))

    def find(self, text: str) -> Iterator[Match]:
        """Yield the fragments of base64 that hold a part of a value."""
        done: dict[str, int] = {}
        for place in range(len(text) - _GRAM + 1):
            for name, form, start in self._grams.get(text[place : place + _GRAM], ()):
                if place >= done.get(form, 0):
                    left, right = _extended(text, place, form, start)
                    done[form] = right
                    if right - left >= min(_FRAGMENT, len(form) // 2):
                        yield Match(name, left, right)


def _extended(text: str, place: int, form: str, start: int) -> tuple[int, int]:
    """Return how far `text` around `place` is the same as `form` around `start`."""
    left, right = 0, _GRAM
    while left < min(place, start) and text[place - left - 1] == form[start - left - 1]:
        left += 1
    while place + right < len(text) and start + right < len(form) and text[place + right] == form[start + right]:
        right += 1
    return place - left, place + right


def _in_json(value: str) -> set[str]:
    """Return a value as it is, and as it stands in JSON (RFC 8259), with or without escaped slashes and letters."""
    escaped = {json.dumps(value, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    return {value, *escaped, *(text.replace("/", "\\/") for text in escaped)}


def _base32_forms(value: bytes) -> set[str]:
    """Return the same for base32 (RFC 4648), which has five bytes in eight characters."""
    forms = set()
    for offset, beginning in enumerate((0, 2, 4, 5, 7)):
        text = base64.b32encode(bytes(offset) + value).decode()
        length = (offset + len(value)) * 8 // 5
        forms |= {text[beginning:length], text[beginning:length].lower()}
    return forms


def _forms(value: bytes) -> set[str]:
    """Return what a value looks like in base64, wherever in the encoded bytes it begins, but for its outermost bits."""
    forms = set()
    for offset in range(3):
        padded = bytes(offset) + value
        beginning = (0, 2, 3)[offset]
        end = (0, 3, 2)[len(padded) % 3]
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(padded).decode()
            forms.add(text[beginning : len(text) - end])
    return forms
