"""How long each state of a dispatch may take: pure functions of the row, for its `due_at` and the reconciler."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.reasons import Reason, ReasonCode

STOP_AFTER_CANCEL = timedelta(seconds=30)
"""What a worker has to end a cancelled dispatch before its task is stopped."""
CLOSE_AFTER_CANCEL = timedelta(minutes=3)
"""When a cancelled dispatch is closed, whether its task could be stopped or not: the 30 s, and 120 s to stop."""
PREPARING_LIMIT = timedelta(minutes=15)
"""The longest that clone and preparation may take while the heartbeat continues."""
GRACE = timedelta(minutes=2)
"""What the harness has after the time limit: grace, kill, upload."""
UPLOADING_LIMIT = timedelta(minutes=30)
"""More than the harness takes: twice 5 minutes for a workspace, 10 for the patch, 2 for the log, and the uploads."""
LEAVING = timedelta(seconds=60)
"""What a worker has to exit after its dispatch ended."""

_NEVER = datetime.max.replace(tzinfo=UTC)
_CANCELLABLE = (Status.PROVISIONING, Status.RUNNING)


class RowState(NamedTuple):
    """What the reconciler has to know of a row, without its document."""

    id: str
    tenant_id: str
    agent: Agent
    status: Status
    worker_id: str | None
    attempt: int
    due_at: datetime
    """From when on the reconciler has to act on it (`due_at`)."""

    @classmethod
    def of(cls, row: Dispatch) -> "RowState":
        """Return the state of a row."""
        return cls(row.id, row.tenant_id, row.spec.agent, row.status, row.worker_id, row.attempt, due_at(row))


def due_at(row: Dispatch) -> datetime:
    """Return from when on the reconciler has to act on the row, or on the worker of an ended one."""
    if row.status is Status.PENDING:
        return row.queue_deadline
    if row.status.terminal:
        return (row.ended_at or row.created_at) + LEAVING
    since, limit, _, _ = _limits(row)
    ends = since + limit if since else _NEVER
    if row.cancel_requested_at and row.status in _CANCELLABLE:
        return min(ends, row.cancel_requested_at + STOP_AFTER_CANCEL)
    return ends


def overdue(row: Dispatch, at: datetime) -> Reason | None:
    """Return why a row that a worker holds is over its time and has to be closed, or None."""
    if row.cancel_requested_at and row.status in _CANCELLABLE and at - row.cancel_requested_at >= CLOSE_AFTER_CANCEL:
        return Reason.of(ReasonCode.CANCELLED_BY_USER, "The worker did not end after the cancel.")
    since, limit, code, what = _limits(row)
    if since is None or at - since <= limit:
        return None
    return Reason.of(code, f"{what} took longer than {int(limit.total_seconds())} s.")


def cancel_ignored(row: Dispatch, at: datetime) -> bool:
    """Return whether the worker has had its time to end a cancelled dispatch."""
    asked_at = row.cancel_requested_at
    return asked_at is not None and row.status in _CANCELLABLE and at - asked_at >= STOP_AFTER_CANCEL


def _limits(row: Dispatch) -> tuple[datetime | None, timedelta, ReasonCode, str]:
    """Return when the row's state began, how long it may last, and how to describe that it lasted longer."""
    match row.status:
        case Status.PROVISIONING:
            return row.provisioning_at, PREPARING_LIMIT, ReasonCode.WORKER_LOST, "Preparing the workspace"
        case Status.RUNNING:
            limit = timedelta(seconds=row.spec.timeout_seconds) + GRACE
            return row.running_at, limit, ReasonCode.TIME_LIMIT, "The agent, with the grace after its time limit,"
        case Status.COMPLETING:
            return row.completing_at, UPLOADING_LIMIT, ReasonCode.UPLOAD_FAILED, "Uploading the results"
        case _:
            return None, timedelta(), ReasonCode.INTERNAL_ERROR, ""
