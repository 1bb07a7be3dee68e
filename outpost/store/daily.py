"""A tenant's dispatches of a day, counted in the transaction that creates each.

Transactions that write the same item refuse each other, so the count is kept in shards, each with its share of the
limit: dispatches of a tenant at the same moment seldom meet, and together the shards never admit more than the limit.
"""

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from outpost.store.database import Database, expression_values, key

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

SHARDS = 16


def shares(limit: int) -> list[int]:
    """Return how much of a limit each shard admits."""
    whole, rest = divmod(limit, SHARDS)
    return [whole + (number < rest) for number in range(SHARDS)]


class DailyCount:
    """The count of one tenant and day, for the creation of one dispatch."""

    def __init__(self, database: Database, tenant_id: str, at: datetime, limit: int) -> None:
        self._db = database
        self._pk = f"DAY#{tenant_id}#{at:%Y-%m-%d}"
        self._expiry = int((at + timedelta(days=2)).timestamp())
        self._shares = dict(enumerate(shares(limit)))
        self._shard = self._any_of([number for number, share in self._shares.items() if share])

    def write(self) -> "TransactWriteItemTypeDef":
        """Return the write that counts the dispatch. Its condition fails when the chosen shard is full."""
        values = {"one": 1, "share": self._shares[self._shard], "expiry": self._expiry}
        return {
            "Update": {
                "TableName": self._db.dispatches,
                "Key": key(self._pk, f"{self._shard:02d}"),
                "UpdateExpression": "ADD dispatched :one SET expires_at = :expiry",
                "ConditionExpression": "attribute_not_exists(dispatched) OR dispatched < :share",
                "ExpressionAttributeValues": expression_values(values),
            },
        }

    def next_shard(self) -> bool:
        """Choose another shard, one that is not full. Returns False when the day is used up."""
        items = self._db.query(self._db.dispatches, "pk = :pk", {"pk": self._pk})
        used = {int(item["sk"]): int(item["dispatched"]) for item in items}
        free = [number for number, share in self._shares.items() if used.get(number, 0) < share]
        if free:
            self._shard = self._any_of(free)
        return bool(free)

    @staticmethod
    def _any_of(shards: list[int]) -> int:
        return random.choice(shards)  # noqa: S311 - spreads, hides nothing
