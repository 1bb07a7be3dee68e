"""An attempt's summary is written once: by the worker, or by what closes its dispatch. That decides the outcome."""

import boto3
import pytest
from botocore.exceptions import ClientError

from outpost.domain.agents import Agent
from outpost.domain.artifacts import Summary
from outpost.domain.diagnosis import TaskStop
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.findings import Findings
from outpost.domain.ids import now
from outpost.domain.lifecycle import Finish, Start
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.artifacts import Artifacts
from tests.store.reconciling import Field, field

__all__ = ["field"]
LOST = Reason.of(ReasonCode.WORKER_LOST, "gone")
KILLED = TaskStop("EssentialContainerExited", "", 137)


def running(field: Field) -> Dispatch:
    """A dispatch whose agent runs."""
    _, row = field.busy()
    started: Dispatch = field.store.dispatches.change(row.id, Start(row.lease, now()))
    return started


def summary_of(field: Field, row: Dispatch) -> Summary:
    """The summary that is stored."""
    found = field.parts.store.recovery._artifacts.summary(row)
    assert found
    return found


def test_the_summary_of_a_lost_worker_decides_the_outcome(field: Field) -> None:
    row = running(field)
    findings = Findings(secrets={"NPM_TOKEN": 1}, withheld=("changes.patch",))
    field.store_summary(row, field.summary(row, findings=findings))
    field.parts.store.recovery.close(row, LOST)
    ended = field.store.dispatches.get(row.id)
    assert (ended.status, ended.exit_code, ended.withheld) == (Status.SUCCESS, 0, True)


@pytest.mark.parametrize("outcome", [Status.SUCCESS, Status.FAILED, Status.TIMEOUT])
@pytest.mark.parametrize("state", [Status.PROVISIONING, Status.RUNNING, Status.COMPLETING])
def test_a_summary_decides_in_whichever_state_the_row_was_left(field: Field, state: Status, outcome: Status) -> None:
    _, row = field.busy()
    events = {Status.PROVISIONING: 0, Status.RUNNING: 1, Status.COMPLETING: 2}[state]
    for event in [Start(row.lease, now()), Finish(row.lease, 0, now())][:events]:
        row = field.store.dispatches.change(row.id, event)
    field.store_summary(row, field.summary(row, outcome))
    field.parts.store.recovery.close(row, LOST)
    assert field.status(row) is outcome


def test_a_success_that_is_stored_just_after_recovery_looked_is_not_passed_over(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, settle = running(field), Artifacts.settle_summary

    def stored_meanwhile(artifacts: Artifacts, row: Dispatch, lost: Summary) -> Summary:
        field.store_summary(row, field.summary(row))
        return settle(artifacts, row, lost)

    monkeypatch.setattr(Artifacts, "settle_summary", stored_meanwhile)
    field.parts.store.recovery.close(row, LOST)
    assert field.status(row) is Status.SUCCESS


def test_after_the_attempt_was_given_up_s3_refuses_its_summary(field: Field) -> None:
    row = running(field)
    field.parts.store.recovery.close(row, LOST)
    assert (field.status(row), summary_of(field, row).lost) == (Status.FAILED, True)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        field.store_summary(row, field.summary(row))


def test_a_recovery_that_died_before_it_wrote_the_row_is_completed_by_the_next_one(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = running(field)
    with monkeypatch.context() as patch:
        patch.setattr(field.store.dispatches, "change", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            field.parts.store.recovery.close(row, LOST)
    field.parts.store.recovery.close(row, LOST)
    assert field.store.dispatches.get(row.id).reason == LOST


def test_a_summary_that_the_rows_state_does_not_allow_loses_the_attempt(field: Field) -> None:
    row = running(field)
    assert row.lease
    row = field.store.dispatches.change(row.id, Finish(row.lease, 0, now()))
    field.store_summary(row, field.summary(row, Status.CANCELLED))
    field.parts.store.recovery.close(row, LOST)
    assert field.status(row) is Status.FAILED


def test_an_event_that_is_repeated_hours_later_ends_no_other_attempt(field: Field) -> None:
    worker, row = field.busy()
    field.parts.termination.handle(Agent.SHELL, worker.worker_id, KILLED, now())
    _, again = field.claim(field.worker())
    assert (again.id, again.attempt) == (row.id, 2)
    field.parts.termination.handle(Agent.SHELL, worker.worker_id, KILLED, now())
    assert field.store.dispatches.get(row.id) == again


def test_an_event_of_a_worker_that_lost_its_dispatch_to_another_ends_only_its_own_row(field: Field) -> None:
    worker, row = field.busy()
    field.parts.store.recovery.close(row, LOST)
    _, again = field.claim(field.worker())
    field.parts.termination.handle(Agent.SHELL, worker.worker_id, KILLED, now())
    assert field.store.dispatches.get(row.id) == again
    assert field.store.workers.get(Agent.SHELL, worker.worker_id) is None


def test_lost_attempts_leave_their_last_lines_as_before(field: Field) -> None:
    row = running(field)
    line = '{"timestamp": "2026-01-01T00:00:00Z", "source": "agent", "message": "half way"}'
    key = f"tenants/acme/dispatches/{row.id}/1/chunks/000001.jsonl"
    boto3.client("s3").put_object(Bucket=field.bucket, Key=key, Body=line.encode())
    field.parts.store.recovery.close(row, LOST)
    assert field.store.dispatches.get(row.id).log_tail == summary_of(field, row).log_tail == "half way"
