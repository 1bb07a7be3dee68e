"""DynamoDB as our code uses its low-level client: conditions, transactions, indexes that lag, the stream of a table.

Each operation is applied at once, as a whole: what comes between two operations is the scheduler's business. The fake
is compared with the embedded AWS request by request (test_fakes.py).
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from botocore.exceptions import ClientError

from outpost.store.schema import Index, Table
from tests.simulation.errors import client_error
from tests.simulation.expressions import (
    Item,
    MissingAttributeError,
    Values,
    compile_condition,
    compile_key_condition,
    compile_update,
)

Key = tuple[str, str]
Request = dict[str, Any]
Response = dict[str, Any]


class Change(NamedTuple):
    """One item as it was and as it is; None where there was, or is, none."""

    table: str
    key: Key
    old: Item | None
    new: Item | None


@dataclass
class Partitions:
    """Items by partition, sorted."""

    hash_key: str
    range_key: str
    items: dict[Key, Item] = field(default_factory=dict)
    _sorted: dict[str, list[tuple[str, Key]]] = field(default_factory=dict)

    def put(self, key: Key, item: Item | None) -> None:
        """Replace an item; None removes it. One without the partition's attributes is left out."""
        old = self.items.pop(key, None)
        if old is not None:
            entries = self._sorted[old[self.hash_key]["S"]]
            del entries[bisect_left(entries, (old[self.range_key]["S"], key))]
        if item is not None and self.hash_key in item and self.range_key in item:
            self.items[key] = item
            insort(self._sorted.setdefault(item[self.hash_key]["S"], []), (item[self.range_key]["S"], key))

    def partition(self, name: str) -> list[tuple[str, Key]]:
        """Return the sort keys and keys of a partition, in order."""
        return self._sorted.get(name, [])


@dataclass
class LaggingIndex:
    """A global secondary index: each write arrives later, in order."""

    shown: Partitions
    _coming: deque[tuple[float, Key, Item | None]] = field(default_factory=deque)

    def write(self, key: Key, item: Item | None, visible_at: float) -> None:
        """Show a write from a time on, and never before an earlier one."""
        latest = self._coming[-1][0] if self._coming else 0.0
        self._coming.append((max(visible_at, latest), key, item))

    def at(self, moment: float) -> Partitions:
        """Return what the index shows now."""
        while self._coming and self._coming[0][0] <= moment:
            _, key, item = self._coming.popleft()
            self.shown.put(key, item)
        return self.shown


class FakeDynamoDB:
    """Tables in memory. `clock` in seconds; `lag` gives an index's delay in seconds; `committed` sees each write."""

    ignored_conditions: ClassVar[frozenset[tuple[str, str]]] = frozenset()
    """What a mutation removes from the code."""

    def __init__(
        self,
        tables: Mapping[str, Table],
        clock: Callable[[], float],
        lag: Callable[[str], float] = lambda _: 0.0,
        committed: Callable[[Sequence[Change]], None] = lambda _: None,
    ) -> None:
        self._tables = {name: Partitions("pk", "sk") for name in tables}
        self._indexes = {name: {index.name: _index(index) for index in table.indexes} for name, table in tables.items()}
        self._clock, self._lag, self._committed = clock, lag, committed
        self._done: set[str] = set()

    def items(self, table: str) -> dict[Key, Item]:
        """Return all items of a table as they are."""
        return self._tables[table].items

    def partition(self, table: str, name: str) -> list[tuple[Key, Item]]:
        """Return the items of a partition as they are."""
        partitions = self._tables[table]
        return [(key, partitions.items[key]) for _, key in partitions.partition(name)]

    def get_item(self, request: Request) -> Response:
        item = self._find(request)
        return {} if item is None else {"Item": dict(item)}

    def put_item(self, request: Request) -> Response:
        return self._write("PutItem", {"Put": request})

    def delete_item(self, request: Request) -> Response:
        return self._write("DeleteItem", {"Delete": request})

    def update_item(self, request: Request) -> Response:
        response = self._write("UpdateItem", {"Update": request})
        if request.get("ReturnValues", "NONE") == "ALL_NEW":
            found = self._find(request)
            response["Attributes"] = dict(found or {})
        return response

    def transact_write_items(self, request: Request) -> Response:
        token = request.get("ClientRequestToken")
        if token and token in self._done:
            return {}
        prepared = [self._prepare("TransactWriteItems", write) for write in request["TransactItems"]]
        if any(isinstance(each, ClientError) for each in prepared):
            codes = [_reason(each) for each in prepared]
            message = f"Transaction cancelled, please refer cancellation reasons for specific reasons {codes}"
            reasons = [{"Code": code} for code in codes]
            raise client_error(
                "TransactWriteItems", "TransactionCanceledException", message, CancellationReasons=reasons
            )
        if token:
            self._done.add(token)
        self._commit([each for each in prepared if isinstance(each, Change)])
        return {}

    def transact_get_items(self, request: Request) -> Response:
        found = [self._find(each["Get"]) for each in request["TransactItems"]]
        return {"Responses": [{} if item is None else {"Item": dict(item)} for item in found]}

    def batch_get_item(self, request: Request) -> Response:
        responses: dict[str, list[Item]] = {}
        for table, asked in request["RequestItems"].items():
            found = (self._find({"TableName": table, "Key": key}) for key in asked["Keys"])
            responses[table] = [dict(item) for item in found if item is not None]
        return {"Responses": responses, "UnprocessedKeys": {}}

    def query(self, request: Request) -> Response:
        source = self._source(request)
        values, names = request.get("ExpressionAttributeValues", {}), _names(request)
        attribute, value, sort = compile_key_condition(request["KeyConditionExpression"], names)
        if attribute != source.hash_key:
            raise client_error("Query", "ValidationException", f"{attribute} is not the partition key")
        entries = source.partition(values[value]["S"])
        forward, start = request.get("ScanIndexForward", True), request.get("ExclusiveStartKey")
        if start is not None:
            place = start[source.range_key]["S"], _key(start)
            entries = [entry for entry in entries if (entry > place if forward else entry < place)]
        keys = [key for _, key in entries if sort(source.items[key], values)]
        if not forward:
            keys.reverse()
        return _page(request, source, keys, values)

    def scan(self, request: Request) -> Response:
        source = self._source(request)
        start = request.get("ExclusiveStartKey")
        keys = [key for key in sorted(source.items) if start is None or key > _key(start)]
        return _page(request, source, keys, request.get("ExpressionAttributeValues", {}))

    def _source(self, request: Request) -> Partitions:
        index = request.get("IndexName")
        if index is None:
            return self._tables[request["TableName"]]
        return self._indexes[request["TableName"]][index].at(self._clock())

    def _find(self, request: Request) -> Item | None:
        return self._tables[request["TableName"]].items.get(_key(request["Key"]))

    def _write(self, operation: str, write: Request) -> Response:
        prepared = self._prepare(operation, write)
        if isinstance(prepared, ClientError):
            raise prepared
        if prepared is not None:
            self._commit([prepared])
        return {}

    def _prepare(self, operation: str, write: Request) -> Change | ClientError | None:
        """Return the change that a write makes, the error by which it is refused, or None for a mere check."""
        ((kind, request),) = write.items()
        table = request["TableName"]
        key = _key(request["Item"] if kind == "Put" else request["Key"])
        old = self._tables[table].items.get(key)
        values, names = request.get("ExpressionAttributeValues", {}), _names(request)
        condition = request.get("ConditionExpression")
        checked = condition is not None and (table, condition) not in self.ignored_conditions
        if condition and checked and not compile_condition(condition, names)(old or {}, values):
            return client_error(operation, "ConditionalCheckFailedException", "The conditional request failed")
        if kind == "ConditionCheck":
            return None
        if kind == "Put":
            return Change(table, key, old, dict(request["Item"]))
        if kind == "Delete":
            return Change(table, key, old, None)
        try:
            base = old or request["Key"]
            return Change(table, key, old, compile_update(request["UpdateExpression"], names)(base, values))
        except MissingAttributeError as error:
            return client_error(operation, "ValidationException", str(error))

    def _commit(self, changes: Sequence[Change]) -> None:
        moment = self._clock()
        for change in changes:
            self._tables[change.table].put(change.key, change.new)
            for name, index in self._indexes[change.table].items():
                index.write(change.key, change.new, moment + self._lag(name))
        self._committed(changes)


def _index(index: Index) -> LaggingIndex:
    return LaggingIndex(Partitions(index.hash_key, index.range_key))


def _key(attributes: Item) -> Key:
    return attributes["pk"]["S"], attributes["sk"]["S"]


def _names(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple(request.get("ExpressionAttributeNames", {}).items())


def _reason(prepared: Change | ClientError | None) -> str:
    if not isinstance(prepared, ClientError):
        return "None"
    return prepared.response["Error"]["Code"].removesuffix("Exception")


def _page(request: Request, source: Partitions, keys: Sequence[Key], values: Values) -> Response:
    """Return one page of what a query or scan found."""
    limit = request.get("Limit")
    read = keys if limit is None else keys[:limit]
    items = [source.items[key] for key in read]
    condition = request.get("FilterExpression")
    if condition:
        passes = compile_condition(condition, _names(request))
        items = [item for item in items if passes(item, values)]
    response: Response = {"Count": len(items), "ScannedCount": len(read)}
    if request.get("Select") != "COUNT":
        response["Items"] = [_projected(item, request) for item in items]
    if limit is not None and len(read) == limit:
        last = source.items[read[-1]]
        response["LastEvaluatedKey"] = {name: last[name] for name in {"pk", "sk", source.hash_key, source.range_key}}
    return response


def _projected(item: Item, request: Request) -> Item:
    wanted = request.get("ProjectionExpression")
    if wanted is None:
        return dict(item)
    names = dict(_names(request))
    attributes = [names.get(name, name) for name in wanted.replace(" ", "").split(",")]
    return {name: item[name] for name in attributes if name in item}
