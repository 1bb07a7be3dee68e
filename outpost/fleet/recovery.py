"""What becomes of a dispatch whose worker is gone: its summary decides, where it left one; else it is lost.

`summary.json` is written once (If-None-Match), by the worker or here. So a worker that stores a success while its
dispatch is being closed is either found here, or is refused by S3: nothing can be stored after one looked for it
and before the row is closed. (Amazon S3: "Conditional writes"; strong read-after-write consistency.)
"""

import logging
from collections.abc import Callable
from datetime import datetime

from outpost.domain import ids
from outpost.domain.artifacts import Summary, tail_of
from outpost.domain.collection import Collection
from outpost.domain.dispatch import Dispatch, Lease, Status, Usage
from outpost.domain.lifecycle import Event, Finish, Lose, Report, Start, TransitionError, apply
from outpost.domain.reasons import Reason
from outpost.store.artifacts import Artifacts
from outpost.store.dispatches import Dispatches

logger = logging.getLogger(__name__)


class Recovery:
    """Closes the attempt of a worker that will not report any more."""

    def __init__(self, dispatches: Dispatches, artifacts: Artifacts, now: Callable[[], datetime] = ids.now) -> None:
        self._dispatches = dispatches
        self._artifacts = artifacts
        self._now = now

    def close(self, row: Dispatch, reason: Reason) -> Dispatch | None:
        """Give the row the outcome of the attempt's summary, or lose the attempt for `reason`.

        Returns None when another writer was quicker: the row then is as it should be.
        """
        lease = row.lease
        if lease is None:
            return None
        lose = self._lose(row, lease, reason)
        try:
            summary = self._artifacts.settle_summary(row, _lost_summary(row, lose))
            if summary.lost or (summary.worker_id, summary.attempt) != (lease.worker_id, lease.token):
                return self._dispatches.change(row.id, lose)
            return self._follow(row.id, lease, summary, lose)
        except TransitionError as refused:
            logger.info("dispatch %s needs no recovery: %s", row.id, refused)
            return None

    def last_lines(self, row: Dispatch) -> list[str]:
        """Return what the attempt last logged."""
        return self._artifacts.last_lines(row)

    def _lose(self, row: Dispatch, lease: Lease, reason: Reason) -> Lose:
        tail = tail_of(self.last_lines(row)) or None
        findings, collection = self._artifacts.findings(row), self._artifacts.collection(row)
        return Lose(
            lease, reason, self._now(), tail, findings and findings.brief(), collection.brief() if collection else None
        )

    def _follow(self, dispatch_id: str, lease: Lease, summary: Summary, lose: Lose) -> Dispatch:
        """Apply what the summary says; lose the attempt when the row's state does not allow that."""
        row = self._dispatches.get(dispatch_id)
        for event in _events(row.status, lease, summary, self._now()) if row else ():
            try:
                row = self._dispatches.change(dispatch_id, event)
            except TransitionError as refused:
                logger.warning("dispatch %s cannot end as its summary says: %s", dispatch_id, refused)
                return self._dispatches.change(dispatch_id, lose)
        if row is None:
            raise LookupError(f"dispatch {dispatch_id} was deleted")
        return row


def _events(status: Status, lease: Lease, summary: Summary, at: datetime) -> list[Event]:
    """Return the events that lead from a live state to the outcome of a summary."""
    report = Report(
        lease,
        summary.outcome,
        summary.reason,
        at,
        summary.exit_code,
        summary.usage,
        summary.log_tail,
        summary.findings and summary.findings.brief(),
        summary.collection.brief(),
    )
    events: list[Event] = [report]
    begun = status in (Status.PROVISIONING, Status.RUNNING)
    if (begun and summary.outcome is Status.SUCCESS) or (status is Status.RUNNING and summary.outcome is Status.FAILED):
        events.insert(0, Finish(lease, summary.exit_code, at))
    if status is Status.PROVISIONING and summary.outcome in (Status.SUCCESS, Status.TIMEOUT):
        events.insert(0, Start(lease, summary.started_at or at))  # the worker's own request was lost
    return events


def _lost_summary(row: Dispatch, lose: Lose) -> Summary:
    """Return the summary of an attempt that is lost: the outcome that the dispatch has if nobody else changes it."""
    try:
        outcome = apply(row, lose).status
    except TransitionError:
        outcome = Status.FAILED
    return Summary(
        dispatch_id=row.id,
        tenant_id=row.tenant_id,
        attempt=row.attempt,
        worker_id=lose.lease.worker_id,
        agent=row.spec.agent,
        model_id=row.spec.model_id,
        repo=row.spec.repo,
        outcome=outcome if outcome.terminal else Status.FAILED,
        reason=lose.reason,
        exit_code=row.exit_code,
        started_at=row.running_at,
        ended_at=lose.at,
        usage=Usage(),
        log_tail=lose.log_tail,
        findings=lose.findings,
        collection=lose.collection or Collection(),
        lost=True,
    )
