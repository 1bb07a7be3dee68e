"""A dispatch row as an item of DynamoDB, and back."""

import zlib
from datetime import datetime

from outpost.domain.agents import Agent
from outpost.domain.deadlines import RowState, due_at
from outpost.domain.dispatch import Dispatch, Status
from outpost.store import keys
from outpost.store.database import Item, to_attributes
from outpost.store.keys import Key
from outpost.store.row_details import ROW_BYTES, completed, details_of, item_bytes, name_of, shortened, without_options
from outpost.store.schema import ACTIVE_SHARDS

_NONE = "none"
"""Value of `details` in a row that has all its texts itself. Releases before had no such attribute."""


def items_of(row: Dispatch) -> list[Item]:
    """Return the item of a row and, for one that would have `ROW_BYTES` or more, a second one with its details."""
    whole = _item(row, row, _NONE)
    if item_bytes(whole) < ROW_BYTES:
        return [whole]
    details = details_of(row)
    name = name_of(details)
    beside = keys.details(row.id, name).item(texts=details, expires_at=row.expires_at)
    item = _item(row, shortened(row), name)
    if item_bytes(item) >= ROW_BYTES:
        item = _item(row, without_options(shortened(row)), name)
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
    row = completed(item["document"], details["texts"], spec_only=name == _NONE)
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
