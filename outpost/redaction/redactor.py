"""Takes secrets out of logs: known values, everything that has the format of a secret, and what looks like one.

Fed line by line: a private key spans lines, so a redactor remembers the lines so far. Use one redactor per stream.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain

from outpost.redaction import assigned, formats
from outpost.redaction.known import KnownSecrets
from outpost.redaction.match import Match, redact
from outpost.redaction.patterns import PatternSet
from outpost.redaction.private_keys import PrivateKeys

_SHORTEST = 8
"""Characters of the shortest secret, but for the last line of a private key."""
_AT_ONCE = 16
"""Lines of a text."""
_LONG = 1024
"""Characters; a line of as many may be cut, and continue in the next one."""
_CONTINUED = ("=", "\\")
"""How a line ends that may continue in the next one: softly in quoted-printable, or escaped."""
_WINDOW = 2048
"""Characters on either side of a cut in which a secret is searched for."""


class Redactor:
    """Replaces secrets by `[REDACTED:<kind>]`; the number of lines never changes."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        """`known`: name of a secret -> its value."""
        self._known = KnownSecrets(known or {})
        self._private_keys = PrivateKeys()
        self._before: tuple[str, ...] = ()
        """What may stand before the next line: the end of the last one, when that may have been cut or continue."""

    def know(self, known: Mapping[str, str]) -> None:
        """Search for these values from now on. The lines so far are not forgotten."""
        self._known = KnownSecrets(known)

    def line(self, text: str) -> str:
        """Return one line without its secrets. `text` holds no line break."""
        is_whole = not self._before and len(text) < _LONG and not text.endswith(_CONTINUED)
        if is_whole and len(text) < _SHORTEST:
            return redact(text, self._private_keys.find(text)) if self._private_keys.may_find(text) else text
        data = text.encode("utf-8", "surrogatepass")
        candidates = _patterns().candidates(data)
        if is_whole and not (candidates or self._private_keys.may_find(text) or self._known.may_find(data)):
            return text
        matches = [*self._known.find(text), *self._private_keys.find(text), *_look_like_secrets(text, candidates)]
        if self._private_keys.in_public_block:
            matches = [match for match in matches if match.kind != assigned.RANDOM]
        if not is_whole:
            matches += self._across_cuts(text)
        return redact(text, matches) if matches else text

    def text(self, text: str) -> str:
        """Return a text of several lines without its secrets."""
        return "\n".join(self.lines(text.split("\n")))

    def lines(self, lines: Sequence[str]) -> list[str]:
        """Return lines that follow each other without their secrets; faster than `line` for each."""
        blocks = (list(lines[start : start + _AT_ONCE]) for start in range(0, len(lines), _AT_ONCE))
        return list(chain.from_iterable(map(self._block, blocks)))

    def _block(self, lines: list[str]) -> list[str]:
        """Return a few lines without their secrets: one search says of most of them that there are none."""
        if self._before or any(map(self._needs_context, lines)):
            return list(map(self.line, lines))
        data = "\n".join(lines).encode("utf-8", "surrogatepass")
        may_hold_secrets = self._known.may_find(data) or _patterns().candidates(data)
        return list(map(self.line, lines)) if may_hold_secrets else lines

    def _needs_context(self, line: str) -> bool:
        """Return whether a line may be a part of something that spans lines; almost none is."""
        return len(line) >= _LONG or line.endswith(_CONTINUED) or self._private_keys.may_find(line)

    def _across_cuts(self, text: str) -> list[Match]:
        """Return the parts of secrets that began in the line before, or may continue in the next one."""
        matches = [match for before in self._before for match in self._begun(before, text)]
        is_long, goes_on = len(text) >= _LONG, text.endswith(_CONTINUED)
        befores = ("",) if is_long else (self._before or ("",)) if goes_on else ()
        ends = [(before + text)[-_WINDOW:] for before in befores]
        self._before = (*(ends if is_long else ()), *(f"{end}\n" for end in ends if goes_on))
        return matches + [match for end in ends for match in self._unfinished(end, len(text))]

    def _begun(self, before: str, text: str) -> Iterator[Match]:
        """Yield the parts of a line that belong to secrets which began in `before`."""
        joined, cut = before + text[:_WINDOW], len(before)
        found = [*self._known.find(joined), *(() if before.endswith("\n") else _look_like_secrets(joined))]
        return (Match(match.kind, 0, match.end - cut) for match in found if match.start < cut < match.end)

    def _unfinished(self, end: str, length: int) -> Iterator[Match]:
        """Yield the parts of a line of `length` characters, which ends in `end`, that may continue in the next one."""
        start = length - len(end)
        return (Match(match.kind, max(0, match.start + start), length) for match in self._known.find_beginning(end))


@cache
def _patterns() -> PatternSet:
    return PatternSet([*formats.PATTERNS, *assigned.PATTERNS])


_ASSIGNED = frozenset(kind for kind, _ in assigned.PATTERNS)


def _look_like_secrets(text: str, candidates: list[int] | None = None) -> list[Match]:
    """Return what has the format of a secret, be it a placeholder or not, and what looks like one."""
    found = _patterns().find(text, candidates)
    return [match for candidate in found if (match := _confirmed(text, candidate))] if found else []


def _confirmed(text: str, match: Match) -> Match | None:
    if match.kind in _ASSIGNED:
        return assigned.confirmed(text, match)
    if match.kind == "basic-credentials" and not formats.is_user_and_password(text[match.start : match.end]):
        return None
    if match.kind == "url-password" and formats.is_expression(
        text[match.start : match.end], text[match.end : match.end + 8]
    ):
        return None
    if formats.is_name(match.kind, text[match.start : match.end]):
        return None
    if match.kind == "aws-secret-key" and text[match.start : match.end].isalpha():
        return None
    return match
