"""Records of the audit log: bounded, printable, and linked by hash into one chain for each life of a writer.

A record is one line of JSON. `chain` names the chain, `seq` counts from 1, `prev` is the SHA-256 of the line before it
and `at` the time of its log event in milliseconds. The hash is that of the line's bytes as they are stored, so that no
canonical form of JSON (RFC 8785) has to be agreed upon.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from outpost.domain.ids import new_id

Fields = Mapping[str, object]

TEXT_CHARACTERS = 128
"""Longest text of a field; what is longer ends in an ellipsis."""
MAP_ENTRIES = 8
"""Most entries of a field that is a mapping, such as the ids of a path."""
RECORD_FIELDS = 24
"""Most fields of a record, besides those that link it."""
BATCH_EVENTS = 10_000
BATCH_BYTES = 1_048_576
EVENT_OVERHEAD = 26
BATCH_SPAN = 24 * 3600 * 1000
"""Limits of a call of PutLogEvents: events, bytes with 26 for each event, milliseconds between the first and the last
(Amazon CloudWatch Logs API Reference: PutLogEvents). An event may have 1 MB; a record of ours has at most 64 KB."""
GENESIS = "0" * 64
"""`prev` of a chain's first record."""
CHECKPOINT_PERIOD = 300_000
"""Milliseconds between two checkpoints of a service's chain. What a killed replica recorded since its last one is
linked but not signed: nobody can prove later that its end is still there."""


@dataclass(frozen=True)
class Line:
    """A record as it is stored."""

    chain: str
    seq: int
    at: int
    text: str

    @property
    def size(self) -> int:
        """Bytes that it counts for in a call of PutLogEvents; the text is ASCII."""
        return len(self.text) + EVENT_OVERHEAD


@dataclass
class Chain:
    """The records of one life of a writer, in their order."""

    kind: str
    """`calls` of the API or `states` of dispatches."""
    at: int
    """The time of the last record, at first that of the chain's beginning, in milliseconds."""
    id: str = field(default_factory=new_id)
    seq: int = 0
    head: str = GENESIS

    @property
    def stream(self) -> str:
        """The name of its log stream."""
        return f"{self.kind}/{self.id}"

    def link(self, fields: Fields, at: int) -> Line:
        """Append a record. `at` is its time in milliseconds, which never goes back within a chain."""
        self.seq, self.at = self.seq + 1, max(self.at, at)
        link = {"chain": self.id, "seq": self.seq, "prev": self.head, "at": self.at}
        line = Line(self.id, self.seq, self.at, json.dumps(bounded(fields) | link, separators=(",", ":")))
        self.head = digest(line.text)
        return line


def digest(text: str) -> str:
    """Return the SHA-256 of a stored line, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def bounded(fields: Fields) -> dict[str, object]:
    """Return the fields of a record, each printable and no longer than the limits above."""
    return {_text(name): _bounded(value) for name, value in list(fields.items())[:RECORD_FIELDS]}


def _bounded(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    if isinstance(value, Mapping):
        return {_text(name): _text(each) for name, each in list(value.items())[:MAP_ENTRIES]}
    return _text(value)


def _text(value: object) -> str:
    text = str(value)
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text[: TEXT_CHARACTERS + 1])
    return shown if len(text) <= TEXT_CHARACTERS else shown[: TEXT_CHARACTERS - 1] + "\u2026"


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Split lines of a chain, which are in chronological order, into what one call of PutLogEvents takes."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        full = len(batch) == BATCH_EVENTS or size + line.size > BATCH_BYTES
        if batch and (full or line.at - batch[0].at >= BATCH_SPAN):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += line.size
    if batch:
        yield batch
