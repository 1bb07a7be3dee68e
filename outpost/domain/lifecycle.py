"""The one state machine of a dispatch: pure, exactly the edges of the contract.

    pending -> provisioning -> running -> completing -> success | failed | timeout | cancelled

Worker, reconciler and task events race; each applies an event to the row it read and writes the result by
compare-and-set. Who loses the race reads again, and the machine refuses what is no longer possible.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from outpost.domain.collection import Collection
from outpost.domain.dispatch import MAX_ATTEMPTS, Dispatch, Lease, Status, Usage
from outpost.domain.findings import Findings, Release
from outpost.domain.reasons import Reason, ReasonCode

EDGES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.PROVISIONING, Status.CANCELLED, Status.FAILED}),
    Status.PROVISIONING: frozenset({Status.RUNNING, Status.PENDING, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: frozenset({Status.COMPLETING, Status.PENDING, Status.TIMEOUT, Status.CANCELLED, Status.FAILED}),
    Status.COMPLETING: frozenset({Status.SUCCESS, Status.FAILED, Status.TIMEOUT}),
    **{status: frozenset[Status]() for status in Status if status.terminal},
}

_OF_AN_ATTEMPT = ("worker_id", "secret_sha256", "slot", "provisioning_at", "running_at", "progress")
PROGRESS_BYTES = 300
"""What a line of progress takes of a row, at most: it changes every few seconds, so the row itself has it."""


class TransitionError(Exception):
    """An event cannot apply to the row as it is now; nothing was changed."""


class StaleLeaseError(TransitionError):
    """The event comes from a worker that no longer holds the dispatch."""


@dataclass(frozen=True)
class Claim:
    """A worker takes a pending dispatch and one of the tenant's slots."""

    worker_id: str
    slot: int
    at: datetime
    secret_sha256: str | None = None

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        return row.model_copy(
            update={
                "status": Status.PROVISIONING,
                "attempt": row.attempt + 1,
                "worker_id": self.worker_id,
                "secret_sha256": self.secret_sha256,
                "slot": self.slot,
                "provisioning_at": self.at,
                **dict.fromkeys(("log_tail", "findings", "collection")),
            }
        )


@dataclass(frozen=True)
class Start:
    """The agent process started; the time limit counts from here."""

    lease: Lease
    at: datetime

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        return row.model_copy(update={"status": Status.RUNNING, "running_at": self.at})


@dataclass(frozen=True)
class Progress:
    """The agent says how far it is; what is over `PROGRESS_BYTES` is left out."""

    lease: Lease
    text: str

    def __post_init__(self) -> None:
        """Shorten the text."""
        object.__setattr__(self, "text", _shortened(self.text))

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        return row.model_copy(update={"progress": self.text})


@dataclass(frozen=True)
class Grant:
    """The attempt may spend `allowed` micro-dollars in total; `taken` of them come from the budgets of a month."""

    lease: Lease
    allowed: int
    taken: int
    month: str

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        return row.model_copy(update={"spending": row.spending.grant(self.allowed, self.taken, self.month)})


@dataclass(frozen=True)
class Finish:
    """The agent ended; its results are being uploaded."""

    lease: Lease
    exit_code: int | None
    at: datetime

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        finished = {"status": Status.COMPLETING, "completing_at": self.at, "exit_code": self.exit_code}
        return row.model_copy(update=finished)


@dataclass(frozen=True)
class Report:
    """The outcome, from the worker that holds the lease or read from its summary after it went."""

    lease: Lease
    outcome: Status
    reason: Reason
    at: datetime
    exit_code: int | None = None
    usage: Usage | None = None
    log_tail: str | None = None
    findings: Findings | None = None
    collection: Collection | None = None

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        if not self.outcome.terminal:
            raise TransitionError(f"a report names a terminal state, not {self.outcome}")
        # Who asked knows why; the worker only knows that it was asked.
        reason = cancellation(row.cancel_reason) if self.outcome is Status.CANCELLED else self.reason
        left = _left_by(self)
        if self.outcome is Status.SUCCESS:
            left["log_tail"] = None
        exit_code = row.exit_code if self.exit_code is None else self.exit_code
        return _end(row, self.outcome, reason, self.at, left | {"exit_code": exit_code, "usage": self.usage})


@dataclass(frozen=True)
class Lose:
    """The worker that held this lease is gone: it stopped, its heartbeat did, or it is over its time."""

    lease: Lease
    reason: Reason
    at: datetime
    log_tail: str | None = None
    findings: Findings | None = None
    collection: Collection | None = None

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        # Its last checkpoint can be read until there is another attempt, whatever becomes of the dispatch.
        left = _left_by(self)
        if row.status in (Status.PROVISIONING, Status.RUNNING) and row.cancel_requested_at is not None:
            return _end(row, Status.CANCELLED, cancellation(row.cancel_reason), self.at, left)
        if row.status is Status.RUNNING and self.reason.code is ReasonCode.TIME_LIMIT:
            return _end(row, Status.TIMEOUT, self.reason, self.at, left)
        if _may_retry(row):
            return row.model_copy(
                update={
                    **dict.fromkeys(_OF_AN_ATTEMPT),
                    "status": Status.PENDING,
                    "queued_at": self.at,
                    "spending": row.spending.next_attempt(),
                    **left,
                }
            )
        return _end(row, Status.FAILED, self.reason, self.at, left)


@dataclass(frozen=True)
class ReleaseWithheld:
    """A key with the scope releases what is withheld: the only event of a dispatch that has ended."""

    release: Release


@dataclass(frozen=True)
class Cancel:
    """The client asked for the end."""

    reason: str | None
    at: datetime

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        if row.status is Status.PENDING:
            return _end(row, Status.CANCELLED, cancellation(self.reason), self.at)
        if row.status is Status.COMPLETING:
            raise _refusal(row, self)
        return row.model_copy(update={"cancel_requested_at": self.at, "cancel_reason": self.reason})


@dataclass(frozen=True)
class Expire:
    """Nobody claimed it within its queue timeout; the reason says why."""

    reason: Reason
    at: datetime
    queued_at: datetime | None = None
    """When the wait began that is over: a dispatch that became pending again since has another. None: any."""

    def follow(self, row: Dispatch) -> Dispatch:
        """Return the row that follows."""
        if row.status is not Status.PENDING or self.queued_at not in (None, row.queued_at):
            raise _refusal(row, self)
        return _end(row, Status.FAILED, self.reason, self.at)


Event = Claim | Start | Progress | Grant | Finish | Report | Lose | Cancel | Expire | ReleaseWithheld


def apply(row: Dispatch, event: Event) -> Dispatch:
    """Return the row that follows from `event`, its version one higher.

    Raises `StaleLeaseError` when the event's lease is not the live one, `TransitionError` when the state forbids it.
    """
    if isinstance(event, ReleaseWithheld):
        return _release(row, event)
    if row.status.terminal:
        raise _refusal(row, event)
    lease = getattr(event, "lease", None)
    if lease is not None and lease != row.lease:
        raise StaleLeaseError(f"{type(event).__name__} shows the lease {lease}, but the live one is {row.lease}")
    changed = event.follow(row)
    noted = isinstance(event, Cancel | Progress | Grant) and changed.status is row.status
    if not noted and changed.status not in EDGES[row.status]:
        raise _refusal(row, event)
    return changed.model_copy(update={"version": row.version + 1})


def _release(row: Dispatch, event: ReleaseWithheld) -> Dispatch:
    if not row.status.terminal or not row.withheld:
        raise _refusal(row, event)
    reason = row.reason
    if reason is not None and reason.code is ReasonCode.SECRET_IN_OUTPUT:
        reason = reason.model_copy(update={"remedy": f"Nothing to do: it was released by {event.release.by}."})
    return row.model_copy(update={"released": event.release, "reason": reason, "version": row.version + 1})


def _refusal(row: Dispatch, event: Event) -> TransitionError:
    return TransitionError(f"{type(event).__name__} is not possible: dispatch {row.id} is {row.status}")


def _shortened(line: str) -> str:
    """Return the beginning of a line that takes at most `PROGRESS_BYTES` in the row's JSON."""
    sizes = accumulate(len(json.dumps(character, ensure_ascii=False).encode()) - 2 for character in line)
    return "".join(character for character, size in zip(line, sizes, strict=True) if size <= PROGRESS_BYTES)


def _may_retry(row: Dispatch) -> bool:
    """Before the agent started a retry is free of side effects; later only the client can know."""
    if row.attempt >= MAX_ATTEMPTS:
        return False
    return row.status is Status.PROVISIONING or (row.status is Status.RUNNING and row.spec.retryable)


def _left_by(event: Report | Lose) -> dict[str, Any]:
    return {"log_tail": event.log_tail, "findings": event.findings, "collection": event.collection}


def _end(
    row: Dispatch, outcome: Status, reason: Reason, at: datetime, left: Mapping[str, Any] | None = None
) -> Dispatch:
    return row.model_copy(update={"status": outcome, "reason": reason, "ended_at": at, "slot": None, **(left or {})})


def cancellation(why: str | None) -> Reason:
    """Return the reason of a dispatch that a client has cancelled, who may have said why."""
    return Reason.of(ReasonCode.CANCELLED_BY_USER, f"Cancelled: {why}" if why else "Cancelled on request.")
