"""What the reconciler decides about workers and tasks: pure functions of their rows and of what ECS describes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from outpost.domain.deadlines import RowState
from outpost.domain.diagnosis import TaskStop
from outpost.domain.ids import is_id
from outpost.domain.workers import Worker
from reconciler.silence import IDLE_SILENCE

SETTLING = timedelta(seconds=15)
"""What a wake-up and ECS's lists have to arrive before the reconciler believes that they were lost."""
CONSISTENT_AFTER = timedelta(minutes=5)
"""When ECS shows a new task to everybody (Amazon ECS API Reference, RunTask: eventual consistency)."""
FORGOTTEN = TaskStop(stop_code="Forgotten", stopped_reason="ECS does not know the task.", exit_code=None)
FOREIGN = TaskStop(stop_code="Foreign", stopped_reason="The task is not one that was launched here.", exit_code=None)


@dataclass(frozen=True)
class Task:
    """A task, as ECS describes it."""

    task_id: str
    family: str
    started_by: str
    created_at: datetime | None
    stop: TaskStop | None
    """How it ended; None while it has not."""


def end_of_unlisted(worker: Worker, task: Task | None, family: str, unheard: float, at: datetime) -> TaskStop | None:
    """Return how a worker ended that is not in ECS's list of running tasks, or None when it may still run.

    `task` is what ECS describes, `family` what workers of its agent are of, `unheard` the seconds without a heartbeat.
    """
    if task is None:
        # A list may be late by minutes: what beats is alive, whatever it shows.
        old = at - worker.launched_at >= CONSISTENT_AFTER
        return FORGOTTEN if old and unheard >= IDLE_SILENCE.total_seconds() else None
    return FOREIGN if task.family != family else task.stop


def is_orphan(task: Task, at: datetime) -> bool:
    """Return whether a task without row and open intent was launched here (its intent is settled), or is old."""
    return is_id(task.started_by) or (task.created_at is not None and at - task.created_at >= CONSISTENT_AFTER)


def works(worker: Worker, states: Mapping[str, RowState]) -> bool:
    """Return whether a worker works for a dispatch that has not ended."""
    state = states.get(worker.dispatch_id or "")
    return state is not None and holds(worker, state) and not state.status.terminal


def holds(worker: Worker, state: RowState) -> bool:
    """Return whether a worker holds a dispatch's lease."""
    return (state.worker_id, state.attempt) == (worker.worker_id, worker.fencing_token)
