"""A dispatch row as an item of DynamoDB, and back."""

import zlib

from outpost.domain.dispatch import Dispatch, Status
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
    pending = row.status is Status.PENDING
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
            "queue": row.spec.agent if pending else None,
            "queue_key": f"{row.tenant_id}#{row.id}" if pending else None,
            "expires_at": row.expires_at,
            "document": row.model_dump_json(exclude_none=True),
        },
    )


def row_from(item: Item) -> Dispatch:
    """Return the row that an item holds."""
    return Dispatch.model_validate_json(item["document"])


def row_of(image: Item) -> Dispatch:
    """Return the row whose encoded item a stream record shows."""
    return row_from(from_attributes(image))
