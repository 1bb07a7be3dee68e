"""What a record of the dispatches' stream says to those who follow it. Pure, but for the environment's name."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dispatch_changes.audit import audit_record
from dispatch_changes.metrics import Measurement, measurements
from outpost.domain.dispatch import Dispatch
from outpost.domain.usage_event import dispatch_ended
from outpost.names import Env
from outpost.store.database import from_attributes
from outpost.store.rows import details_key, row_from


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
