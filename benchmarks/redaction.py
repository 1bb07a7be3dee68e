"""How fast secrets are taken out of text, in MB a second of one core: `python -m benchmarks.redaction`."""

import base64
import json
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from outpost.redaction.redactor import Redactor

BAR = 20.0
LINES = 40_000
LONGEST = 16_000
"""Characters of the lines that a longer one is cut into, as the worker cuts them."""
_WORDS = (
    *("the", "error", "in", "module", "task", "token", "secret", "skip", "disk-usage", "value", "of", "function"),
    *("returned", "https://example.org/path", "foo_bar", "12345", "warning:", "deprecated"),
)
"""Ordinary text, with more of the words that make the redactor look twice than text usually has."""


def main() -> None:
    """Measure each kind of text line by line, as it is redacted while it is printed, and as a whole; with 20 values."""
    source = random.Random(1)  # noqa: S311 - the same text in every run
    redactor = Redactor({f"KEY_{number}": _base64(source, 24) for number in range(20)})
    print(f"{'MB/s a core':>16}{'lines':>8}{'text':>8}   (bar: {BAR:.0f})")
    for kind, lines in _texts(source).items():
        _speed(redactor.line, lines)  # builds the automata
        one_by_one, whole = _speed(redactor.line, lines), _speed(redactor.text, ["\n".join(lines)])
        print(f"{kind:>16}{one_by_one:8.1f}{whole:8.1f}")


def _texts(source: random.Random) -> dict[str, list[str]]:
    """Return the lines of texts of different kinds."""
    objects = [json.dumps({"id": number, "body": _base64(source, 3_000)}) for number in range(300)]
    page = f'<img src="data:image/png;base64,{_base64(source, 900_000)}">'
    return {
        "logs": [" ".join(source.choices(_WORDS, k=14)) for _ in range(LINES)],
        "sources": [line for file in sorted(Path(random.__file__).parent.glob("*.py")) for line in _lines(file)],
        "uv.lock": _lines(Path("uv.lock")),
        "npm's lock": [f'      "integrity": "sha512-{_base64(source, 64)}",' for _ in range(LINES // 4)],
        "JSON of binaries": objects,
        "data: URL": [page[start : start + LONGEST] for start in range(0, len(page), LONGEST)],
    }


def _base64(source: random.Random, size: int) -> str:
    return base64.b64encode(source.randbytes(size)).decode()


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split("\n")


def _speed(redact: Callable[[str], str], texts: Iterable[str]) -> float:
    size, started = 0, time.process_time()
    for text in texts:
        size += len(redact(text)) + 1
    return size / 1e6 / (time.process_time() - started)


if __name__ == "__main__":
    main()
