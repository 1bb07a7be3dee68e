"""What the sweep decides, as pure functions of rows, observations and the sweep's own clock."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.observations import Observation
from outpost.store.workers import Worker, WorkerState

LEASE = timedelta(seconds=30)
"""A worker is lost when its token and beat counter stood still this long, on the sweep's clock: three heartbeats."""
IDLE_SILENCE = timedelta(seconds=90)
"""An idle worker asks for work each 20 s."""
NEVER_ASKED = timedelta(minutes=5)
"""The longest that a launched worker may take to ask for work for the first time."""
LEAVING = timedelta(seconds=60)
"""What a worker has to exit after its dispatch ended."""
STOP_AFTER_CANCEL = timedelta(seconds=30)
PREPARING_LIMIT = timedelta(minutes=15)
"""The longest that clone and preparation may take while the heartbeat goes on."""
GRACE = timedelta(minutes=2)
"""What the harness has after the time limit: grace, kill, upload."""
UPLOADING_LIMIT = timedelta(minutes=30)
"""More than the harness takes: twice 5 minutes for a workspace, 10 for the patch, 2 for the log, and the uploads."""


def observe(
    workers: Iterable[Worker], earlier: Mapping[str, Observation], at: datetime
) -> tuple[dict[str, Observation], list[Worker]]:
    """Return what is observed now, and the workers that have been silent for too long."""
    seen: dict[str, Observation] = {}
    silent: list[Worker] = []
    for worker in workers:
        token, beat = worker.fencing_token or 0, worker.beat
        known = earlier.get(worker.worker_id)
        unchanged = known is not None and (known.token, known.beat) == (token, beat)
        seen[worker.worker_id] = known if known and unchanged else Observation(token=token, beat=beat, since=at)
        if at - seen[worker.worker_id].since >= _patience(worker):
            silent.append(worker)
    return seen, silent


def _patience(worker: Worker) -> timedelta:
    return {WorkerState.BUSY: LEASE, WorkerState.IDLE: IDLE_SILENCE}.get(worker.worker_state, NEVER_ASKED)


def overdue(row: Dispatch, at: datetime) -> Reason | None:
    """Return why an active row is over its time although its worker still beats, or None."""
    since, limit, code, what = _limits(row)
    if since is None or at - since <= limit:
        return None
    return Reason.of(code, f"{what} took longer than {int(limit.total_seconds())} s.")


def _limits(row: Dispatch) -> tuple[datetime | None, timedelta, ReasonCode, str]:
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


def cancel_ignored(row: Dispatch, at: datetime) -> bool:
    """Say whether a worker has had its time to answer a cancel."""
    return row.cancel_requested_at is not None and at - row.cancel_requested_at >= STOP_AFTER_CANCEL


def orphaned(worker: Worker, row: Dispatch | None, at: datetime) -> bool:
    """Say whether a busy worker works for nobody: another holds its dispatch, or that ended a while ago."""
    if worker.worker_state is not WorkerState.BUSY:
        return False
    if row is None or (row.worker_id, row.attempt) != (worker.worker_id, worker.fencing_token):
        return True
    return row.ended_at is not None and at - row.ended_at >= LEAVING
