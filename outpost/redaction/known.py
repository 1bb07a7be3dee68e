"""Finds known values in text, in every escaped or encoded form."""

import base64
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

from outpost.redaction.match import Match
from outpost.redaction.searchable import searchable

MIN_ENCODED_LENGTH = 8


class KnownSecrets:
    """Values that may not appear in a text."""

    def __init__(self, values: Mapping[str, str]) -> None:
        """`values`: name of a secret -> its value. Those that are not `searchable` are left out."""
        forms = {form: name for name, value in values.items() if searchable(value) is None for form in _forms(value)}
        # Longer ones first: a form may be part of another.
        self._forms = dict(sorted(forms.items(), key=lambda item: len(item[0]), reverse=True))

    def find(self, text: str) -> Iterator[Match]:
        """Yield where a value stands; the matches may overlap. `kind` is the name of the secret."""
        for form, name in self._forms.items():
            start = text.find(form)
            while start >= 0:
                yield Match(name, start, start + len(form))
                start = text.find(form, start + 1)


def _forms(value: str) -> set[str]:
    """Return the forms in which a known value can appear on a line; a value of several lines appears in parts."""
    lines = {line.strip() for line in value.splitlines()}
    quoted = {quote(value, safe=""), quote(value), quote_plus(value)}
    lower = {re.sub("%[0-9A-F]{2}", lambda code: code[0].lower(), form) for form in quoted}
    plain = {form for form in {value} | lines | quoted | lower if "\n" not in form and searchable(form) is None}
    return plain | {form for form in _base64_forms(value.encode()) if len(form) >= MIN_ENCODED_LENGTH}


def _base64_forms(value: bytes) -> Iterator[str]:
    """Yield what a value looks like in base64, wherever in the encoded bytes it begins, but for its outermost bits."""
    for offset in range(3):
        padded = bytes(offset) + value
        beginning = (0, 2, 3)[offset]
        end = (0, 3, 2)[len(padded) % 3]
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(padded).decode()
            yield text[beginning : len(text) - end]
