"""One pass of the sweep: heals what events missed, through the same state machine, so it may race with everybody."""

from collections.abc import Callable, Iterable, Mapping
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
from outpost.store.metrics import emit
from outpost.store.observations import Observations
from outpost.store.recovery import Recovery
from outpost.store.wakeups import Wakeups
from outpost.store.workers import Worker, Workers, WorkerState
from sweep.judge import cancel_ignored, observe, orphaned, overdue
from sweep.tasks import Tasks

logger = Logger(service="sweep")

Thing = TypeVar("Thing", Worker, Dispatch)

SETTLING = timedelta(seconds=15)
"""What rows, index and ECS's lists have to agree before the sweep believes that they do not."""


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
        rows = list(self.dispatches.live.all())
        workers = [worker for agent in self.agents for worker in self.workers.alive(agent)]
        failures = [
            *_each(workers, lambda worker: self._heal_departed(worker, at)),
            *_each(self._silent(workers, at), self._give_up),
            *_each(workers, lambda worker: self._stop_orphan(worker, at)),
            *_each(rows, lambda row: self._heal_row(row, {w.worker_id for w in workers}, at)),
        ]
        self._wake(rows, workers, at)
        if failures:
            raise ExceptionGroup("the sweep could not heal everything", failures)

    def _heal_departed(self, worker: Worker, at: datetime) -> None:
        """The event of a stopped task was lost: handle it now."""
        if at - worker.launched_at < SETTLING or self.tasks.running(worker.task_arn):
            return
        stop = self.tasks.stop_of(worker.task_arn)
        if stop:
            logger.warning("a task's end went unheard", extra={"worker": worker.worker_id})
            self.departures.stopped(worker.worker_id, stop, at)

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

    def _stop_orphan(self, worker: Worker, at: datetime) -> None:
        row = self.dispatches.get(worker.dispatch_id) if worker.dispatch_id else None
        if orphaned(worker, row, at):
            logger.warning("worker works for nobody", extra={"worker": worker.worker_id})
            self.tasks.stop(worker.task_arn, "works for nobody")

    def _heal_row(self, row: Dispatch, alive: set[str], at: datetime) -> None:
        if row.status is Status.PENDING:
            if at >= row.queue_deadline:
                self._expire(row, at)
            return
        if overdue(row, at) or self._abandoned(row, alive, at):
            self._close(row.id, at)
        elif cancel_ignored(row, at):
            self._stop_worker_of(row)

    def _close(self, dispatch_id: str, at: datetime) -> None:
        row = self.dispatches.get(dispatch_id)  # the index may lag
        if row and (reason := overdue(row, at) or self._gone(row)):
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

    def _abandoned(self, row: Dispatch, alive: set[str], at: datetime) -> bool:
        """Say whether the row's worker has ended, although nobody closed the row."""
        settled = at - (row.provisioning_at or at) >= SETTLING
        return settled and row.worker_id not in alive and self._gone(row) is not None

    def _gone(self, row: Dispatch) -> Reason | None:
        worker = self.workers.get(row.worker_id) if row.worker_id else None
        if worker and worker.worker_state is not WorkerState.ENDED:
            return None
        return Reason.of(ReasonCode.WORKER_LOST, "The worker is gone.")

    def _stop_worker_of(self, row: Dispatch) -> None:
        worker = self.workers.get(row.worker_id) if row.worker_id else None
        if worker:
            logger.warning("worker ignores a cancel", extra={"worker": worker.worker_id, "dispatch": row.id})
            self.tasks.stop(worker.task_arn, "cancelled")

    def _wake(self, rows: Iterable[Dispatch], workers: Iterable[Worker], at: datetime) -> None:
        """Wake-ups may be lost: while work waits beside idle workers, send some again."""
        for agent in self.agents:
            waiting = sum(
                row.status is Status.PENDING and row.spec.agent is agent and at - row.queued_at > SETTLING
                for row in rows
            )
            idle = sum(worker.live_agent is agent and worker.worker_state is WorkerState.IDLE for worker in workers)
            for _ in range(min(waiting, idle)):
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
