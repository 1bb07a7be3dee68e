"""Global secondary indexes follow their tables late; a test that reads one waits until it has followed."""

from functools import partial
from typing import Any

from outpost.store import schema
from outpost.store.database import Database
from tests.eventually import eventually


def await_indexes(database: Database) -> None:
    """Wait until every index shows what its table holds."""
    for name, table in ((database.dispatches, schema.DISPATCHES), (database.tenants, schema.TENANTS)):
        for index in table.indexes:
            eventually(partial(_follows, database.client, name, index), what=f"{name}: {index.name} as its table")


def _follows(client: Any, table: str, index: schema.Index) -> bool:  # noqa: ANN401 - boto3's client
    held = [
        item
        for item in _items(client, TableName=table, ConsistentRead=True)
        if {index.hash_key, index.range_key} <= item.keys()
    ]
    shown = _items(client, TableName=table, IndexName=index.name)
    return sorted(held, key=_key) == sorted(shown, key=_key)


def _items(client: Any, **scan: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - boto3's client and arguments
    return [item for page in client.get_paginator("scan").paginate(**scan) for item in page["Items"]]


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]
