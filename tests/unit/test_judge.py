"""The sweep judges heartbeats by its own clock, and everything that takes too long by its limit."""

from datetime import UTC, datetime, timedelta

import pytest

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Spec, Status
from outpost.domain.reasons import ReasonCode
from outpost.store.observations import Observation
from outpost.store.workers import Worker, WorkerState
from sweep.judge import GRACE, IDLE_SILENCE, LEASE, LEAVING, NEVER_ASKED, cancel_ignored, observe, orphaned, overdue

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def worker(state: WorkerState = WorkerState.BUSY, beat: int = 0, token: int = 1) -> Worker:
    return Worker(
        worker_id="w",
        task_arn="arn:w",
        agent=Agent.SHELL,
        revision=1,
        worker_state=state,
        launched_at=T0,
        dispatch_id="d",
        fencing_token=token,
        beat=beat,
    )


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


@pytest.mark.parametrize(
    ("state", "patience"),
    [(WorkerState.BUSY, LEASE), (WorkerState.IDLE, IDLE_SILENCE), (WorkerState.STARTING, NEVER_ASKED)],
)
def test_a_worker_is_silent_when_its_counter_stood_still_for_its_patience(
    state: WorkerState, patience: timedelta
) -> None:
    seen, silent = observe([worker(state)], {}, T0)
    assert silent == []
    _, silent = observe([worker(state)], seen, T0 + patience - timedelta(seconds=1))
    assert silent == []
    _, silent = observe([worker(state)], seen, T0 + patience)
    assert [w.worker_id for w in silent] == ["w"]


@pytest.mark.parametrize("changed", [worker(beat=1), worker(token=2)])
def test_a_beat_or_a_new_token_starts_the_count_anew(changed: Worker) -> None:
    seen, _ = observe([worker()], {}, T0)
    seen, silent = observe([changed], seen, T0 + LEASE)
    assert silent == []
    assert seen["w"].since == T0 + LEASE


def test_workers_that_are_gone_are_no_longer_observed() -> None:
    earlier = {"gone": Observation(token=1, beat=3, since=T0)}
    seen, _ = observe([worker()], earlier, T0)
    assert set(seen) == {"w"}


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


def test_a_cancel_is_ignored_when_thirty_seconds_brought_no_answer() -> None:
    asked = row(Status.RUNNING, cancel_requested_at=T0)
    assert not cancel_ignored(asked, after(29))
    assert cancel_ignored(asked, after(30))
    assert not cancel_ignored(row(Status.RUNNING), after(1_000))


def test_a_worker_is_an_orphan_when_another_holds_its_dispatch_or_that_ended_a_while_ago() -> None:
    held = row(Status.RUNNING)
    assert not orphaned(worker(), held, T0)
    assert orphaned(worker(), None, T0)
    assert orphaned(worker(), row(Status.RUNNING, worker_id="other", attempt=2), T0)
    ended = row(Status.SUCCESS, ended_at=T0)
    assert not orphaned(worker(), ended, T0)
    assert orphaned(worker(), ended, T0 + LEAVING)
    assert not orphaned(worker(WorkerState.IDLE), None, T0)
