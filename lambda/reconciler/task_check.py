"""The part of a pass that compares workers with ECS's own list: ended tasks, foreign ones, tasks without a worker."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from aws_lambda_powertools import Logger

from outpost.domain.agents import Agent
from outpost.domain.diagnosis import TaskStop
from outpost.domain.ids import is_id
from outpost.domain.workers import Worker
from reconciler.listening import Listening
from reconciler.parts import Parts
from reconciler.progress import Progress
from reconciler.silence import IDLE_SILENCE
from reconciler.tasks import Task

logger = Logger(service="reconciler")

SETTLING = timedelta(seconds=15)
"""What a wake-up and ECS's lists have to arrive before the reconciler believes that they were lost."""
CONSISTENT_AFTER = timedelta(minutes=5)
"""When ECS shows a new task to everybody (Amazon ECS API Reference, RunTask: eventual consistency)."""
FORGOTTEN = TaskStop(stop_code="Forgotten", stopped_reason="ECS does not know the task.", exit_code=None)
FOREIGN = TaskStop(stop_code="Foreign", stopped_reason="The task is not one that was launched here.", exit_code=None)


class Page(NamedTuple):
    """Workers of an agent with ids above `after` and not above `until` (None: up to the last)."""

    agent: Agent
    after: str
    until: str | None
    workers: Sequence[Worker]
    at: datetime


@dataclass(frozen=True)
class TaskCheck:
    """Compares a page of workers with the tasks of their agent."""

    parts: Parts
    progress: Progress
    listening: Listening

    def run(self, page: Page) -> None:
        """End the workers whose tasks ended unheard, and stop the tasks that no worker's row names."""
        tasks = self.parts.tasks
        foreign = [worker for worker in page.workers if not tasks.owns(worker.task_arn, worker.worker_id)]
        self.progress.each(foreign, lambda worker: self._end(worker, FOREIGN))
        listed = set(tasks.running(page.agent, page.after, page.until))
        known = {worker.worker_id for worker in page.workers}
        unlisted = [
            worker
            for worker in page.workers
            if worker not in foreign and worker.worker_id not in listed and page.at - worker.launched_at >= SETTLING
        ]
        described = tasks.describe([*(worker.worker_id for worker in unlisted), *sorted(listed - known)])
        self.progress.each(unlisted, lambda worker: self._check_unlisted(worker, described, page.at))
        self._stop_orphans(page, [described[id_] for id_ in sorted(listed - known) if id_ in described])

    def _check_unlisted(self, worker: Worker, described: Mapping[str, Task], at: datetime) -> None:
        task = described.get(worker.worker_id)
        if task is None:
            # A list may be late by minutes: what beats is alive, whatever it shows.
            old = at - worker.launched_at >= CONSISTENT_AFTER
            if old and self.listening.unheard(worker) >= IDLE_SILENCE.total_seconds():
                self._end(worker, FORGOTTEN)
        elif task.family != self.parts.tasks.families[worker.agent]:
            self._end(worker, FOREIGN)
        elif task.stop:
            self._end(worker, task.stop)

    def _end(self, worker: Worker, stop: TaskStop) -> None:
        logger.warning("a task's end went unheard", extra={"worker": worker.worker_id, "stop": stop})
        self.parts.termination.handle(worker.agent, worker.worker_id, stop, self.parts.now())

    def _stop_orphans(self, page: Page, tasks: Iterable[Task]) -> None:
        """Stop the tasks of a list that is older than the page and have no row, unless one may still be written.

        Rows are written before their intent is removed, so the intents are read before the rows are read again.
        """
        orphans = [task for task in tasks if task.stop is None]
        if not orphans:
            return
        intended = {intent.batch_id for intent in self.parts.launches.intents(page.agent)}
        orphans = [task for task in orphans if task.started_by not in intended and _is_orphan(task, page.at)]
        alive = self.parts.workers.alive_of((page.agent, task.task_id) for task in orphans)
        self.progress.each([task for task in orphans if (page.agent, task.task_id) not in alive], self._stop_orphan)

    def _stop_orphan(self, task: Task) -> None:
        logger.warning("a task has no worker's row", extra={"task": task.task_id, "started_by": task.started_by})
        self.parts.tasks.stop(task.task_id, "no worker's row names it")


def _is_orphan(task: Task, at: datetime) -> bool:
    """Return whether a task without row and open intent was launched here (its intent is settled), or is old."""
    return is_id(task.started_by) or (task.created_at is not None and at - task.created_at >= CONSISTENT_AFTER)
