"""The dispatches that have not ended, by the sparse indexes: what they cost grows with them, never with history."""

from collections.abc import Iterator

from outpost.domain.agents import Agent
from outpost.domain.dispatch import Dispatch
from outpost.store.database import Database, expression_values
from outpost.store.rows import AFTER_IDS, row_from
from outpost.store.schema import ACTIVE_SHARDS, BY_ACTIVE, BY_QUEUE, Index


class LiveDispatches:
    """Reads the queues of pending dispatches, and all that are live. An index may lag: who acts re-reads the row."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def queued(self, agent: Agent, tenant_id: str, *, limit: int) -> list[str]:
        """Return the ids of a tenant's oldest pending dispatches for an agent."""
        items = self._db.query(
            self._db.dispatches,
            "queue = :agent AND begins_with(queue_key, :tenant)",
            {"agent": agent, "tenant": f"{tenant_id}#"},
            index=BY_QUEUE.name,
            limit=limit,
        )
        return [item["queue_key"].partition("#")[2] for item in items]

    def position(self, row: Dispatch, at_most: int) -> int:
        """Return a pending row's place among its tenant's for the same agent, from 1, counting to `at_most`."""
        # The index may lag behind the row: whoever is not in it yet is at least the first.
        return max(1, self._count_queued(row.spec.agent, row.tenant_id, row.id, at_most))

    def pending(self, agent: Agent, tenant_id: str, at_most: int) -> int:
        """Count a tenant's pending dispatches for an agent, up to `at_most`."""
        return self._count_queued(agent, tenant_id, AFTER_IDS, at_most)

    def _count_queued(self, agent: Agent, tenant_id: str, last_id: str, at_most: int) -> int:
        condition = "queue = :agent AND queue_key BETWEEN :first AND :last"
        values = {"agent": agent, "first": f"{tenant_id}#", "last": f"{tenant_id}#{last_id}"}
        return self._count(BY_QUEUE, condition, values, at_most)

    def pending_of_all(self, agent: Agent, at_most: int) -> int:
        """Count all pending dispatches for an agent, up to `at_most`."""
        return self._count(BY_QUEUE, "queue = :hash", {"hash": agent}, at_most)

    def count(self, at_most: int) -> int:
        """Count the dispatches that have not ended, up to `at_most` in each shard."""
        shards = range(ACTIVE_SHARDS)
        return sum(self._count(BY_ACTIVE, "active_shard = :hash", {"hash": str(shard)}, at_most) for shard in shards)

    def _count(self, index: Index, condition: str, values: dict[str, str], at_most: int) -> int:
        answer = self._db.client.query(
            TableName=self._db.dispatches,
            IndexName=index.name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=expression_values(values),
            Select="COUNT",
            Limit=at_most,
        )
        return answer["Count"]

    def tenants(self, agent: Agent) -> Iterator[str]:
        """Yield the tenants with pending dispatches for an agent: one query each, however long their queues."""
        after = " "
        while True:
            items = self._db.query(
                self._db.dispatches,
                "queue = :agent AND queue_key > :after",
                {"agent": agent, "after": after},
                index=BY_QUEUE.name,
                limit=1,
            )
            item = next(items, None)
            if item is None:
                return
            tenant_id = item["queue_key"].partition("#")[0]
            yield tenant_id
            after = f"{tenant_id}#{AFTER_IDS}"

    def all(self) -> Iterator[Dispatch]:
        """Yield every dispatch that has not ended; its cost does not grow with those that have."""
        for shard in range(ACTIVE_SHARDS):
            items = self._db.query(
                self._db.dispatches,
                "active_shard = :shard",
                {"shard": str(shard)},
                index=BY_ACTIVE.name,
            )
            yield from map(row_from, items)
