"""A global secondary index follows its table late: MiniStack shows every write at once.

DynamoDB copies a write to the indexes asynchronously, "within a fraction of a second, under normal conditions", longer
under load, and reads of an index are eventually consistent only (Amazon DynamoDB Developer Guide: "Using Global
Secondary Indexes in DynamoDB", "Data synchronization between tables and Global Secondary Indexes"). Here each write
reaches the indexes after a lag of its own, so that two items may appear in either order; the writes of one item keep
theirs. Queries and scans of an index read this delayed copy of the table. PartiQL statements do not.
"""

import heapq
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from random import Random
from types import FunctionType
from typing import Any

from ministack.services import dynamodb

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings

Table = dict[str, Any]
Key = tuple[str, str]

_COPY = "_delayed_copy"
_lock = threading.Lock()
_set_item, _remove_item = dynamodb._set_item, dynamodb._remove_item


class DelayedCopy:
    """A table's items as its indexes show them."""

    def __init__(self, table: Table) -> None:
        items = {partition: dict(rows) for partition, rows in table["items"].items()}
        self._table: Table = {"items": defaultdict(dict, items)}
        self._writes: list[tuple[float, int, Key, Any]] = []
        self._due: dict[Key, float] = {}
        self._written = 0
        self._describe(table)

    def write(self, key: Key, item: Any, due: float) -> None:
        """Show an item, or that it is gone (None), from `due` on, but never before an earlier write of the item."""
        self._due[key] = due = max(due, self._due.get(key, due))
        self._written += 1
        heapq.heappush(self._writes, (due, self._written, key, item))

    def at(self, now: float, table: Table) -> Table:
        """Return the table as its indexes show it now."""
        self._describe(table)
        while self._writes and self._writes[0][0] <= now:
            due, _, key, item = heapq.heappop(self._writes)
            if self._due.get(key) == due:
                del self._due[key]
            if item is None:
                _remove_item(self._table, *key)
            else:
                _set_item(self._table, *key, item)
        return self._table

    def _describe(self, table: Table) -> None:
        """Take over what is not items: keys and indexes."""
        kept = ("items", dynamodb._INDEX_MEMBERS, _COPY)
        self._table |= {name: value for name, value in table.items() if name not in kept}
        members = self._table.get(dynamodb._INDEX_MEMBERS, {})
        if any(name not in members for name, *_ in dynamodb._index_key_schemas(table)):
            self._table.pop(dynamodb._INDEX_MEMBERS, None)


class _DelayedTables:
    """`dynamodb._tables` as a read of an index sees them."""

    @staticmethod
    def get(name: str) -> Table | None:
        table = dynamodb._tables.get(name)
        if table is None or _COPY not in table:
            return table
        with _lock:
            copy: DelayedCopy = table[_COPY]
            return copy.at(time.monotonic(), table)


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Delay what indexes show, by lags drawn from the seed."""
    realism, reason = settings.realism, "an index shows each write at once"
    if not realism.index_lag:
        return ()
    lags = _lags(realism.random("index_lag"), realism.index_lag_least, realism.index_lag)

    def write(original: Callable[..., Any], table: Table, partition: str, sort: str, *item: Any) -> Any:
        if not table.get("GlobalSecondaryIndexes"):
            return original(table, partition, sort, *item)
        with _lock:
            if _COPY not in table:
                table[_COPY] = DelayedCopy(table)
            old = original(table, partition, sort, *item)
            table[_COPY].write((partition, sort), item[0] if item else None, time.monotonic() + next(lags))
        return old

    return (
        around("services.dynamodb._set_item", write, reason),
        around("services.dynamodb._remove_item", write, reason),
        Patch("services.dynamodb._query", _delayed, reason),
        Patch("services.dynamodb._scan", _delayed, reason),
        around("services.dynamodb._items_replaced", _forget_copy, reason),
    )


def _forget_copy(replaced: Callable[[Table], None], table: Table) -> None:
    replaced(table)
    table.pop(_COPY, None)


def _lags(random: Random, least: float, most: float) -> Iterator[float]:
    """Yield lags in seconds: mostly short, now and then long."""
    while True:
        yield least + (most - least) * random.random() ** 4


def _delayed(read: Callable[[dict[str, Any]], Response]) -> Callable[[dict[str, Any]], Response]:
    """Return a read that takes the delayed copy when it names a global secondary index."""
    delayed: Callable[[dict[str, Any]], Response] = FunctionType(
        read.__code__, {**vars(dynamodb), "_tables": _DelayedTables}, read.__name__, read.__defaults__
    )

    def read_late(request: dict[str, Any]) -> Response:
        index = request.get("IndexName")
        table = dynamodb._tables.get(dynamodb._normalize_table_name(request.get("TableName"))) if index else None
        late = table and any(each["IndexName"] == index for each in table.get("GlobalSecondaryIndexes") or ())
        return delayed(request) if late else read(request)

    return read_late
