"""The part of a pass that goes through the workers: silence, deadlines, workers that work for nobody, their tasks.

A page of workers is compared with ECS's own list: ended tasks, foreign ones, tasks without a worker.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from aws_lambda_powertools import Logger

from outpost.domain.agents import Agent
from outpost.domain.deadlines import RowState, cancel_ignored, overdue
from outpost.domain.diagnosis import TaskStop
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import Worker, WorkerState
from outpost.fleet.metrics import emit
from outpost.names import Metric
from outpost.store.keys import BEFORE_IDS
from reconciler.decisions import FOREIGN, SETTLING, Task, end_of_unlisted, holds, is_orphan, works
from reconciler.progress import Parts, Progress
from reconciler.silence import Listening

logger = Logger(service="reconciler")

PAGE = 500
"""Workers that are read and handled together."""
_SILENT = Reason.of(ReasonCode.WORKER_LOST, "The worker's heartbeat stopped.")


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
        intended = {intent.batch_id for intent in self.parts.store.launches.intents(page.agent)}
        orphans = [task for task in orphans if task.started_by not in intended and is_orphan(task, page.at)]
        alive = self.parts.store.workers.alive_of((page.agent, task.task_id) for task in orphans)
        self.progress.each([task for task in orphans if (page.agent, task.task_id) not in alive], self._stop_orphan)

    def _stop_orphan(self, task: Task) -> None:
        logger.warning("a task has no worker's row", extra={"task": task.task_id, "started_by": task.started_by})
        self.parts.tasks.stop(task.task_id, "no worker's row names it")


@dataclass
class WorkerCheck:
    """Goes through the workers page by page."""

    parts: Parts
    progress: Progress
    listening: Listening
    idle: Counter[Agent] = field(default_factory=Counter)
    """Idle workers seen in this pass."""

    last: tuple[Agent, str] | None = None
    """The last worker that was seen, when time was over; None when all were."""

    def run(self, last: tuple[Agent, str] | None) -> None:
        """Continue behind the last worker that an earlier pass has seen; None: begin a round."""
        # Of all agents: one may have been disabled since its workers were launched.
        agents = list(Agent)
        agent, after = last or (agents[0], BEFORE_IDS)
        place = agents.index(agent)
        while place < len(agents):
            page = self._page(agents[place], after)
            place, after = (place, page.until) if page.until is not None else (place + 1, BEFORE_IDS)
            if self.progress.over and place < len(agents):
                self.last = agents[place], after
                return
        self.last = None

    def _page(self, agent: Agent, after: str) -> Page:
        began = self.parts.now()
        workers = self.parts.store.workers.page(agent, after, PAGE)
        until = workers[-1].worker_id if len(workers) == PAGE else None
        page = Page(agent, after, until, workers, self.parts.now())
        self.idle[agent] += sum(worker.worker_state is WorkerState.IDLE for worker in workers)
        states = self.parts.store.dispatches.live.states(sorted({w.dispatch_id for w in workers if w.dispatch_id}))
        # One whose dispatch has ended beats no more: it is expected to exit, and says nothing about the fleet.
        beating = [worker for worker in workers if worker.worker_state is not WorkerState.BUSY or works(worker, states)]
        lost: set[str] = set()
        self.progress.each(self.listening.lost(beating, began, page.at), lambda worker: self._take_lease(worker, lost))
        self._check(page, states, lost)
        return page

    def _take_lease(self, worker: Worker, lost: set[str]) -> None:
        """Take a silent worker's lease, once what it left can be read: else nobody could close its dispatch."""
        row = self.parts.store.dispatches.get(worker.dispatch_id) if worker.dispatch_id else None
        if row:
            self.parts.store.recovery.last_lines(row)
        if self.parts.store.workers.mark_lost(worker):
            lost.add(worker.worker_id)
            emit(Metric.LEASE_EXPIRIES, 1)
            logger.warning("worker is silent", extra={"worker": worker.worker_id, "dispatch": worker.dispatch_id})

    def _check(self, page: Page, states: Mapping[str, RowState], lost: set[str]) -> None:
        """What needs no ECS comes first: no failure of ECS holds up leases and deadlines."""
        lost |= {worker.worker_id for worker in page.workers if worker.worker_state is WorkerState.LOST}
        stops = {worker.worker_id: "silent" for worker in page.workers if worker.worker_id in lost}

        def check(worker: Worker) -> None:
            state = states.get(worker.dispatch_id or "")
            if worker.worker_id in lost:
                self._close_lost(worker, state)
            elif why := self._check_work(worker, state, page.at):
                stops[worker.worker_id] = why

        self.progress.each(page.workers, check)
        ours = {worker.worker_id for worker in page.workers if self.parts.tasks.owns(worker.task_arn, worker.worker_id)}
        self.progress.each(
            [id_ for id_ in stops if id_ in ours], lambda worker_id: self.parts.tasks.stop(worker_id, stops[worker_id])
        )
        check_tasks = TaskCheck(self.parts, self.progress, self.listening)
        self.progress.attempt(lambda: check_tasks.run(page), f"tasks of {page.agent}")

    def _close_lost(self, worker: Worker, state: RowState | None) -> None:
        if state and holds(worker, state) and not state.status.terminal:
            row = self.parts.store.dispatches.get(state.id)
            if row and row.lease and row.lease.worker_id == worker.worker_id:
                self.parts.store.recovery.close(row, _SILENT)

    def _check_work(self, worker: Worker, state: RowState | None, at: datetime) -> str | None:
        """Close the dispatch of a living worker that is over its time; return why the worker's task is to stop."""
        if worker.worker_state is not WorkerState.BUSY:
            return None
        if state is None or not holds(worker, state):
            return "works for nobody"
        if at < state.due_at:
            return None
        row = self.parts.store.dispatches.get(state.id)
        if row is None or row.status.terminal:
            return "works for nobody"
        if reason := overdue(row, at):
            logger.warning("dispatch is closed", extra={"dispatch": row.id, "reason": reason.message})
            self.parts.store.recovery.close(row, reason)
        return "cancelled" if cancel_ignored(row, at) else None
