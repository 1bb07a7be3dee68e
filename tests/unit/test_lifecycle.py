"""The state machine keeps its promises for every sequence of events, from anybody, in any order."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.collection import Collection
from outpost.domain.dispatch import MAX_ATTEMPTS, Dispatch, Lease, Spec, Status
from outpost.domain.findings import Findings, Release
from outpost.domain.lifecycle import (
    EDGES,
    Cancel,
    Claim,
    Event,
    Expire,
    Finish,
    Lose,
    Progress,
    ReleaseWithheld,
    Report,
    StaleLeaseError,
    Start,
    TransitionError,
    apply,
)
from outpost.domain.reasons import Reason, ReasonCode

T0 = datetime(2026, 1, 1, tzinfo=UTC)
WITHHELD = Findings(secrets={"TOKEN": 1}, withheld=("changes.patch",))
RELEASE = ReleaseWithheld(Release(by="otp_12345678", at=T0, reason="revoked"))
WHY = Reason.of(ReasonCode.WORKER_LOST, "gone")

CONTRACT = {
    ("pending", "provisioning"),
    ("pending", "cancelled"),
    ("pending", "failed"),
    ("provisioning", "running"),
    ("provisioning", "pending"),
    ("provisioning", "cancelled"),
    ("provisioning", "failed"),
    ("running", "completing"),
    ("running", "pending"),
    ("running", "timeout"),
    ("running", "cancelled"),
    ("running", "failed"),
    ("completing", "success"),
    ("completing", "failed"),
    ("completing", "timeout"),
}

leases = st.builds(Lease, worker_id=st.sampled_from(["a", "b"]), token=st.integers(1, 4))
moments = st.integers(0, 1000).map(lambda s: T0 + timedelta(seconds=s))
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Claim, worker_id=st.sampled_from(["a", "b"]), slot=st.integers(0, 3), at=moments),
    st.builds(Start, lease=leases, at=moments),
    st.builds(Finish, lease=leases, exit_code=st.sampled_from([0, 1, 137, None]), at=moments),
    st.builds(Report, lease=leases, outcome=st.sampled_from(Status), reason=st.just(WHY), at=moments),
    st.builds(Lose, lease=leases, reason=st.just(WHY), at=moments),
    st.just(RELEASE),
    st.builds(Progress, lease=leases, text=st.just("half way")),
    st.builds(Cancel, reason=st.none(), at=moments),
    st.builds(Expire, reason=st.just(WHY), at=moments),
)


def pending(*, retryable: bool = False) -> Dispatch:
    spec = Spec(agent=Agent.SHELL, retryable=retryable)
    return Dispatch(
        id="01", tenant_id="t", created_by="otp_12345678", spec=spec, expires_at=0, created_at=T0, queued_at=T0
    )


def history(row: Dispatch, sequence: list[Event]) -> list[Dispatch]:
    rows = [row]
    for event in sequence:
        try:
            rows.append(apply(rows[-1], event))
        except TransitionError:
            continue
    return rows


def test_the_edges_are_exactly_the_contracts() -> None:
    assert {(a.value, b.value) for a, targets in EDGES.items() for b in targets} == CONTRACT


@given(st.lists(events, max_size=40), st.booleans())
def test_every_step_follows_an_edge_and_counts_one_version(sequence: list[Event], retryable: bool) -> None:
    rows = history(pending(retryable=retryable), sequence)
    for before, after in pairwise(rows):
        assert after.status is before.status or after.status in EDGES[before.status]
        assert after.version == before.version + 1


@given(st.lists(events, max_size=40), events)
def test_a_terminal_state_never_changes(sequence: list[Event], late: Event) -> None:
    last = history(pending(), sequence)[-1]
    if last.status.terminal:
        with pytest.raises(TransitionError):
            apply(last, late)


@given(st.lists(events, max_size=40), st.booleans())
def test_fencing_tokens_only_grow_and_grow_with_each_claim(sequence: list[Event], retryable: bool) -> None:
    rows = history(pending(retryable=retryable), sequence)
    for before, after in pairwise(rows):
        claimed = before.status is Status.PENDING and after.status is Status.PROVISIONING
        assert after.attempt == before.attempt + (1 if claimed else 0)
    assert rows[-1].attempt <= MAX_ATTEMPTS


@given(st.lists(events, max_size=40), events)
def test_a_stale_holder_can_change_nothing(sequence: list[Event], late: Event) -> None:
    row = history(pending(retryable=True), sequence)[-1]
    lease = getattr(late, "lease", None)
    if lease is not None and lease != row.lease:
        with pytest.raises(TransitionError):
            apply(row, late)


@given(st.lists(events, max_size=40), st.booleans())
def test_a_slot_is_held_exactly_from_claim_to_end(sequence: list[Event], retryable: bool) -> None:
    for row in history(pending(retryable=retryable), sequence):
        held = row.status in (Status.PROVISIONING, Status.RUNNING, Status.COMPLETING)
        assert (row.slot is not None) == held
        assert (row.lease is not None) == held


def test_every_state_reaches_a_terminal_one() -> None:
    for start in Status:
        seen, frontier = {start}, [start]
        while frontier:
            for target in EDGES[frontier.pop()] - seen:
                seen.add(target)
                frontier.append(target)
        assert any(status.terminal for status in seen)


def claimed(*, retryable: bool = False) -> tuple[Dispatch, Lease]:
    row = apply(pending(retryable=retryable), Claim("w", 0, T0))
    assert row.lease is not None
    return row, row.lease


def test_a_worker_lost_before_the_agent_started_is_retried_three_times_then_fails() -> None:
    row = pending()
    for _ in range(MAX_ATTEMPTS):
        row = apply(row, Claim("w", 0, T0))
        assert row.lease is not None
        row = apply(row, Lose(row.lease, WHY, T0))
    assert (row.status, row.reason) == (Status.FAILED, WHY)


@pytest.mark.parametrize(("retryable", "expected"), [(True, Status.PENDING), (False, Status.FAILED)])
def test_a_worker_lost_in_mid_run_is_retried_only_when_the_client_allowed_it(
    retryable: bool,
    expected: Status,
) -> None:
    row, lease = claimed(retryable=retryable)
    assert apply(apply(row, Start(lease, T0)), Lose(lease, WHY, T0)).status is expected


def test_a_cancel_asked_while_running_ends_it_cancelled_even_when_the_worker_dies() -> None:
    row, lease = claimed(retryable=True)
    asked = apply(apply(row, Start(lease, T0)), Cancel("enough", T0))
    assert asked.status is Status.RUNNING
    gone = apply(asked, Lose(lease, WHY, T0))
    assert gone.status is Status.CANCELLED
    assert gone.reason is not None
    assert gone.reason.message == "Cancelled: enough"


def test_what_a_lost_attempt_left_is_known_until_another_attempt_begins() -> None:
    findings, collection = Findings(secrets={"ONE": 1}, withheld=("changes.patch",)), Collection(left_out_count=1)

    def lose(row: Dispatch, lease: Lease) -> Dispatch:
        return apply(row, Lose(lease, WHY, T0, "the end", findings, collection))

    row, lease = claimed(retryable=True)
    running = apply(row, Start(lease, T0))
    cancelled = lose(apply(running, Cancel("enough", T0)), lease)
    assert (cancelled.log_tail, cancelled.findings, cancelled.collection) == ("the end", findings, collection)
    assert cancelled.withheld
    waiting = lose(running, lease)
    ended = apply(waiting, Cancel("enough", T0))
    assert (ended.status, ended.withheld, ended.collection) == (Status.CANCELLED, True, collection)
    assert ended.log_tail == apply(waiting, Expire(WHY, T0)).log_tail == "the end"
    again = apply(waiting, Claim("v", 0, T0))
    assert (again.withheld, again.collection, again.log_tail) == (False, None, None)


@pytest.mark.parametrize("retryable", [True, False])
def test_a_run_over_its_time_limit_is_a_timeout_and_not_repeated_although_its_worker_did_not_report(
    retryable: bool,
) -> None:
    row, lease = claimed(retryable=retryable)
    why = Reason.of(ReasonCode.TIME_LIMIT, "The agent took longer than 600 s.")
    ended = apply(apply(row, Start(lease, T0)), Lose(lease, why, T0, "the end", WITHHELD))
    assert (ended.status, ended.reason, ended.log_tail, ended.withheld) == (Status.TIMEOUT, why, "the end", True)


def test_a_cancelled_dispatch_keeps_the_words_of_who_cancelled_it() -> None:
    row, lease = claimed()
    asked = apply(apply(row, Start(lease, T0)), Cancel("enough", T0))
    ended = apply(asked, Report(lease, Status.CANCELLED, WHY, T0))
    assert ended.reason == Reason.of(ReasonCode.CANCELLED_BY_USER, "Cancelled: enough")


def test_a_success_written_first_wins_over_a_late_loss() -> None:
    row, lease = claimed()
    done = apply(apply(row, Start(lease, T0)), Finish(lease, 0, T0))
    done = apply(done, Report(lease, Status.SUCCESS, Reason.of(ReasonCode.COMPLETED, "ok"), T0))
    with pytest.raises(TransitionError):
        apply(done, Lose(lease, WHY, T0))


def test_a_stale_lease_is_named_as_such() -> None:
    row, _ = claimed()
    with pytest.raises(StaleLeaseError, match="live one is"):
        apply(row, Start(Lease(worker_id="w", token=9), T0))


@given(st.lists(events, max_size=40), st.booleans())
def test_a_release_changes_nothing_but_itself_and_is_made_once(sequence: list[Event], withheld: bool) -> None:
    last = history(pending(), sequence)[-1].model_copy(update={"findings": WITHHELD if withheld else None})
    if not (last.status.terminal and withheld):
        with pytest.raises(TransitionError):
            apply(last, RELEASE)
        return
    released = apply(last, RELEASE)
    assert (last.withheld, released.withheld) == (True, False)
    assert released == last.model_copy(update={"released": RELEASE.release, "version": last.version + 1})
    with pytest.raises(TransitionError):
        apply(released, RELEASE)


def test_after_a_release_the_reason_asks_for_none() -> None:
    row, lease = claimed()
    row = apply(apply(row, Start(lease, T0)), Finish(lease, 0, T0))
    why = Reason.of(ReasonCode.SECRET_IN_OUTPUT, "changes.patch withheld until released: secret A at a:1.")
    row = apply(row, Report(lease, Status.SUCCESS, why, T0, findings=WITHHELD))
    assert row.reason
    assert "release the result" in row.reason.remedy
    released = apply(row, RELEASE).reason
    assert released == why.model_copy(update={"remedy": "Nothing to do: it was released by otp_12345678."})
