"""The tables: keys, indexes and who reads them. The constructs create exactly these; the store queries exactly these.

Every table has the string keys `pk` and `sk`, and a TTL attribute `expires_at` (epoch seconds).

The items of each table, and their keys, are those of `outpost.store.keys`.

What a decision depends on is a partition of a table, read consistently: the queue of an agent, its living workers, a
tenant's slots. An index follows its table late, by seconds under load, so indexes only list (docs/adr/0013).
"""

from dataclasses import dataclass

PARTITION_KEY = "pk"
SORT_KEY = "sk"
TTL_ATTRIBUTE = "expires_at"


@dataclass(frozen=True)
class Index:
    """A global secondary index of all attributes. Sparse ones hold only the items that carry the hash attribute."""

    name: str
    hash_key: str
    range_key: str


@dataclass(frozen=True)
class Table:
    """A table of the store: its name in code and templates, and its indexes."""

    name: str
    indexes: tuple[Index, ...] = ()
    stream: bool = False
    """Changes start a function: new dispatches the planner, deleted workspaces the reaper."""


BY_TENANT = Index("by-tenant", "tenant_id", "id")
"""A tenant's dispatches, newest last: the list."""
BY_ACTIVE = Index("by-active", "active_shard", "id")
"""Live dispatches only, in `ACTIVE_SHARDS` partitions: the reconciler's cost grows with live rows, not with history."""
KEYS_BY_TENANT = Index("by-tenant", "tenant_id", "pk")
"""A tenant's API keys."""

ACTIVE_SHARDS = 8

DISPATCHES = Table("dispatches", (BY_TENANT, BY_ACTIVE), stream=True)
TENANTS = Table("tenants", (KEYS_BY_TENANT,))
WORKERS = Table("workers")
QUEUES = Table("queues")
WORKSPACES = Table("workspaces", stream=True)
