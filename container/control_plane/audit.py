"""The audit log of calls: one record for each authenticated request, written by a thread of its own.

Records wait in memory for a second at most and are written in batches (`outpost.fleet.audit_writer`), as a hash chain
of this replica's life. Its head is signed when the replica starts, every five minutes, and when it stops. A crash
loses what waits; the checkpoints say how many records that is at most.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

import structlog

from control_plane.telemetry import emit
from outpost.domain.audit import CHECKPOINT_PERIOD, Fields
from outpost.fleet.audit_writer import AuditClients, AuditPlace, AuditWriter, UndeliveredError
from outpost.names import Metric

logger = structlog.get_logger()

WAITING = 20_000
"""Records kept while neither CloudWatch Logs nor the audit bucket takes them; what comes then is lost, and counted."""
BATCH = 1_000
"""Records linked at once, of those that wait."""
PAUSE_SECONDS = 1.0
"""How long records are collected, and the wait after a failure."""
SIGN_AGAIN = 60_000
"""Milliseconds until a checkpoint that could not be signed is signed again."""
STOP_SECONDS = 25.0
"""How long a stop waits until all is written. The container's stop timeout leaves room for it."""


def milliseconds() -> int:
    """Return the time as CloudWatch Logs has it."""
    return time.time_ns() // 1_000_000


class AuditLog:
    """Takes records from the event loop; `record` never blocks and never raises."""

    def __init__(self, place: AuditPlace, clients: AuditClients, *, clock: Callable[[], int] = milliseconds) -> None:
        self._clock = clock
        self._writer = AuditWriter(
            place, clients, "calls", clock=clock, period=CHECKPOINT_PERIOD, waiting=WAITING + BATCH
        )
        self._recorded: deque[tuple[int, Fields]] = deque()
        # Each is counted by one thread only: those of `record`'s caller, and those of the writer.
        self._accepted = self._lost = 0
        self._linked = self._stored = self._lost_recorded = 0
        self._sign_at = 0
        self._hurry, self._ended = threading.Event(), False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Connect as the environment says."""
        return cls(AuditPlace.from_environment(), AuditClients.connect())

    def record(self, **fields: object) -> None:
        """Write a record, soon."""
        if len(self._recorded) >= WAITING:
            self._lost += 1
        else:
            self._accepted += 1
            self._recorded.append((self._clock(), fields))

    def start(self) -> None:
        """Begin to write."""
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Write all that was recorded and the last checkpoint, within some seconds."""
        self._stopping = True
        self._hurry.set()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            logger.error("the audit log was not written to its end", records=self.waiting)

    @property
    def waiting(self) -> int:
        """How many records are not stored yet."""
        return self._accepted - self._stored

    def _run(self) -> None:
        while not self._ended:
            self._hurry.wait(PAUSE_SECONDS)
            self._hurry.clear()
            self.write(stopping=self._stopping)

    def write(self, *, stopping: bool = False) -> None:
        """Write all that waits; sign the chain's head when that is due, or the replica stops."""
        while self.waiting or self._lost > self._lost_recorded:
            self._link()
            if not self._delivered(hurry=stopping):
                return
        if stopping:
            self._ended = self._signed(last=True)
        elif self._clock() >= max(self._writer.checkpoint_due, self._sign_at):
            self._signed()

    def _link(self) -> None:
        if self._writer.pending:
            return  # they wait, and those behind them as well
        taken = [self._recorded.popleft() for _ in range(min(len(self._recorded), BATCH))]
        self._linked = len(taken)
        if missing := self._lost - self._lost_recorded:
            self._lost_recorded += missing
            at = self._clock()
            time_ = datetime.fromtimestamp(at / 1000, UTC).isoformat()
            taken.append((at, {"audit": "lost", "time": time_, "records": missing}))
            emit(Metric.AUDIT_LOST, missing)
            logger.error("audit records are lost: more came than were written", records=missing)
        self._writer.add(taken)

    def _delivered(self, *, hurry: bool) -> bool:
        try:
            aside = self._writer.deliver(hurry=hurry)
        except UndeliveredError as error:
            oldest = (self._clock() - self._writer.pending[0].at) / 1000
            emit(Metric.AUDIT_WAITING, oldest)
            logger.warning("audit records wait", records=self.waiting, seconds=oldest, error=str(error))
            return False
        self._stored += self._linked
        if aside:
            emit(Metric.AUDIT_SET_ASIDE, aside)
            logger.warning("audit records were set aside: CloudWatch Logs did not take them", records=aside)
        return True

    def _signed(self, *, last: bool = False) -> bool:
        try:
            self._writer.checkpoint(last=last)
        except UndeliveredError as error:
            self._sign_at = self._clock() + SIGN_AGAIN
            emit(Metric.AUDIT_UNSIGNED, 1)
            logger.warning("a checkpoint of the audit log is late", error=str(error))
            return False
        return True
