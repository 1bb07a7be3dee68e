"""Global secondary indexes that follow their table late, as DynamoDB's do ("Using Global Secondary Indexes": eventually
consistent), behind the clients of this process: an index is read from a copy of the table that gets each write later.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from botocore.client import BaseClient

from outpost.aws.fast_client import FastClient
from outpost.store.database import Database
from tests.conftest import create_tables
from tests.indexes import await_indexes

Keys = dict[str, Any]
Call = Callable[[Any, str, dict[str, Any]], dict[str, Any]]
_SINGLE = ("PutItem", "UpdateItem", "DeleteItem")


@dataclass
class LaggingIndexes:
    """Delivers writes to the copies `seconds` after they were made, on a clock given in seconds."""

    seconds: float
    clock: Callable[[], float]
    copies: dict[str, str]
    call: Call
    delivered: Callable[[], None]
    """Returns when the copies' own indexes show what was delivered."""
    _pending: list[tuple[float, str, Keys, Keys | None]] = field(default_factory=list)

    def ask(self, client: BaseClient, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if operation == "Query" and "IndexName" in parameters:
            self._deliver(client)
            parameters = parameters | {"TableName": self.copies[parameters["TableName"]]}
        response = self.call(client, operation, parameters)
        for table, keys in _written(operation, parameters):
            if table in self.copies:
                found = self.call(client, "GetItem", {"TableName": table, "Key": keys, "ConsistentRead": True})
                self._pending.append((self.clock() + self.seconds, table, keys, found.get("Item")))
        return response

    def _deliver(self, client: BaseClient) -> None:
        due = [write for write in self._pending if write[0] <= self.clock()]
        self._pending = [write for write in self._pending if write[0] > self.clock()]
        for _, table, keys, item in due:
            operation, rest = ("PutItem", {"Item": item}) if item else ("DeleteItem", {"Key": keys})
            self.call(client, operation, {"TableName": self.copies[table]} | rest)
        if due:
            self.delivered()


def _written(operation: str, parameters: dict[str, Any]) -> Iterator[tuple[str, Keys]]:
    writes = [{operation: parameters}] if operation in _SINGLE else parameters.get("TransactItems", ())
    for write in writes:
        for what, request in write.items():
            if what != "ConditionCheck":
                keys = request.get("Key") or {name: request["Item"][name] for name in ("pk", "sk")}
                yield request["TableName"], keys


@contextmanager
def lagging_indexes(database: Database, seconds: float, clock: Callable[[], float]) -> Iterator[None]:
    """Let every index of the database lag, whichever client reads it."""
    copies = create_tables(f"late-{uuid4().hex[:8]}")
    variables = {table: f"OUTPOST_{table.upper()}_TABLE" for table in _TABLES}
    copied = Database(database.client, *(copies[variable] for variable in variables.values()))
    lagging = LaggingIndexes(
        seconds,
        clock,
        {getattr(database, table): getattr(copied, table) for table in _TABLES},
        FastClient._make_api_call,
        lambda: await_indexes(copied),
    )

    def ask(client: BaseClient, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return lagging.ask(client, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FastClient, "_make_api_call", ask)
        yield


_TABLES = ("dispatches", "tenants", "workers", "queues", "workspaces")
"""In the order of `Database`."""
