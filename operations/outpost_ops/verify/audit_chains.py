"""What stored audit records and signed checkpoints prove: each record in its place, unchanged, none left out or added.

Pure. Records are walked from a signed head backwards: each one that has the expected hash names the hash of the one
before it, so that a wrong record is distinguished from its neighbours.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby, pairwise

from pydantic import BaseModel, ConfigDict, ValidationError

from outpost.domain.audit import GENESIS, digest
from outpost.domain.audit_checkpoint import Checkpoint, Head

GRACE = 15 * 60 * 1000
"""Milliseconds by which a checkpoint may be late: KMS or the bucket may have been away."""


class Kind(StrEnum):
    """What can be wrong."""

    REMOVED = "removed"
    CHANGED = "changed"
    ADDED = "added"
    MOVED = "moved"
    """The log event has another time than the record in it."""
    FORGED = "forged"
    """A checkpoint without a valid signature, or two that contradict each other."""
    CHECKPOINT_MISSING = "checkpoint-missing"
    UNFINISHED = "unfinished"
    """The chain has no last checkpoint: its writer was killed, and the end of its records is not proved."""
    LOST = "lost"
    """The writer recorded that it could not keep some records."""


INCONCLUSIVE = frozenset({Kind.UNFINISHED, Kind.LOST})
"""No sign of tampering, but records may be missing."""


class Finding(BaseModel):
    """Something that is not as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    chain: str | None
    first: int | None = None
    last: int | None = None
    """The numbers of the records that it is about."""
    begin: datetime | None = None
    end: datetime | None = None
    """Between these times records may be missing without a sign of it."""
    detail: str


@dataclass(frozen=True)
class Event:
    """A stored line: `at` is the time of its log event, none when it was set aside."""

    text: str
    at: int | None


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    chain: str
    seq: int
    prev: str
    at: int
    audit: str
    records: int = 0
    sha256: str = ""


Records = Mapping[int, Mapping[str, _Record]]
"""Number -> hash -> record: several under a number contradict each other."""


def verify_chains(
    events: Iterable[Event], checkpoints: Iterable[Checkpoint], *, since: int, now: int
) -> Iterator[Finding]:
    """Yield what is wrong with the chains that were written to at or after `since`; times are in milliseconds.

    The events must reach back to `evidence_start`, the checkpoints to a day before `since`.
    """
    chains: dict[str, dict[int, dict[str, _Record]]] = defaultdict(lambda: defaultdict(dict))
    for event in events:
        record = _parse(event.text)
        if record is None:
            yield Finding(kind=Kind.ADDED, chain=None, detail=f"a line that is no record: {event.text[:80]!r}")
            continue
        if event.at not in (None, record.at):
            yield _finding(Kind.MOVED, record.chain, record.seq, record.seq, "its log event has another time")
        chains[record.chain][record.seq][record.sha256] = record
    signed: dict[str, list[Checkpoint]] = defaultdict(list)
    for checkpoint in sorted(set(checkpoints), key=lambda each: each.number):
        signed[checkpoint.chain].append(checkpoint)
    for chain in sorted(chains.keys() | signed.keys()):
        yield from _chain(chain, chains[chain], signed[chain], since, now)


def evidence_start(checkpoints: Iterable[Checkpoint], since: int) -> int:
    """Return from when on events are needed: from the checkpoints before those that were signed since."""
    last: dict[str, Checkpoint] = {}
    start = since
    for each in sorted(checkpoints, key=lambda checkpoint: checkpoint.number):
        last[each.chain] = each
        if each.at >= since:
            start = min(start, each.previous.at)
    return min([start, *(each.head.at for each in last.values() if _open_at(each, since))])


def _open_at(checkpoint: Checkpoint, time: int) -> bool:
    return checkpoint.due is not None and checkpoint.due + GRACE >= time


def _parse(text: str) -> _Record | None:
    try:
        record = _Record.model_validate(json.loads(text) | {"sha256": digest(text)})
    except (ValidationError, ValueError, TypeError):
        return None
    return record if record.seq > 0 else None


def _chain(chain: str, records: Records, checkpoints: Sequence[Checkpoint], since: int, now: int) -> Iterator[Finding]:
    earlier, signed = ([each for each in checkpoints if (each.at >= since) is later] for later in (False, True))
    yield from _between_checkpoints(chain, earlier[-1:] + signed)
    last = checkpoints[-1] if checkpoints else None
    reached = bool(signed) or (last is not None and _open_at(last, since))
    if not reached:  # the events do not reach back to its last checkpoint
        records = {seq: found for seq, found in records.items() if max(each.at for each in found.values()) >= since}
    begin = (signed[0].previous if signed else last.head if last else Head(seq=0, sha256=GENESIS, at=0)).seq
    known = {seq: found for seq, found in records.items() if seq > begin}
    tail = sorted(seq for seq in known if not last or seq > last.head.seq)
    wrong = list(_signed(known, signed))
    if tail:
        anchor = last.head if last and (reached or tail[0] == last.head.seq + 1) else None
        before = anchor.sha256 if anchor else GENESIS if tail[0] == 1 else None
        wrong += _walk(known, anchor.seq + 1 if anchor else tail[0], tail[-1], None, before)
    yield from _ranges(chain, wrong)
    yield from _lost(chain, known)
    yield from _end(chain, [record for seq in tail for record in known[seq].values()], last, since, now)


def _signed(records: Records, checkpoints: Sequence[Checkpoint]) -> Iterator[tuple[Kind, int]]:
    """Yield which records are not what the checkpoints sign; each also names the head at the one before it."""
    heads = [head for each in checkpoints for head in (each.previous, each.head)]
    for before, head in pairwise(heads):
        if head.seq > before.seq:
            yield from _walk(records, before.seq + 1, head.seq, head.sha256, before.sha256)


def _between_checkpoints(chain: str, checkpoints: Sequence[Checkpoint]) -> Iterator[Finding]:
    for before, after in pairwise(checkpoints):
        if after.number > before.number + 1:
            detail = f"checkpoints {before.number + 1} to {after.number - 1} of the chain are missing"
            yield Finding(kind=Kind.CHECKPOINT_MISSING, chain=chain, detail=detail)
        elif after.number == before.number or after.previous != before.head:
            detail = f"checkpoint {after.number} contradicts checkpoint {before.number}, both with valid signatures"
            yield Finding(kind=Kind.FORGED, chain=chain, detail=detail)


def _walk(records: Records, first: int, last: int, head: str | None, before: str | None) -> Iterator[tuple[Kind, int]]:
    """Yield the records from `last` back to `first` that are not what the hashes say.

    `head` is the hash of the last one, none where nobody signed it; `before` that of the record before the first.
    """
    expected = head
    for seq in range(last, first - 1, -1):
        found = records.get(seq, {})
        if not found:
            yield Kind.REMOVED, seq
            expected = None
            continue
        record = found.get(expected) if expected else next(iter(found.values()))
        if record is None:
            yield Kind.CHANGED, seq
            record = next(iter(found.values()))
        elif len(found) > 1:
            yield Kind.ADDED, seq
        expected = record.prev
    if expected and before and expected != before:
        yield Kind.CHANGED, first


_DETAILS = {
    Kind.REMOVED: "not in the log",
    Kind.CHANGED: "not what was signed, or what the next record was linked to",
    Kind.ADDED: "another record has the same number",
}


def _ranges(chain: str, wrong: Iterable[tuple[Kind, int]]) -> Iterator[Finding]:
    for kind, detail in _DETAILS.items():
        numbers = sorted({seq for each, seq in wrong if each is kind})
        for _, group in groupby(enumerate(numbers), key=lambda place: place[1] - place[0]):
            run = [seq for _, seq in group]
            yield _finding(kind, chain, run[0], run[-1], detail)


def _finding(kind: Kind, chain: str, first: int, last: int, detail: str) -> Finding:
    return Finding(kind=kind, chain=chain, first=first, last=last, detail=detail)


def _lost(chain: str, records: Records) -> Iterator[Finding]:
    for seq, found in records.items():
        for record in found.values():
            if record.audit == "lost":
                yield _finding(Kind.LOST, chain, seq, seq, f"{record.records} records came while too many waited")


def _end(chain: str, tail: Sequence[_Record], last: Checkpoint | None, since: int, now: int) -> Iterator[Finding]:
    """Yield whether a checkpoint is missing at the end, or the writer did not come to its end."""
    promised = last.due if last and last.due is not None else min((record.at for record in tail), default=now)
    unsigned = [record for record in tail if record.at > promised + GRACE or not last or last.due is None]
    if promised + GRACE >= now:
        return
    if unsigned:
        detail = f"no checkpoint signs the {len(tail)} records after {last.head.seq if last else 0}"
        yield Finding(kind=Kind.CHECKPOINT_MISSING, chain=chain, detail=detail)
    elif last and _open_at(last, since):
        yield _unfinished(chain, sorted({record.seq for record in tail}), last, promised)


def _unfinished(chain: str, tail: Sequence[int], last: Checkpoint, promised: int) -> Finding:
    """Return that a writer ended without a last checkpoint, and between which times it may have recorded more."""
    begin, end = (datetime.fromtimestamp(at / 1000, UTC) for at in (last.at, promised + GRACE))
    detail = (
        f"its writer was killed between {begin:%Y-%m-%d %H:%M:%S} and {end:%H:%M:%S} UTC: {len(tail)} records after "
        f"{last.head.seq} are linked and not signed, later ones may have been removed, at most {last.waiting} were lost"
    )
    first, final = (tail[0], tail[-1]) if tail else (None, None)
    return Finding(kind=Kind.UNFINISHED, chain=chain, first=first, last=final, begin=begin, end=end, detail=detail)
