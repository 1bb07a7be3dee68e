"""Many patterns in one pass over a text, in linear time whatever the text: RE2, which has no backtracking."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import re2

from outpost.redaction.match import Match

_MEMORY = 32 * 1024 * 1024
"""Bytes that one automaton may take; ordinary text needs a small part of it."""
_LARGEST_COUNT = 3
"""Of repetitions in the automata that come first."""
_LARGEST = 500_000
"""Characters of the patterns that are searched for at once."""


WORD_START = r"(?:\b|\[[0-9;]+m|\\[abfnrtv]|%[0-9A-Fa-f]{2}|\\u00[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2})"
"""A word begins here, or right behind an escaped character, whose last letter would hide that, or a colour."""

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
        self._patterns = [(kind, made := compiled(pattern), made.groups > 0) for kind, pattern in patterns]
        numbers = range(len(patterns))
        groups = ([n for n in numbers if _begins_with_run(patterns[n][1]) is run] for run in (False, True))
        self._sets = [(_set([_with_small_counts(patterns[n][1]) for n in group]), group) for group in groups if group]

    def candidates(self, data: bytes) -> list[int]:
        """Return the numbers of the patterns that may match in a text of one or more lines, given in ASCII or UTF-8."""
        found: list[int] = []
        for match, group in self._sets:
            if matching := match(data):
                found += [group[index] for index in matching]
        return found

    def find(self, text: str, candidates: Iterable[int] | None = None) -> list[Match]:
        """Return the matches, ordered by pattern; of the `candidates` in this text, where those are known."""
        data = text.encode("ascii", "replace")
        found = self.candidates(data) if candidates is None else candidates
        return [match for index in sorted(found) for match in self._matches(data, index)] if found else []

    def _matches(self, data: bytes, index: int) -> Iterator[Match]:
        kind, pattern, has_group = self._patterns[index]
        position = 0
        while match := pattern.search(data, position):
            span = match.span(1) if has_group and match.start(1) >= 0 else match.span()
            yield Match(kind, *span)
            position = max(match.end() - 1, position + 1)  # what ends one match may begin the next


def _begins_with_run(pattern: str) -> bool:
    """Return whether a pattern begins with a class of characters instead of a word.

    In random text, an automaton of both kinds has a state for every run with every beginning of a word.
    """
    return pattern.removeprefix(WORD_START).lstrip("(?:").startswith(("[", "^"))


def _with_small_counts(pattern: str) -> str:
    """Return a pattern that matches where `pattern` does, and at shorter texts, whose automaton has few states."""
    return re.sub(r"\{(\d+)(?:,\d*)?\}", lambda count: f"{{{min(int(count[1]), _LARGEST_COUNT)},}}", pattern)


def any_of(patterns: Iterable[str]) -> Callable[[bytes], object]:
    """Return the function that returns whether any of many patterns of RE2 matches a text."""
    first, *others = (_set(["|".join(group)]) for group in _groups([f"(?:{pattern})" for pattern in patterns]))
    return first if not others else lambda data: any(match(data) for match in (first, *others))


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


def _set(patterns: Sequence[str]) -> Callable[[bytes], Sequence[int]]:
    """Return the function of an automaton that returns which patterns match a text.

    It is taken without its wrapper in Python, which takes half as long again as the search of a short line.
    """
    automaton = re2.Set.SearchSet(_options())
    for pattern in patterns:
        automaton.Add(f"(?m){pattern}".encode())
    automaton.Compile()
    return automaton._set.Match  # type: ignore[no-any-return]


def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = _MEMORY
    return options
