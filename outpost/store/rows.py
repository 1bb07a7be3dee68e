"""A dispatch row as an item of DynamoDB, and back."""

import zlib
from datetime import datetime
from typing import NamedTuple

from outpost.domain.agents import Agent
from outpost.domain.deadlines import due_at
from outpost.domain.dispatch import Dispatch, Status
from outpost.store.database import Item, from_attributes, to_attributes
from outpost.store.schema import ACTIVE_SHARDS, ROW

AFTER_IDS = "~"
"""Sorts after every id."""


class RowState(NamedTuple):
    """What the sweep has to know of a row, without its document."""

    id: str
    tenant_id: str
    agent: Agent
    status: Status
    worker_id: str | None
    attempt: int
    due_at: datetime
    """From when on the sweep has to act on it (`outpost.domain.deadlines`)."""

    @classmethod
    def of(cls, row: Dispatch) -> "RowState":
        """Return the state of a row."""
        return cls(row.id, row.tenant_id, row.spec.agent, row.status, row.worker_id, row.attempt, due_at(row))


def key_of(dispatch_id: str) -> tuple[str, str]:
    """Return the partition and the sort key of a row."""
    return f"DISPATCH#{dispatch_id}", ROW


def item_of(row: Dispatch) -> Item:
    """Return the item of a row: its keys, what conditions and indexes read, and the row itself as a document."""
    live = None if row.status.terminal else str(zlib.crc32(row.id.encode()) % ACTIVE_SHARDS)
    pk, sk = key_of(row.id)
    return to_attributes(
        {
            "pk": pk,
            "sk": sk,
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
            "document": row.model_dump_json(exclude_none=True),
        },
    )


def queue_entry_key(row: Dispatch) -> tuple[str, str]:
    """Return the partition and the sort key of a pending row's entry in its agent's queue."""
    return queue_of(row.spec.agent), f"{row.tenant_id}#{row.id}"


def queue_of(agent: Agent) -> str:
    """Return the partition of an agent's queue. Sort keys are `<tenant>#<id>`: a claim steps from tenant to tenant."""
    return f"QUEUE#{agent}"


def queue_entry(row: Dispatch) -> Item:
    """Return the item of a pending row in its agent's queue; it expires with the row."""
    pk, sk = queue_entry_key(row)
    return to_attributes({"pk": pk, "sk": sk, "queued_at": row.queued_at.isoformat(), "expires_at": row.expires_at})


def row_from(item: Item) -> Dispatch:
    """Return the row that an item holds."""
    return Dispatch.model_validate_json(item["document"])


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


def row_of(image: Item) -> Dispatch:
    """Return the row whose encoded item a stream record shows."""
    return row_from(from_attributes(image))
