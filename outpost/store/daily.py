"""A tenant's dispatches of a day, counted in the transaction that creates each.

Transactions that write the same item refuse each other, so the count is kept in shards, each with its share of the
limit: dispatches of a tenant at the same moment seldom meet, and together the shards never admit more than the limit.
"""

import random
from datetime import datetime, timedelta

from outpost.store import keys
from outpost.store.database import Database, Write, update_write

SHARDS = 16


def shares(limit: int) -> list[int]:
    """Return how much of a limit each shard admits."""
    whole, rest = divmod(limit, SHARDS)
    return [whole + (number < rest) for number in range(SHARDS)]


class DailyCount:
    """The count of one tenant and day, for the creation of one dispatch."""

    def __init__(self, database: Database, tenant_id: str, at: datetime, limit: int) -> None:
        self._db = database
        self._tenant_id, self._at = tenant_id, at
        self._expiry = int((at + timedelta(days=2)).timestamp())
        self._shares = dict(enumerate(shares(limit)))
        self._shard = self._any_of([number for number, share in self._shares.items() if share])

    def write(self) -> Write:
        """Return the write that counts the dispatch. Its condition fails when the chosen shard is full."""
        return update_write(
            self._db.dispatches,
            keys.day(self._tenant_id, self._at, self._shard),
            "ADD dispatched :one SET expires_at = :expiry",
            "attribute_not_exists(dispatched) OR dispatched < :share",
            one=1,
            share=self._shares[self._shard],
            expiry=self._expiry,
        )

    def next_shard(self) -> bool:
        """Choose another shard, one that is not full. Returns False when the day is used up."""
        items = self._db.query(self._db.dispatches, "pk = :pk", {"pk": keys.day(self._tenant_id, self._at, 0).pk})
        used = {int(item["sk"]): int(item["dispatched"]) for item in items}
        free = [number for number, share in self._shares.items() if used.get(number, 0) < share]
        if free:
            self._shard = self._any_of(free)
        return bool(free)

    @staticmethod
    def _any_of(shards: list[int]) -> int:
        return random.choice(shards)  # noqa: S311 - spreads, hides nothing
