"""A dispatch row as an item of DynamoDB, and back.

The row is written at each change of state and copied into two indexes, and the reconciler reads the rows of all live
dispatches. So it stays below `ROW_BYTES`: one that would not is written without its details, and names the item
that has them by their digest; that item is never changed. The row's other attributes suffice for the reconciler, the
planner and the stream's reader.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from outpost.domain.agents import Agent
from outpost.domain.deadlines import RowState, due_at
from outpost.domain.dispatch import Dispatch, Status
from outpost.domain.findings import Findings
from outpost.store import keys
from outpost.store.database import Item, to_attributes
from outpost.store.keys import Key
from outpost.store.schema import ACTIVE_SHARDS

ROW_BYTES = 4_096
"""What one strongly consistent read unit reads (DynamoDB Developer Guide, "DynamoDB read and write operations")."""
_SPEC_DETAILS = frozenset({"additional_secrets", "branch", "collect", "promotes", "tags"})
_DETAILS = frozenset({"cancel_reason", "collection", "findings", "log_tail", "reason", "released"})
_SHORT = 60
"""Characters of a message that stay in the row, for readers of the release before."""
_MOST_WITHHELD = 10
_NONE = "none"
"""Value of `details` in a row that has all its texts itself. Releases before had no such attribute."""


def items_of(row: Dispatch) -> list[Item]:
    """Return the item of a row and, for one that would have `ROW_BYTES` or more, a second one with its details."""
    whole = _item(row, row, _NONE)
    if item_bytes(whole) < ROW_BYTES:
        return [whole]
    details = _details_of(row)
    name = hashlib.sha256(details.encode()).hexdigest()[:16]
    beside = keys.details(row.id, name).item(texts=details, expires_at=row.expires_at)
    item = _item(row, shortened(row), name)
    if item_bytes(item) >= ROW_BYTES:
        item = _item(row, _without_options(shortened(row)), name)
    return [item, to_attributes(beside)]


def _item(row: Dispatch, shown: Dispatch, details: str) -> Item:
    """Return the row's item: its keys, what conditions and indexes read, and `shown` of it as a document."""
    live = None if row.status.terminal else str(zlib.crc32(row.id.encode()) % ACTIVE_SHARDS)
    return to_attributes(
        keys.row(row.id)._asdict()
        | {
            "id": row.id,
            "tenant_id": row.tenant_id,
            "agent": row.spec.agent,
            "status": row.status,
            "worker_id": row.worker_id,
            "attempt": row.attempt,
            "due_at": due_at(row).isoformat(),
            "version": row.version,
            "active_shard": live,
            "expires_at": row.expires_at,
            "details": details,
            "document": shown.model_dump_json(exclude_none=True),
        },
    )


def is_complete(item: Item) -> bool:
    """Return whether a row's item has all its texts.

    Not known, and so False, where a release wrote it that kept nothing beside rows: it may have dropped the name of
    what is there.
    """
    return item.get("details") == _NONE


def details_key(item: Item) -> Key | None:
    """Return the key of the item with the details of a row's item, if it names one."""
    name = item.get("details", _NONE)
    return None if name == _NONE else keys.details(item["id"], name)


def queue_entry_key(row: Dispatch) -> Key:
    """Return the key of a pending row's entry in its agent's queue."""
    return keys.queue_entry(row.spec.agent, row.tenant_id, row.id)


def queue_entry(row: Dispatch) -> Item:
    """Return the item of a pending row in its agent's queue, encoded; it expires with the row."""
    return to_attributes(queue_entry_key(row).item(queued_at=row.queued_at.isoformat(), expires_at=row.expires_at))


def row_from(item: Item, details: Item | None = None) -> Dispatch:
    """Return the row that an item holds, with its details when they are given; else they are cut or missing."""
    name = item.get("details", _NONE)
    if details is None:
        return Dispatch.model_validate_json(item["document"])
    row = _completed(item["document"], details["texts"], spec_only=name == _NONE)
    return row.model_copy(update={"details": name}) if name != _NONE else row


def state_from(item: Item) -> RowState | None:
    """Return the state that an item's attributes hold, or None for one that an earlier release wrote without them."""
    if "due_at" not in item:
        return None
    return RowState(
        id=item["id"],
        tenant_id=item["tenant_id"],
        agent=Agent(item["agent"]),
        status=Status(item["status"]),
        worker_id=item.get("worker_id"),
        attempt=int(item["attempt"]),
        due_at=datetime.fromisoformat(item["due_at"]),
    )


def item_bytes(item: Mapping[str, Any]) -> int:
    """Return the size of an item of texts, numbers, truth values and sets of texts, at most a few bytes too large.

    Source: DynamoDB Developer Guide, "DynamoDB item sizes and formats".
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Any) -> int:  # noqa: ANN401 - an attribute's type and value
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return len(content) // 2 + 2
        case "BOOL":
            return 1
    raise TypeError(f"a row has an attribute of type {kind}: count its size here")


def shortened(row: Dispatch) -> Dispatch:
    """Return the row without its tags and details; what is left of each has a fixed size."""
    reason = row.reason and row.reason.model_copy(
        update={"message": row.reason.message[:_SHORT], "remedy": row.reason.remedy[:_SHORT]}
    )
    return row.model_copy(
        update={
            "spec": row.spec.model_copy(update={"tags": {}}),
            "cancel_reason": None,
            "collection": None,
            # What is withheld stays withheld, also for readers of the release before.
            "findings": row.findings and Findings(withheld=row.findings.withheld[:_MOST_WITHHELD]),
            "log_tail": None,
            "reason": reason,
            "released": row.released and row.released.model_copy(update={"reason": row.released.reason[:_SHORT]}),
        }
    )


def _without_options(row: Dispatch) -> Dispatch:
    """Return the row without the options of its run that have no fixed size; the release before would miss them."""
    options = {"additional_secrets": (), "branch": None, "collect": (), "promotes": None}
    return row.model_copy(update={"spec": row.spec.model_copy(update=options)})


def _details_of(row: Dispatch) -> str:
    """Return the details of a row as JSON."""
    return row.model_dump_json(include={"spec": set(_SPEC_DETAILS)} | dict.fromkeys(_DETAILS, True), exclude_none=True)


def _completed(document: str, details: str, *, spec_only: bool) -> Dispatch:
    """Return the row of a shortened document and its details, or with those of its spec only."""
    row, longer = json.loads(document), json.loads(details)
    row["spec"] |= longer.pop("spec")
    return Dispatch.model_validate(row if spec_only else row | longer)
