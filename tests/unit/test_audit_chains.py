"""Hash chains of the audit log: what is wrong with a record is found, and said of the right one."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.audit import (
    BATCH_BYTES,
    BATCH_EVENTS,
    BATCH_SPAN,
    GENESIS,
    RECORD_FIELDS,
    TEXT_CHARACTERS,
    Chain,
    Line,
    batches,
    digest,
)
from outpost.domain.audit_checkpoint import Checkpoint, Head
from outpost_ops.verify.audit_chains import GRACE, Event, Finding, Kind, evidence_start, verify_chains

HOUR = 3_600_000
BEGIN = 1_780_000_000_000


@dataclass
class Log:
    """An audit log in memory: what writers stored, and what they signed."""

    events: list[Event] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def chain(self, kind: str = "calls", at: int = BEGIN) -> "Writer":
        return Writer(self, Chain(kind, at))

    def found(self, since: int = BEGIN, now: int = BEGIN + 2 * HOUR) -> list[Finding]:
        start = evidence_start(self.checkpoints, since)
        events = [each for each in self.events if each.at is None or each.at >= start]
        return list(verify_chains(events, self.checkpoints, since=since, now=now))

    def kinds(self, **times: int) -> list[tuple[str, int | None, int | None]]:
        return [(each.kind.value, each.first, each.last) for each in self.found(**times)]

    def replace(self, place: int, **fields: object) -> None:
        event = self.events[place]
        self.events[place] = Event(json.dumps(json.loads(event.text) | fields, separators=(",", ":")), event.at)


@dataclass
class Writer:
    """A writer of one chain."""

    log: Log
    chain: Chain
    signed: Head | None = None
    number: int = 0

    def write(self, count: int, at: int = BEGIN, **fields: object) -> "Writer":
        lines = [self.chain.link({"audit": "call", "n": n} | fields, at + n) for n in range(count)]
        self.log.events += [Event(line.text, line.at) for line in lines]
        return self

    def sign(self, at: int = BEGIN, *, last: bool = False) -> "Writer":
        head = Head(seq=self.chain.seq, sha256=self.chain.head, at=self.chain.at)
        previous = self.signed or Head(seq=0, sha256=GENESIS, at=BEGIN)
        due = None if last else at + HOUR
        chain = self.chain
        self.log.checkpoints.append(
            Checkpoint(
                environment="test",
                chain=chain.id,
                kind=chain.kind,
                number=self.number,
                at=at,
                head=head,
                previous=previous,
                due=due,
                waiting=100,
            )
        )
        self.signed, self.number = head, self.number + 1
        return self


def finished() -> Log:
    """Ten records between checkpoints 0 and 1, ten until the last, 2."""
    log = Log()
    log.chain().sign().write(10).sign(BEGIN + HOUR).write(10, BEGIN + HOUR).sign(BEGIN + HOUR + 60_000, last=True)
    return log


def test_an_untouched_log_has_no_findings() -> None:
    assert finished().kinds() == []


def test_a_log_that_was_read_twice_and_set_aside_as_well_has_no_findings() -> None:
    log = finished()
    log.events += [*log.events, *(Event(each.text, None) for each in log.events)]
    assert log.kinds() == []


@pytest.mark.parametrize("place", [0, 4, 9, 10, 19])
def test_a_removed_record_is_named(place: int) -> None:
    log = finished()
    del log.events[place]
    assert log.kinds() == [("removed", place + 1, place + 1)]


def test_records_removed_side_by_side_are_one_finding_and_a_removed_stream_is_all_of_them() -> None:
    log = finished()
    del log.events[3:6]
    assert log.kinds() == [("removed", 4, 6)]
    log.events.clear()
    assert log.kinds() == [("removed", 1, 20)]


@pytest.mark.parametrize("place", [0, 4, 9, 10, 19])
def test_a_changed_record_is_named_and_its_neighbours_are_not(place: int) -> None:
    log = finished()
    log.replace(place, n=99)
    assert log.kinds() == [("changed", place + 1, place + 1)]


@pytest.mark.parametrize("place", [0, 9, 19])
def test_a_record_added_under_the_number_of_another_is_named(place: int) -> None:
    log = finished()
    copy = log.events[place]
    log.replace(place, n=99)
    log.events.append(copy)
    assert log.kinds() == [("added", place + 1, place + 1)]


def test_a_record_added_behind_the_end_is_found_although_it_is_linked() -> None:
    log = finished()
    head = digest(log.events[-1].text)
    log.events.append(Event(log.events[-1].text, log.events[-1].at))
    log.replace(-1, seq=21, prev=head)
    assert log.kinds() == [("checkpoint-missing", None, None)]


def test_a_line_that_is_no_record_was_added() -> None:
    log = finished()
    log.events.append(Event("START RequestId: 1", BEGIN))
    log.events.append(Event('{"audit": "call"}', BEGIN))
    log.events.append(Event("[]", BEGIN))
    assert log.kinds() == [("added", None, None)] * 3


def test_records_in_another_order_are_found_by_their_times_or_hashes() -> None:
    log = finished()
    first, second = log.events[3], log.events[4]
    log.events[3], log.events[4] = Event(second.text, first.at), Event(first.text, second.at)
    assert sorted(log.kinds()) == [("moved", 4, 4), ("moved", 5, 5)]
    log = finished()
    log.replace(3, seq=5)
    log.replace(4, seq=4)
    assert log.kinds() == [("changed", 3, 5)]  # 3 is not what the record that is now 4 was linked to


def test_a_chain_that_nobody_signed_was_added() -> None:
    log = finished()
    log.chain().write(3)
    assert log.kinds() == [("checkpoint-missing", None, None)]
    assert log.kinds(now=BEGIN + HOUR + 61_000) == [("checkpoint-missing", None, None)]
    fresh = Log()
    fresh.chain().write(3)
    assert fresh.kinds(now=BEGIN + GRACE) == []


def test_a_missing_checkpoint_is_found_between_others_and_at_the_end() -> None:
    log = finished()
    del log.checkpoints[1]
    (finding,) = log.found()
    assert (finding.kind, finding.detail) == (Kind.CHECKPOINT_MISSING, "checkpoints 1 to 1 of the chain are missing")
    log.replace(2, n=99)
    assert log.kinds() == [("checkpoint-missing", None, None), ("changed", 3, 3)]
    log = Log()
    log.chain().sign().write(3).write(3, BEGIN + HOUR + GRACE + 1)
    assert log.kinds() == [("checkpoint-missing", None, None)]


def test_a_crash_leaves_an_unfinished_chain_and_says_how_many_records_it_lost_at_most() -> None:
    log = Log()
    log.chain().sign().write(7)
    (finding,) = log.found()
    assert finding.kind is Kind.UNFINISHED
    assert (finding.first, finding.last) == (1, 7)
    assert finding.begin == datetime.fromtimestamp(BEGIN / 1000, UTC)
    assert finding.end == datetime.fromtimestamp((BEGIN + HOUR + GRACE) / 1000, UTC)
    assert "at most 100" in finding.detail
    assert log.kinds(now=BEGIN + HOUR + GRACE) == []  # its next checkpoint is not late yet
    assert log.kinds(since=BEGIN + HOUR + GRACE + 1) == []  # an earlier time's finding


def test_a_record_cut_off_an_open_chain_is_found_once_others_follow() -> None:
    log = Log()
    log.chain().sign().write(7)
    del log.events[4]
    assert log.kinds(now=BEGIN + HOUR) == [("removed", 5, 5)]


def test_two_checkpoints_of_one_number_contradict_each_other_and_so_do_heads() -> None:
    log = finished()
    log.checkpoints.append(log.checkpoints[1].model_copy(update={"at": BEGIN + 5}))
    assert ("forged", None, None) in log.kinds()
    log = finished()
    other = Head(seq=10, sha256="f" * 64, at=BEGIN)
    log.checkpoints[1] = log.checkpoints[1].model_copy(update={"head": other})
    assert ("forged", None, None) in log.kinds()


def test_a_chain_rewritten_and_signed_again_contradicts_its_earlier_checkpoints() -> None:
    """What somebody with the right to sign can do: everything after the last checkpoint that is locked."""
    log = finished()
    kept = log.checkpoints[:2]
    forged = Log()
    writer = forged.chain()
    writer.chain.id = kept[0].chain
    writer.sign().write(10, n=1).sign(BEGIN + HOUR).write(10, BEGIN + HOUR).sign(BEGIN + HOUR + 60_000, last=True)
    log.events, log.checkpoints = forged.events, [*kept, *forged.checkpoints]
    assert {kind for kind, *_ in log.kinds()} >= {"forged", "changed"}


def test_lost_records_are_reported() -> None:
    log = Log()
    log.chain().sign().write(1).write(1, audit="lost", records=12).sign(BEGIN + 9, last=True)
    (finding,) = log.found()
    assert (finding.kind, finding.first) == (Kind.LOST, 2)
    assert "12 records" in finding.detail


@pytest.mark.parametrize("since", [0, 30, 59, 60, 61, 90, 119, 120, 150, 179])
def test_any_beginning_proves_the_same(since: int) -> None:
    """Records every minute, checkpoints each hour, and a function's chain that signs each write."""
    log = Log()
    calls, states = log.chain().sign(), log.chain("states")
    for minute in range(180):
        at = BEGIN + minute * 60_000
        calls.write(1, at)
        if minute % 60 == 59:
            calls.sign(at + 1000)
        if minute % 7 == 0:
            states.write(2, at).sign(at + 10, last=True)
    times = {"since": BEGIN + since * 60_000, "now": BEGIN + 3 * HOUR}
    assert log.kinds(**times) == []
    removed = json.loads(log.events[-3].text)["seq"]
    del log.events[-3]
    assert log.kinds(**times) == [("removed", removed, removed)]


def test_an_old_crash_does_not_spoil_what_came_later() -> None:
    log = Log()
    log.chain().sign().write(7, BEGIN + 50_000)
    log.chain(at=BEGIN + HOUR).sign(BEGIN + 40_000).write(5, BEGIN + HOUR).sign(BEGIN + 2 * HOUR, last=True)
    assert log.kinds(since=BEGIN + HOUR + 2 * GRACE, now=BEGIN + 4 * HOUR) == []


TEXT = st.text(st.characters(codec="utf-16", exclude_categories=())) | st.text(
    "\x1b\u202e\ud800\U0001f600", max_size=400
)


@given(st.dictionaries(st.text(max_size=300), TEXT | st.integers() | st.none() | st.dictionaries(TEXT, TEXT)))
def test_any_fields_become_a_bounded_printable_line(fields: dict[str, object]) -> None:
    line = Chain("calls", BEGIN).link(fields, BEGIN)
    assert len(line.text) <= 64 * 1024
    assert line.text.isascii()
    assert line.text.isprintable()
    record = json.loads(line.text)
    assert len(record) <= RECORD_FIELDS + 4
    for value in record.values():
        for text in value.values() if isinstance(value, dict) else [value]:
            assert not isinstance(text, str) or (len(text) <= TEXT_CHARACTERS and text.isprintable())


def line(seq: int, at: int, size: int = 200) -> Line:
    return Line("c", seq, at, "x" * size)


@given(st.lists(st.tuples(st.integers(0, BATCH_SPAN), st.integers(0, 70_000)), max_size=60))
def test_batches_keep_order_and_every_limit(steps: list[tuple[int, int]]) -> None:
    at, lines = BEGIN, []
    for seq, (step, size) in enumerate(steps):
        at += step
        lines.append(line(seq, at, size))
    found = list(batches(lines))
    assert [each for batch in found for each in batch] == lines
    for batch in found:
        assert sum(len(each.text) + 26 for each in batch) <= BATCH_BYTES
        assert batch[-1].at - batch[0].at < BATCH_SPAN
    sizes: Callable[[list[Line]], int] = lambda batch: sum(each.size for each in batch)  # noqa: E731
    for before, after in pairwise(found):
        full = sizes(before) + after[0].size > BATCH_BYTES
        assert full or after[0].at - before[0].at >= BATCH_SPAN


def test_a_batch_has_at_most_a_mebibyte_with_the_overhead_of_each_record() -> None:
    fitting = BATCH_BYTES // 32 - 26
    assert [len(batch) for batch in batches(line(n, BEGIN, fitting) for n in range(64))] == [32, 32]
    assert [len(batch) for batch in batches(line(n, BEGIN, fitting + 1) for n in range(64))] == [31, 31, 2]


def test_a_batch_has_at_most_ten_thousand_records() -> None:
    assert [len(batch) for batch in batches(line(n, BEGIN, 1) for n in range(BATCH_EVENTS + 1))] == [BATCH_EVENTS, 1]


def test_times_of_a_chain_never_go_back() -> None:
    chain = Chain("calls", BEGIN)
    assert [chain.link({}, BEGIN + step).at - BEGIN for step in (5, 3, -100, 6)] == [5, 5, 5, 6]
