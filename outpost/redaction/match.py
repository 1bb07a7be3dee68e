"""Where in a text a secret stands."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Match:
    """A secret in a text: `text[start:end]`. `kind` is the name of a known secret, or of a format."""

    kind: str
    start: int
    end: int


def redact(text: str, matches: Iterable[Match]) -> str:
    """Return `text` with every match replaced by `[REDACTED:<kind>]`.

    Matches that touch or overlap become one, of the kind of the first of them in `matches`.
    """
    parts: list[str] = []
    end = 0
    for start, stop, kind in _united(list(matches)):
        parts += [text[end:start], f"[REDACTED:{kind}]"]
        end = stop
    return "".join([*parts, text[end:]])


def _united(matches: Sequence[Match]) -> Iterator[tuple[int, int, str]]:
    ordered = sorted((match.start, match.end, rank) for rank, match in enumerate(matches))
    if not ordered:
        return
    start, end, rank = ordered[0]
    for next_start, next_end, next_rank in ordered[1:]:
        if next_start <= end:
            end, rank = max(end, next_end), min(rank, next_rank)
        else:
            yield start, end, matches[rank].kind
            start, end, rank = next_start, next_end, next_rank
    yield start, end, matches[rank].kind
