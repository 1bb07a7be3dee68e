"""One pass of the sweep: heals what events missed, through the same state machine, so it may race with everybody."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from aws_lambda_powertools import Logger

from outpost.domain.agents import Agent, AgentSettings
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.lifecycle import Expire, TransitionError
from outpost.domain.reasons import Reason, ReasonCode
from outpost.names import Metric
from outpost.store.departures import Departures
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.live_dispatches import QueueEntry
from outpost.store.metrics import emit
from outpost.store.observations import Observations
from outpost.store.recovery import Recovery
from outpost.store.wakeups import Wakeups
from outpost.store.workers import Worker, Workers, WorkerState
from sweep.judge import cancel_ignored, observe, orphaned, overdue
from sweep.tasks import FORGOTTEN, REMEMBERED, Tasks

logger = Logger(service="sweep")

Thing = TypeVar("Thing", Worker, Dispatch)

SETTLING = timedelta(seconds=15)
"""What a wake-up and ECS's lists have to arrive before the sweep believes that they were lost."""


@dataclass(frozen=True)
class Sweep:
    """The sweep's parts."""

    agents: Mapping[Agent, AgentSettings]
    dispatches: Dispatches
    workers: Workers
    recovery: Recovery
    departures: Departures
    launches: Launches
    observations: Observations
    wakeups: Wakeups
    tasks: Tasks
    now: Callable[[], datetime]

    def run(self) -> None:
        """Go through active rows and living workers once. Raises `ExceptionGroup` after all, when some failed."""
        at = self.now()
        # Of all agents: one may have been disabled since its workers were launched.
        queues = {agent: self.dispatches.live.queue(agent) for agent in Agent}
        workers = [worker for agent in Agent for worker in self.workers.alive(agent)]
        queued = {entry.dispatch_id for queue in queues.values() for entry in queue}
        alive = {worker.worker_id for worker in workers}
        failures = [
            *_each(workers, lambda worker: self._heal_departed(worker, at)),
            *_each(self._silent(workers, at), self._give_up),
            *_each(workers, lambda worker: self._check_work(worker, at)),
            *_each(self.dispatches.live.listed(), lambda listed: self._heal_listed(listed, queued, alive, at)),
        ]
        self._wake(queues, workers, at)
        if failures:
            raise ExceptionGroup("the sweep could not heal everything", failures)

    def _heal_departed(self, worker: Worker, at: datetime) -> None:
        """The event of a stopped task was lost: handle it now."""
        if at - worker.launched_at < SETTLING or self.tasks.running(worker.task_arn):
            return
        stop = self.tasks.stop_of(worker.task_arn)
        if stop is FORGOTTEN and at - worker.launched_at < REMEMBERED:
            return  # ECS does not know the task yet
        if stop:
            logger.warning("a task's end went unheard", extra={"worker": worker.worker_id})
            self.departures.stopped(worker.agent, worker.worker_id, stop, at)

    def _silent(self, workers: Iterable[Worker], at: datetime) -> list[Worker]:
        seen, silent = observe(workers, self.observations.load(), at)
        self.observations.save(seen)
        return silent

    def _give_up(self, worker: Worker) -> None:
        """A worker is silent: its dispatch is closed first, then its task is stopped."""
        emit(Metric.LEASE_EXPIRIES, 1)
        logger.warning("worker is silent", extra={"worker": worker.worker_id, "dispatch": worker.dispatch_id})
        row = self.dispatches.get(worker.dispatch_id) if worker.dispatch_id else None
        if row and row.lease and row.lease.worker_id == worker.worker_id:
            self.recovery.close(row, Reason.of(ReasonCode.WORKER_LOST, "The worker's heartbeat stopped."))
        self.tasks.stop(worker.task_arn, "silent")

    def _check_work(self, worker: Worker, at: datetime) -> None:
        """Close the dispatch of a living worker that is over its time; stop a worker without one, or one cancelled."""
        row = self.dispatches.get(worker.dispatch_id) if worker.dispatch_id else None
        if orphaned(worker, row, at):
            logger.warning("worker works for nobody", extra={"worker": worker.worker_id})
            self.tasks.stop(worker.task_arn, "works for nobody")
        elif row and (reason := overdue(row, at)):
            self._close(row, reason)
        elif row and not row.status.terminal and cancel_ignored(row, at):
            logger.warning("worker ignores a cancel", extra={"worker": worker.worker_id, "dispatch": row.id})
            self.tasks.stop(worker.task_arn, "cancelled")

    def _heal_listed(self, listed: Dispatch, queued: set[str], alive: set[str], at: datetime) -> None:
        """Heal a row that no living worker holds. The list is an index, which may lag: the row itself decides."""
        expected = listed.id in queued and at < listed.queue_deadline
        if expected if listed.status is Status.PENDING else listed.worker_id in alive:
            return
        row = self.dispatches.get(listed.id)
        if row and row.status is Status.PENDING:
            self._heal_pending(row, queued, at)
        elif row and row.lease and self.workers.get(row.spec.agent, row.lease.worker_id) is None:
            self._close(row, Reason.of(ReasonCode.WORKER_LOST, "The worker is gone."))

    def _heal_pending(self, row: Dispatch, queued: set[str], at: datetime) -> None:
        if at >= row.queue_deadline:
            self._expire(row, at)
        elif row.id not in queued and self.dispatches.queue_again(row.id):
            logger.warning("a pending dispatch was in no queue", extra={"dispatch": row.id})

    def _close(self, row: Dispatch, reason: Reason) -> None:
        logger.warning("dispatch is closed", extra={"dispatch": row.id, "reason": reason.message})
        self.recovery.close(row, reason)

    def _expire(self, row: Dispatch, at: datetime) -> None:
        failure = self.launches.failure(row.spec.agent)
        waited = f"No worker was free within {row.spec.queue_timeout_seconds} s."
        reason = failure.reason if failure else Reason.of(ReasonCode.CAPACITY_UNAVAILABLE, waited)
        try:
            self.dispatches.change(row.id, Expire(reason, at))
        except TransitionError as refused:
            logger.info("not expired", extra={"dispatch": row.id, "why": str(refused)})

    def _wake(self, queues: Mapping[Agent, Sequence[QueueEntry]], workers: Iterable[Worker], at: datetime) -> None:
        """Wake-ups may be lost: while work waits beside idle workers, send some again."""
        idle = Counter(worker.agent for worker in workers if worker.worker_state is WorkerState.IDLE)
        for agent in self.agents:
            waiting = sum(at - entry.queued_at > SETTLING for entry in queues[agent])
            for _ in range(min(waiting, idle[agent])):
                self.wakeups.send(agent)


def _each(things: Iterable[Thing], heal: Callable[[Thing], None]) -> list[Exception]:
    """Heal each; one that fails does not keep the others from being healed."""
    failures = []
    for thing in things:
        try:
            heal(thing)
        except Exception as error:
            logger.exception("could not heal", extra={"thing": str(thing)})
            failures.append(error)
    return failures
