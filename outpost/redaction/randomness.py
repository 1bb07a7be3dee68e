"""Whether a text looks as if it had been drawn at random: generated secrets do, words and identifiers do not."""

import math
import re
from collections import Counter

_NOT_ALPHANUMERIC = re.compile(r"[^A-Za-z0-9]+")
_BLANK = re.compile(r"\s")
_DIGIT = re.compile(r"[0-9]")
_LETTER = re.compile(r"[A-Za-z]")
_CHANGE = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[a-z0-9])|[0-9](?=[A-Za-z])")


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters, in bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values()) if text else 0.0


def changes(text: str) -> float:
    """Return how often the kind of character changes from one letter or digit to the next, from 0 to 1.

    The kinds are lower case, upper case and digit. Random base64 has 0.6, random hexadecimal digits 0.5, random lower
    case with digits 0.4; identifiers and words, even in camel case with a number, have less than 0.25.
    """
    text = _NOT_ALPHANUMERIC.sub("", text)
    return len(_CHANGE.findall(text)) / (len(text) - 1) if len(text) > 1 else 0.0


def is_random(text: str, length: int = 16) -> bool:
    """Return whether `text`, of at least `length` characters without a blank, looks random."""
    if len(text) < length or _BLANK.search(text) or changes(text) < 0.2:
        return False
    return len(_DIGIT.findall(text)) >= 2 and len(_LETTER.findall(text)) >= 2 and entropy(text) >= 3.0
