"""The part of a pass that goes through the workers: silence, deadlines, and workers that work for nobody."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aws_lambda_powertools import Logger

from outpost.domain.agents import Agent
from outpost.domain.deadlines import RowState, cancel_ignored, overdue
from outpost.domain.reasons import Reason, ReasonCode
from outpost.domain.workers import Worker, WorkerState
from outpost.fleet.metrics import emit
from outpost.names import Metric
from outpost.store.keys import BEFORE_IDS
from reconciler.decisions import holds, works
from reconciler.listening import Listening
from reconciler.parts import Parts
from reconciler.progress import Progress
from reconciler.task_check import Page, TaskCheck

logger = Logger(service="reconciler")

PAGE = 500
"""Workers that are read and handled together."""
_SILENT = Reason.of(ReasonCode.WORKER_LOST, "The worker's heartbeat stopped.")


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
        workers = self.parts.workers.page(agent, after, PAGE)
        until = workers[-1].worker_id if len(workers) == PAGE else None
        page = Page(agent, after, until, workers, self.parts.now())
        self.idle[agent] += sum(worker.worker_state is WorkerState.IDLE for worker in workers)
        states = self.parts.dispatches.live.states(sorted({w.dispatch_id for w in workers if w.dispatch_id}))
        # One whose dispatch has ended beats no more: it is expected to exit, and says nothing about the fleet.
        beating = [worker for worker in workers if worker.worker_state is not WorkerState.BUSY or works(worker, states)]
        lost: set[str] = set()
        self.progress.each(self.listening.lost(beating, began, page.at), lambda worker: self._take_lease(worker, lost))
        self._check(page, states, lost)
        return page

    def _take_lease(self, worker: Worker, lost: set[str]) -> None:
        """Take a silent worker's lease, once what it left can be read: else nobody could close its dispatch."""
        row = self.parts.dispatches.get(worker.dispatch_id) if worker.dispatch_id else None
        if row:
            self.parts.recovery.last_lines(row)
        if self.parts.workers.mark_lost(worker):
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
            row = self.parts.dispatches.get(state.id)
            if row and row.lease and row.lease.worker_id == worker.worker_id:
                self.parts.recovery.close(row, _SILENT)

    def _check_work(self, worker: Worker, state: RowState | None, at: datetime) -> str | None:
        """Close the dispatch of a living worker that is over its time; return why the worker's task is to stop."""
        if worker.worker_state is not WorkerState.BUSY:
            return None
        if state is None or not holds(worker, state):
            return "works for nobody"
        if at < state.due_at:
            return None
        row = self.parts.dispatches.get(state.id)
        if row is None or row.status.terminal:
            return "works for nobody"
        if reason := overdue(row, at):
            logger.warning("dispatch is closed", extra={"dispatch": row.id, "reason": reason.message})
            self.parts.recovery.close(row, reason)
        return "cancelled" if cancel_ignored(row, at) else None
