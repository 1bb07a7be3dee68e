"""What becomes of a dispatch whose worker is gone: its summary decides, where it left one; else it is lost."""

import logging

from outpost.domain.artifacts import tail_of
from outpost.domain.dispatch import Dispatch, Lease, Status
from outpost.domain.ids import now
from outpost.domain.lifecycle import Finish, Lose, Report, TransitionError
from outpost.domain.reasons import Reason
from outpost.store.artifacts import Artifacts
from outpost.store.dispatches import Dispatches

logger = logging.getLogger(__name__)


class Recovery:
    """Closes the attempt of a worker that will not report any more."""

    def __init__(self, dispatches: Dispatches, artifacts: Artifacts) -> None:
        self._dispatches = dispatches
        self._artifacts = artifacts

    def close(self, row: Dispatch, reason: Reason) -> Dispatch | None:
        """Give the row the outcome of the attempt's summary, or lose the attempt for `reason`.

        Returns None when another writer was quicker: the row then is as it should be.
        """
        if row.lease is None:
            return None
        try:
            return self._from_summary(row) or self._lose(row, row.lease, reason)
        except TransitionError as refused:
            logger.info("dispatch %s needs no recovery: %s", row.id, refused)
            return None

    def last_lines(self, row: Dispatch) -> list[str]:
        """Return what the attempt last logged."""
        return self._artifacts.last_lines(row)

    def _lose(self, row: Dispatch, lease: Lease, reason: Reason) -> Dispatch:
        tail = tail_of(self.last_lines(row)) or None
        findings, collection = self._artifacts.findings(row), self._artifacts.collection(row)
        lose = Lose(
            lease, reason, now(), tail, findings and findings.brief(), collection.brief() if collection else None
        )
        return self._dispatches.change(row.id, lose)

    def _from_summary(self, row: Dispatch) -> Dispatch | None:
        summary = self._artifacts.summary(row)
        lease = row.lease
        if summary is None or lease is None or (summary.worker_id, summary.attempt) != (lease.worker_id, lease.token):
            return None
        if row.status is Status.RUNNING and summary.outcome in (Status.SUCCESS, Status.FAILED):
            self._dispatches.change(row.id, Finish(lease, summary.exit_code, now()))
        report = Report(
            lease,
            summary.outcome,
            summary.reason,
            now(),
            summary.exit_code,
            summary.usage,
            summary.log_tail,
            summary.findings and summary.findings.brief(),
            summary.collection.brief(),
        )
        return self._dispatches.change(row.id, report)
