"""The tables: keys, indexes and who reads them. The constructs create exactly these; the store queries exactly these.

Every table has the string keys `pk` and `sk`, and a TTL attribute `expires_at` (epoch seconds).

| table | items |
|---|---|
| dispatches | `DISPATCH#<id>`/`DISPATCH` the row, `DISPATCH#<id>`/`TASK` its text, |
| | `DISPATCH#<id>`/`DETAILS#<digest>` what does not fit into the row, never changed, |
| | `DISPATCH#<id>`/`COUNTED` once its usage is counted, |
| | `IDEMPOTENCY#<tenant>#<key>`/`IDEMPOTENCY`, `DAY#<tenant>#<date>`/`<shard>`, |
| | `MONTH#<tenant>#<month>`/`TOTAL` what is committed of the budgets, `*` for all tenants, |
| | `USAGE#<tenant>#<month>`/`<day>#<agent>#<model>`, `USAGE#*#<month>`/`<day>#<agent>#<model>#<tenant>`, |
| | `TAG#<tenant>#<month>#<key>`/`<day>#<agent>#<model>#<digest of the value>` |
| tenants | `TENANT#<id>`/`TENANT`, `KEY#<sha256>`/`KEY`, `RATE#<sha256>`/`<minute>`, `SECRETS#<tenant>`/`<name>`, |
| | `LINK#<id>`/`LINK` |
| workers | `WORKERS#<agent>`/`<id>` while it lives, `ENDED#<id>`/`WORKER` for a day after, |
| | `TENANT#<id>`/`SLOT#<nnn>`, `INTENT#<agent>`/`<batch>`, `~failure`, |
| | `LEASE#planner`/`LEASE`, `RATE`, `CURSOR`, `SWEEP`/`STATE`, `OBSERVATIONS#<nnnn>` |
| queues | `QUEUE#<agent>`/`<tenant>#<id>` for each pending dispatch; entries are deleted, rows of dispatches never; |
| | `TURN#<agent>`/`TURN` the tenant behind which the next claim begins |
| workspaces | `TENANT#<tenant>`/`WORKSPACE#<id>`, `PLACES#<tenant>`/`<nnn>`, `SAVES#<tenant>`/`SAVES` |

What a decision depends on is a partition of a table, read consistently: the queue of an agent, its living workers, a
tenant's slots. An index follows its table late, by seconds under load, so indexes only list (docs/adr/0013).
"""

from dataclasses import dataclass

PARTITION_KEY = "pk"
SORT_KEY = "sk"
TTL_ATTRIBUTE = "expires_at"
ROW = "DISPATCH"
"""Sort key of the dispatch row: the stream's filter lets only these items reach the planner."""

DETAILS = "DETAILS#"
"""Begins the sort key of the item with what does not fit into the row."""


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
"""Live dispatches only, in `ACTIVE_SHARDS` partitions: the sweep's cost grows with live rows, never with history."""
KEYS_BY_TENANT = Index("by-tenant", "tenant_id", "pk")
"""A tenant's API keys."""

ACTIVE_SHARDS = 8

DISPATCHES = Table("dispatches", (BY_TENANT, BY_ACTIVE), stream=True)
TENANTS = Table("tenants", (KEYS_BY_TENANT,))
WORKERS = Table("workers")
QUEUES = Table("queues")
WORKSPACES = Table("workspaces", stream=True)
