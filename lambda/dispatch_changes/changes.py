"""What a record of the dispatches' stream says to those who follow it. Pure, but for the environment's name."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.usage_event import dispatch_ended
from outpost.names import Env, Metric
from outpost.store.database import from_attributes
from outpost.store.rows import details_key, row_from


class Measurement(NamedTuple):
    """A value of a metric; `dimensions` are those besides the environment."""

    metric: Metric
    value: float
    dimensions: dict[str, str]


@dataclass(frozen=True)
class Change:
    """A change of a dispatch's state."""

    audit: dict[str, Any]
    """Who, what and when."""
    measurements: list[Measurement]
    """What it adds to metrics."""
    ended: dict[str, Any] | None
    """The event for the bus, when the dispatch has ended; its tags are None where the row does not have them."""

    @classmethod
    def of(cls, record: dict[str, Any]) -> Iterator["Change"]:
        """Yield the change, or nothing for a change of anything else, such as progress.

        Raises `KeyError` and `ValueError` for what is no record of a row.
        """
        audit = audit_record(record)
        if audit is None:
            return
        item = from_attributes(record["dynamodb"]["NewImage"])
        row = row_from(item)
        yield cls(audit, list(measurements(row)), _event(row, whole=details_key(item) is None))


def _event(row: Dispatch, *, whole: bool) -> dict[str, Any] | None:
    if not row.status.terminal:
        return None
    event = dispatch_ended(row, os.environ[Env.ENVIRONMENT]).model_dump(mode="json", by_alias=True)
    return event if whole else event | {"tags": None}


def audit_record(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return who, what and when of a change of state; None for a change of anything else, such as progress."""
    change = record["dynamodb"]
    new, old = change["NewImage"], change.get("OldImage")
    status, before = new["status"]["S"], old["status"]["S"] if old else None
    if status == before:
        return None
    row = json.loads(new["document"]["S"])
    reason = row.get("reason") or {}
    return {
        "audit": "state",
        "id": record["eventID"],
        "time": datetime.fromtimestamp(change["ApproximateCreationDateTime"], UTC).isoformat(),
        "tenant": row["tenant_id"],
        "dispatch": row["id"],
        "key": row["created_by"],
        "before": before,
        "status": status,
        "version": row["version"],
        "attempt": row["attempt"],
        "worker": row.get("worker_id"),
        "outcome": reason.get("code"),
    }


def measurements(row: Dispatch) -> Iterator[Measurement]:
    """Yield what this state of a row adds to metrics. A delivery that is repeated counts twice, which is rare."""
    agent = {"Agent": str(row.spec.agent)}
    # Later writes of the same claim bring progress or a wish to cancel.
    if row.status is Status.PROVISIONING and row.provisioning_at and not (row.progress or row.cancel_requested_at):
        yield Measurement(Metric.CLAIM_LATENCY, (row.provisioning_at - row.queued_at).total_seconds(), agent)
    if row.status.terminal and row.reason:
        yield Measurement(Metric.OUTCOMES, 1, {"Reason": str(row.reason.code)})
        if row.running_at and row.ended_at:
            yield Measurement(Metric.RUN_TIME, (row.ended_at - row.running_at).total_seconds(), agent)
