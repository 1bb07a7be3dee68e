"""The dispatches that have not ended: the queues of the pending ones, and all of them by a sparse index."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby, islice
from typing import NamedTuple

from outpost.domain.agents import Agent
from outpost.domain.deadlines import RowState
from outpost.domain.dispatch import Dispatch
from outpost.store import keys
from outpost.store.database import Database, Item, expression_values
from outpost.store.rows import row_from, state_from
from outpost.store.schema import ACTIVE_SHARDS, BY_ACTIVE

_STATE = ("id", "tenant_id", "agent", "status", "worker_id", "attempt", "due_at")
_ENTRIES = 1_000
"""Entries of a queue that one call reads, of about 150 bytes each."""


class QueueEntry(NamedTuple):
    """A pending dispatch, and since when it is pending."""

    dispatch_id: str
    queued_at: datetime


class TenantQueue(NamedTuple):
    """A tenant with pending dispatches for an agent, and the ids of the oldest ones that may be claimed now."""

    tenant_id: str
    ids: list[str]


_PAGE = 32
"""Queue entries read at a time: a kilobyte or two, whether of one tenant or of 32."""
_POSTPONED_READ = 256
"""Entries to wait for that a look at a queue passes over: those behind more are found when they need wait no longer."""


class LiveDispatches:
    """Reads queues, exactly, and lists what is live. What they cost never grows with history."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def queued(self, agent: Agent, tenant_id: str, *, limit: int, at: datetime | None = None) -> list[str]:
        """Return the ids of a tenant's oldest pending dispatches for an agent; with a time, those that may be claimed.

        See `Dispatches.postpone` for those that may not, of which at most `_POSTPONED_READ` are read.
        """
        items = self._db.query(
            self._db.queues,
            "pk = :pk AND begins_with(sk, :sk)",
            keys.queue_entry(agent, tenant_id)._asdict(),
            limit=limit if at is None else limit + _POSTPONED_READ,
            page_size=max(limit, _PAGE),
        )
        ready = (keys.queued(item["sk"]).dispatch_id for item in items if at is None or _ready(item, at))
        return list(islice(ready, limit))

    def queues(self, agent: Agent, at: datetime, behind: str = "", until: str | None = None) -> Iterator[TenantQueue]:
        """Yield the tenants with pending dispatches for an agent, those behind one, up to `until`.

        A page of entries is read at a time, which has many tenants or one; behind a long queue the next page begins
        with the next tenant.
        """
        after, last = keys.after_tenant(behind), keys.AFTER_IDS if until is None else keys.after_tenant(until)
        while True:
            values = {"queue": keys.queue_entry(agent).pk, "after": after, "last": last}
            condition = "pk = :queue AND sk BETWEEN :after AND :last"
            page = list(self._db.query(self._db.queues, condition, values, limit=_PAGE))
            for tenant_id, items in groupby(page, key=lambda item: keys.queued(item["sk"]).tenant_id):
                yield TenantQueue(tenant_id, [keys.queued(i["sk"]).dispatch_id for i in items if _ready(i, at)])
                after = keys.after_tenant(tenant_id)
            if len(page) < _PAGE:
                return

    def queue(self, agent: Agent) -> list[QueueEntry]:
        """Return all pending dispatches for an agent."""
        items = self._db.query(self._db.queues, "pk = :queue", {"queue": keys.queue_entry(agent).pk})
        return [QueueEntry(keys.queued(i["sk"]).dispatch_id, datetime.fromisoformat(i["queued_at"])) for i in items]

    def position(self, row: Dispatch, at_most: int) -> int:
        """Return a pending row's place among its tenant's for the same agent, from 1, counting to `at_most`."""
        # The row may have been claimed since it was read.
        return max(1, self._count_queued(row.spec.agent, row.tenant_id, row.id, at_most))

    def pending(self, agent: Agent, tenant_id: str, at_most: int) -> int:
        """Count a tenant's pending dispatches for an agent, up to `at_most`."""
        return self._count_queued(agent, tenant_id, keys.AFTER_IDS, at_most)

    def _count_queued(self, agent: Agent, tenant_id: str, last_id: str, at_most: int) -> int:
        queue, first = keys.queue_entry(agent, tenant_id)
        values = {"queue": queue, "first": first, "last": keys.queue_entry(agent, tenant_id, last_id).sk}
        return self._count("pk = :queue AND sk BETWEEN :first AND :last", values, at_most)

    def pending_of_all(self, agent: Agent, at_most: int) -> int:
        """Count all pending dispatches for an agent, up to `at_most`."""
        return self._count("pk = :queue", {"queue": keys.queue_entry(agent).pk}, at_most)

    def count(self, at_most: int) -> int:
        """Count the dispatches that have not ended, up to `at_most` a shard; those of the last seconds may miss."""
        condition = "active_shard = :shard"
        return sum(self._count(condition, {"shard": str(n)}, at_most, BY_ACTIVE.name) for n in range(ACTIVE_SHARDS))

    def _count(self, condition: str, values: dict[str, str], at_most: int, index: str | None = None) -> int:
        response = self._db.client.query(
            TableName=self._db.dispatches if index else self._db.queues,
            **({"IndexName": index} if index else {"ConsistentRead": True}),
            KeyConditionExpression=condition,
            ExpressionAttributeValues=expression_values(values),
            Select="COUNT",
            Limit=at_most,
        )
        return response["Count"]

    def tenants(self, agent: Agent, behind: str = "") -> Iterator[str]:
        """Yield the tenants with pending dispatches for an agent, those behind one in the order of `<tenant>#`.

        One query each, however long their queues.
        """
        after = keys.after_tenant(behind)
        while True:
            items = self._db.query(
                self._db.queues,
                "pk = :queue AND sk > :after",
                {"queue": keys.queue_entry(agent).pk, "after": after},
                limit=1,
            )
            item = next(items, None)
            if item is None:
                return
            tenant_id = keys.queued(item["sk"]).tenant_id
            yield tenant_id
            after = keys.after_tenant(tenant_id)

    def page(self, shard: int, after: str, limit: int) -> list[RowState]:
        """Return dispatches of a shard that have not ended, with ids above `after`, as the index shows them: late.

        A new one may miss, one that has changed since may be shown as it was: read a row again before acting on it.
        """
        items = self._db.query(
            self._db.dispatches,
            "active_shard = :shard AND id > :after",
            {"shard": str(shard), "after": after},
            index=BY_ACTIVE.name,
            limit=limit,
            attributes=_STATE,
        )
        return self._states(items)

    def states(self, dispatch_ids: Iterable[str]) -> dict[str, RowState]:
        """Read the states of rows exactly, without their documents. One that is not there is left out."""
        items = self._db.get_many(self._db.dispatches, [keys.row(id_) for id_ in dispatch_ids], _STATE)
        return {state.id: state for state in self._states(items)}

    def _states(self, found: Iterable[Item]) -> list[RowState]:
        """Return the states that items hold. Those that an earlier release wrote without it are read, 100 at a time.

        One that is in an index but no longer in its table is left out.
        """
        items = list(found)
        bare = [keys.row(item["id"]) for item in items if "due_at" not in item]
        rows = map(row_from, self._db.get_many(self._db.dispatches, bare, ("document",)))
        read = {row.id: RowState.of(row) for row in rows}
        return [state for item in items if (state := state_from(item) or read.get(item["id"]))]

    def without_entry(self, pending: Iterable[RowState]) -> list[RowState]:
        """Return those of some pending rows that have no entry in their agent's queue."""
        entries = {state: keys.queue_entry(state.agent, state.tenant_id, state.id) for state in pending}
        items = self._db.get_many(self._db.queues, list(entries.values()), ("pk", "sk"))
        queued = {(item["pk"], item["sk"]) for item in items}
        return [state for state, key in entries.items() if key not in queued]

    def waiting(self, agent: Agent, since: datetime, at_most: int) -> int:
        """Count the dispatches that have been pending for an agent since before a time, up to `at_most`."""
        if at_most < 1:
            return 0
        items = self._db.query(
            self._db.queues,
            "pk = :queue",
            {"queue": keys.queue_entry(agent).pk},
            page_size=_ENTRIES,
            attributes=("queued_at",),
        )
        old = (item for item in items if datetime.fromisoformat(item["queued_at"]) < since)
        return sum(1 for _ in islice(old, at_most))


class Turns:
    """An item for each agent in the queues table. It need not be exact: tenants are found from anywhere."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def behind(self, agent: Agent) -> str:
        """Return the tenant behind which to begin; empty at the first."""
        item = self._db.get(self._db.queues, *keys.turn(agent), consistent=False)
        return str(item["tenant_id"]) if item else ""

    def keep(self, agent: Agent, tenant_id: str) -> None:
        """Let the next claim begin behind a tenant."""
        self._db.put(self._db.queues, keys.turn(agent).item(tenant_id=tenant_id))


def _ready(entry: Item, at: datetime) -> bool:
    return "not_before" not in entry or datetime.fromisoformat(entry["not_before"]) <= at
