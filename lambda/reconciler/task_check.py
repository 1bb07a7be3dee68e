"""The part of a pass that compares workers with ECS's own list: ended tasks, foreign ones, tasks without a worker."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from aws_lambda_powertools import Logger

from outpost.domain.agents import Agent
from outpost.domain.diagnosis import TaskStop
from outpost.domain.workers import Worker
from reconciler.decisions import FOREIGN, SETTLING, Task, end_of_unlisted, is_orphan
from reconciler.listening import Listening
from reconciler.parts import Parts
from reconciler.progress import Progress

logger = Logger(service="reconciler")


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
        tasks, ended = self.parts.tasks, list[tuple[Worker, TaskStop]]()
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
        family = tasks.families[page.agent]
        for worker in unlisted:
            unheard = self.listening.unheard(worker)
            if stop := end_of_unlisted(worker, described.get(worker.worker_id), family, unheard, page.at):
                ended.append((worker, stop))
        self.progress.each(ended, lambda found: self._end(*found))
        self._stop_orphans(page, [described[id_] for id_ in sorted(listed - known) if id_ in described])

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
        orphans = [task for task in orphans if task.started_by not in intended and is_orphan(task, page.at)]
        alive = self.parts.workers.alive_of((page.agent, task.task_id) for task in orphans)
        self.progress.each([task for task in orphans if (page.agent, task.task_id) not in alive], self._stop_orphan)

    def _stop_orphan(self, task: Task) -> None:
        logger.warning("a task has no worker's row", extra={"task": task.task_id, "started_by": task.started_by})
        self.parts.tasks.stop(task.task_id, "no worker's row names it")
