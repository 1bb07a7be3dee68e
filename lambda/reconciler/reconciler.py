"""One pass of the reconciler: heals what events missed, through the same state machine, so it may race with all."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from aws_lambda_powertools import Logger

from outpost.domain.agents import Agent
from outpost.fleet.metrics import emit
from outpost.names import Metric
from reconciler.decisions import SETTLING
from reconciler.progress import Parts, Progress
from reconciler.row_check import RowCheck
from reconciler.silence import Listening
from reconciler.worker_check import WorkerCheck

logger = Logger(service="reconciler")

FOR_WORKERS = 0.6
"""The share of a pass's time after which workers leave the rest to the rows."""


@dataclass(frozen=True)
class Reconciler:
    """Passes through workers and active rows, at any number of them: each continues where the last one stopped."""

    parts: Parts
    holder: str
    """The invocation; it has taken over from one that may still run."""

    def run(self, until: datetime) -> None:
        """Make one pass, up to a time. Raises `TakenOverError`, and `ExceptionGroup` when some could not be healed."""
        state = self.parts.snapshot.state(self.holder)
        began = self.parts.now()
        progress = Progress(self.parts.now, began + FOR_WORKERS * (until - began), state.number)
        observed = self.parts.snapshot.observations(state)
        workers = WorkerCheck(self.parts, progress, Listening(state, observed, began, self.parts.broker_responds))
        heard = progress.attempt(lambda: workers.run(state.worker), "workers")
        progress.until = until
        rows = RowCheck(self.parts, progress, state.row)
        progress.attempt(rows.run, "rows")
        progress.attempt(lambda: self._wake(workers.idle, began), "wake-ups")
        if heard:
            self._save(workers, rows)
        progress.finish()

    def _save(self, workers: WorkerCheck, rows: RowCheck) -> None:
        """Keep what the next pass needs; a pass that could not read all workers' rows has observed nothing."""
        listening = workers.listening
        emit(Metric.FLEET_SILENCE, int(listening.mute))
        if listening.mute:
            logger.error("nearly no worker is heard", extra={"paused": listening.paused})
        state, observed = listening.result(complete=workers.last is None)
        done = {"worker": workers.last, "row": rows.last, "ended_at": self.parts.now()}
        self.parts.snapshot.save(state.model_copy(update=done), observed)

    def _wake(self, idle: Counter[Agent], at: datetime) -> None:
        """Wake-ups may be lost: while work waits beside idle workers, send some again."""
        for agent in self.parts.store.agents:
            for _ in range(self.parts.store.dispatches.live.waiting(agent, at - SETTLING, idle[agent])):
                self.parts.store.wakeups.send(agent)
