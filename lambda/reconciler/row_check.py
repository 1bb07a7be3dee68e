"""The part of a pass that goes through the dispatches that have not ended: queue timeouts, and rows that nobody holds.

Each active row has a counterpart: an entry in its agent's queue while it is pending, else the row of its worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aws_lambda_powertools import Logger

from outpost.domain.deadlines import RowState
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.lifecycle import Expire, TransitionError
from outpost.domain.reasons import Reason, ReasonCode
from outpost.store.keys import BEFORE_IDS
from outpost.store.schema import ACTIVE_SHARDS
from reconciler.progress import Parts, Progress

logger = Logger(service="reconciler")

PAGE = 500
"""Rows that are read and handled together."""


@dataclass
class RowCheck:
    """Goes through the active rows page by page."""

    parts: Parts
    progress: Progress
    last: tuple[int, str] | None
    """Shard and id of the last row that was seen: by the pass before, then by this one; None when all were."""

    def run(self) -> None:
        """Continue behind the last row that was seen. A failure leaves `last` as it was."""
        shard, after = self.last or (0, BEFORE_IDS)
        while shard < ACTIVE_SHARDS:
            page = self.parts.store.dispatches.live.page(shard, after, PAGE)
            self._check(page, self.parts.now())
            shard, after = (shard, page[-1].id) if len(page) == PAGE else (shard + 1, BEFORE_IDS)
            if self.progress.over and shard < ACTIVE_SHARDS:
                self.last = shard, after
                return
        self.last = None

    def _check(self, page: Sequence[RowState], at: datetime) -> None:
        """Heal what has no counterpart. The page is from an index, which may lag: the row itself decides."""
        pending = [state for state in page if state.status is Status.PENDING]
        held = [state for state in page if state.status is not Status.PENDING and state.worker_id]
        alive = self.parts.store.workers.alive_of((state.agent, state.worker_id or "") for state in held)
        unqueued = set(self.parts.store.dispatches.live.without_entry(pending))
        late = [state for state in pending if state in unqueued or at >= state.due_at]
        self.progress.each(late, lambda state: self._check_pending(state, at))
        gone = [state for state in held if (state.agent, state.worker_id) not in alive]
        self.progress.each(gone, self._check_held)

    def _check_pending(self, state: RowState, at: datetime) -> None:
        dispatches = self.parts.store.dispatches
        row = dispatches.get(state.id)
        if row is None or row.status is not Status.PENDING:
            return
        if at >= row.queue_deadline:
            self._expire(row, at)
        elif dispatches.live.without_entry([RowState.of(row)]) and dispatches.queue_again(row.id):
            logger.warning("a pending dispatch was in no queue", extra={"dispatch": row.id})

    def _check_held(self, state: RowState) -> None:
        row = self.parts.store.dispatches.get(state.id)
        if row and row.lease and not self.parts.store.workers.alive_of([(row.spec.agent, row.lease.worker_id)]):
            logger.warning("a dispatch's worker is gone", extra={"dispatch": row.id})
            self.parts.store.recovery.close(row, Reason.of(ReasonCode.WORKER_LOST, "The worker is gone."))

    def _expire(self, row: Dispatch, at: datetime) -> None:
        failure = self.parts.store.launches.failure(row.spec.agent)
        waited = f"No worker was free within {row.spec.queue_timeout_seconds} s."
        reason = failure.reason if failure else Reason.of(ReasonCode.CAPACITY_UNAVAILABLE, waited)
        try:
            self.parts.store.dispatches.change(row.id, Expire(reason, at, row.queued_at))
        except TransitionError as refused:
            logger.info("not expired", extra={"dispatch": row.id, "why": str(refused)})
