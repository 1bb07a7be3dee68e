"""Every state of a dispatch that somebody holds has a limit, and the row says when the reconciler has to look at it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outpost.domain.agents import Agent
from outpost.domain.deadlines import CLOSE_AFTER_CANCEL, GRACE, LEAVING, RowState, cancel_ignored, due_at, overdue
from outpost.domain.dispatch import Dispatch, Spec, Status
from outpost.domain.reasons import ReasonCode
from outpost.store.database import from_attributes
from outpost.store.rows import items_of, state_from

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HELD = (Status.PROVISIONING, Status.RUNNING, Status.COMPLETING)


def row(status: Status, **changes: object) -> Dispatch:
    base = {
        "id": "d",
        "tenant_id": "t",
        "created_by": "otp_00000000",
        "spec": Spec(agent=Agent.SHELL, timeout_seconds=60),
        "expires_at": 0,
        "status": status,
        "created_at": T0,
        "queued_at": T0,
        "worker_id": "w",
        "attempt": 1,
    }
    return Dispatch.model_validate(base | changes)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def test_a_running_dispatch_is_overdue_after_its_time_limit_and_the_grace() -> None:
    running = row(Status.RUNNING, running_at=T0)
    assert overdue(running, after(60) + GRACE) is None
    reason = overdue(running, after(61) + GRACE)
    assert reason is not None
    assert reason.code is ReasonCode.TIME_LIMIT


@pytest.mark.parametrize(
    ("status", "field", "code"),
    [
        (Status.PROVISIONING, "provisioning_at", ReasonCode.WORKER_LOST),
        (Status.COMPLETING, "completing_at", ReasonCode.UPLOAD_FAILED),
    ],
)
def test_preparing_and_uploading_have_limits_too(status: Status, field: str, code: ReasonCode) -> None:
    reason = overdue(row(status, **{field: T0}), after(3_600))
    assert reason is not None
    assert reason.code is code
    assert overdue(row(status, **{field: T0}), after(60)) is None


def test_a_waiting_dispatch_is_never_overdue_in_this_sense() -> None:
    assert overdue(row(Status.PENDING), after(1_000_000)) is None


def test_a_cancel_is_ignored_when_thirty_seconds_brought_no_end() -> None:
    asked = row(Status.RUNNING, cancel_requested_at=T0)
    assert not cancel_ignored(asked, after(29))
    assert cancel_ignored(asked, after(30))
    assert not cancel_ignored(row(Status.RUNNING), after(1_000))
    assert not cancel_ignored(row(Status.COMPLETING, cancel_requested_at=T0), after(30))


def test_a_cancelled_dispatch_is_closed_when_its_task_could_not_be_stopped() -> None:
    asked = row(Status.RUNNING, cancel_requested_at=T0)
    assert overdue(asked, T0 + CLOSE_AFTER_CANCEL - timedelta(seconds=1)) is None
    assert overdue(asked, T0 + CLOSE_AFTER_CANCEL)


def test_an_ended_dispatch_is_looked_at_when_its_worker_has_had_its_time_to_leave() -> None:
    assert due_at(row(Status.SUCCESS, ended_at=T0)) == T0 + LEAVING


moments = st.none() | st.integers(0, 3_000).map(after)


@given(st.sampled_from(HELD), moments, moments, moments, moments, st.integers(0, 10_000))
def test_nothing_is_done_before_it_is_due(
    status: Status,
    provisioning: datetime | None,
    running: datetime | None,
    completing: datetime | None,
    cancel: datetime | None,
    seconds: int,
) -> None:
    held = row(
        status,
        provisioning_at=provisioning,
        running_at=running,
        completing_at=completing,
        cancel_requested_at=cancel,
    )
    at = after(seconds)
    if at < due_at(held):
        assert overdue(held, at) is None
        assert not cancel_ignored(held, at)


@given(st.sampled_from(Status))
def test_the_attributes_of_an_item_have_the_state_of_its_row(status: Status) -> None:
    kept = row(status, ended_at=T0, running_at=T0)
    assert state_from(from_attributes(items_of(kept)[0])) == RowState.of(kept)
