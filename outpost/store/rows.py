"""A dispatch row as an item of DynamoDB, and back."""

import zlib

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch
from outpost.store.database import Item, from_attributes, to_attributes
from outpost.store.schema import ACTIVE_SHARDS, ROW

AFTER_IDS = "~"
"""Sorts after every id."""


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
            "status": row.status,
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


def row_of(image: Item) -> Dispatch:
    """Return the row whose encoded item a stream record shows."""
    return row_from(from_attributes(image))
