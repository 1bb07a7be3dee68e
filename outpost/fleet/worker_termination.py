"""The end of a worker: what it held is closed, and its row ends. ECS's event reports it, or the reconciler finds it."""

from datetime import datetime

from outpost.domain.agents import Agent
from outpost.domain.diagnosis import TaskStop, diagnose
from outpost.domain.dispatch import Lease
from outpost.domain.launches import LaunchFailure
from outpost.domain.workers import Worker, WorkerState
from outpost.fleet.metrics import emit
from outpost.fleet.recovery import Recovery
from outpost.names import Metric
from outpost.store.dispatches import Dispatches
from outpost.store.launches import Launches
from outpost.store.workers import Workers

CLEAN_EXITS = (0, 143)
"""A worker that never asked for work and yet ended well was stopped by us: 143 is SIGTERM."""


class WorkerTermination:
    """Handles the end of workers. An end may be reported twice, hours late, or to two functions at once."""

    def __init__(self, workers: Workers, dispatches: Dispatches, recovery: Recovery, launches: Launches) -> None:
        self._workers = workers
        self._dispatches = dispatches
        self._recovery = recovery
        self._launches = launches

    def handle(self, agent: Agent, worker_id: str, stop: TaskStop, at: datetime) -> None:
        """Close the dispatch that the worker held, and only then end its row: a retry after an error does all again.

        A worker is one task and claims once, so its row names the only attempt that its end can close.
        """
        worker = self._workers.get(agent, worker_id)
        if worker is None:
            return
        self.close(worker, stop)
        failed = worker.worker_state is WorkerState.STARTING and stop.exit_code not in CLEAN_EXITS
        if failed:
            failure = LaunchFailure(
                reason=diagnose(stop), launched_at=worker.launched_at, failed_at=stop.stopped_at or at
            )
            self._launches.failed(agent, failure, at)
        emit(Metric.START_FAILURES, int(failed), Agent=agent)
        self._workers.end(worker, at)

    def close(self, worker: Worker, stop: TaskStop) -> None:
        """Close the dispatch that the worker holds, if it still does; its row stays."""
        if worker.dispatch_id is None or worker.fencing_token is None:
            return
        row = self._dispatches.get(worker.dispatch_id)
        if row and row.lease == Lease(worker_id=worker.worker_id, token=worker.fencing_token):
            self._recovery.close(row, diagnose(stop, self._recovery.last_lines(row)))
