"""How fast secrets are taken out of text, in MB a second of one core: `python -m benchmarks.redaction`."""

import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from outpost.redaction.redactor import Redactor

BAR = 20.0
LINES = 200_000
_WORDS = (
    *("the", "error", "in", "module", "task", "token", "secret", "skip", "disk-usage", "value", "of", "function"),
    *("returned", "https://example.org/path", "foo_bar", "12345", "warning:", "deprecated"),
)
"""Ordinary text, with more of the words that make the redactor look twice than text usually has."""


def main() -> None:
    """Measure log lines one by one, as they are redacted, and in blocks; and the short lines of source code."""
    source = random.Random(1)  # noqa: S311 - the same text in every run
    lines = [" ".join(source.choices(_WORDS, k=14)) for _ in range(LINES)]
    blocks = ["\n".join(lines[start : start + 500]) for start in range(0, LINES, 500)]
    sources = [line for file in sorted(Path(random.__file__).parent.glob("*.py")) for line in file.open()]
    redactor = Redactor({f"KEY_{number}": f"secret-value-{number}-{'x' * 20}" for number in range(3)})
    redactor.text(blocks[0])  # builds the automaton
    measured = (("lines", redactor.line, lines), ("blocks", redactor.text, blocks), ("sources", redactor.line, sources))
    for name, redact, texts in measured:
        print(f"{name:>8} {_speed(redact, texts):6.1f} MB/s a core (bar: {BAR:.0f})")


def _speed(redact: Callable[[str], str], texts: Iterable[str]) -> float:
    size, started = 0, time.process_time()
    for text in texts:
        size += len(redact(text)) + 1
    return size / 1e6 / (time.process_time() - started)


if __name__ == "__main__":
    main()
