"""Many patterns in one pass over a text, in linear time whatever the text: RE2, which has no backtracking."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import re2

from outpost.redaction.match import Match

_MEMORY = 32 * 1024 * 1024
"""Bytes that one automaton may take; ordinary text needs a small part of it."""
_LARGEST_COUNT = 9
"""Of repetitions in the automaton that comes first: more than a date or a number has."""
_LARGEST = 500_000
"""Characters of the patterns that are searched for at once."""


Pattern: TypeAlias = Any
"""A compiled pattern of `re2`, which has no types; it has the methods of `re.Pattern[bytes]`."""


def compiled(pattern: str, *, longest: bool = False) -> Pattern:
    """Return a pattern over bytes; with `longest`, the longest match of all that begin first is taken."""
    options = _options()
    options.longest_match = longest
    return re2.compile(pattern.encode(), options)


class PatternSet:
    """Patterns of RE2 with their kinds. Group 1 is what is found, or the whole match where that group took no part.

    The patterns see a text as ASCII, with a question mark for each other character.
    """

    def __init__(self, patterns: Sequence[tuple[str, str]]) -> None:
        """`patterns`: kinds and patterns."""
        self._patterns = [(kind, compiled(pattern)) for kind, pattern in patterns]
        self._set = _set([_with_small_counts(pattern) for _, pattern in patterns])

    def find(self, text: str) -> list[Match]:
        """Return the matches, ordered by pattern."""
        data = text.encode("ascii", "replace")
        found = self._set.Match(data)
        return [match for index in found for match in self._matches(data, index)] if found else []

    def _matches(self, data: bytes, index: int) -> Iterator[Match]:
        kind, pattern = self._patterns[index]
        for match in pattern.finditer(data):
            span = match.span(1) if pattern.groups and match.start(1) >= 0 else match.span()
            yield Match(kind, *span)


def _with_small_counts(pattern: str) -> str:
    """Return a pattern that matches where `pattern` does, and at shorter texts, whose automaton has few states."""
    return re.sub(r"\{(\d+)(?:,\d*)?\}", lambda count: f"{{{min(int(count[1]), _LARGEST_COUNT)},}}", pattern)


class Gate:
    """Says whether any of many patterns matches a text."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """`patterns`: of RE2."""
        self._sets = [_set(["|".join(group)]) for group in _groups([f"(?:{pattern})" for pattern in patterns])]

    def passes(self, data: bytes) -> bool:
        """Return whether a pattern matches somewhere."""
        for any_of in self._sets:  # noqa: SIM110 - twice as fast for one set
            if any_of.Match(data):
                return True
        return False


def _groups(patterns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the patterns in groups that are small enough to be compiled."""
    group: list[str] = []
    for pattern in patterns:
        if sum(map(len, group)) + len(pattern) > _LARGEST and group:
            yield group
            group = []
        group.append(pattern)
    if group:
        yield group


def _set(patterns: Sequence[str]) -> re2.Set:
    """Return an automaton that says which patterns match a text. It returns None instead of an empty list."""
    automaton = re2.Set.SearchSet(_options())
    for pattern in patterns:
        automaton.Add(pattern.encode())
    automaton.Compile()
    return automaton


def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY
    return options
