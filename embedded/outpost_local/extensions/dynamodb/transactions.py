"""DynamoDB's transactions take time, and what meets an item of one is refused; now and then a request is throttled.

MiniStack runs every request at once, so that no two ever meet. On AWS a write of an item in an ongoing transaction
fails with TransactionConflictException, and a transaction that meets one is cancelled with the reason
TransactionConflict (Amazon DynamoDB Developer Guide: "Amazon DynamoDB Transactions: How it works", "Transaction
conflict handling in DynamoDB"). No SDK repeats either. Plain reads never conflict. Here a transaction holds its items
for a few milliseconds before it is applied, and a seeded share of the requests conflicts or is throttled without cause
(Developer Guide: "Error handling with DynamoDB"); of a batch, a share comes back as UnprocessedItems.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import dynamodb

from outpost_local.extensions.cloudformation.handlers import Response, revised
from outpost_local.extensions.patch import Patch, around
from outpost_local.realism import Realism
from outpost_local.settings import Settings

Item = tuple[str, ...]

_WRITES = {"PutItem", "UpdateItem", "DeleteItem"}
AFTER = ("dynamodb.tables",)

_TRANSACTIONS = {"TransactWriteItems", "TransactGetItems"}
_READS = {"GetItem", "BatchGetItem", "Query", "Scan"}
_ONGOING = "Transaction is ongoing for the item"
_THROTTLED = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or "
    "index so please try again shortly."
)


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Put conflicts and throttling before MiniStack's handler."""
    realism = settings.realism
    handle = around("services.dynamodb.handle_request", _Contention(realism).handle, "transactions never conflict")
    if not realism.throttles:
        return (handle,)
    some = _leaving_some(realism)
    return handle, around("services.dynamodb._batch_write_item", some, "DynamoDB never throttles")


class _Contention:
    """Decides which requests meet an ongoing transaction."""

    def __init__(self, realism: Realism) -> None:
        self._realism = realism
        self._conflicts, self._throttles = realism.random("transaction_conflicts"), realism.random("throttles")
        self._held: set[Item] = set()

    async def handle(self, handle: Callable[..., Awaitable[Response]], *request: Any) -> Response:
        _method, _path, headers, body, _query = request
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action in _WRITES | _TRANSACTIONS | _READS and self._throttles.random() < self._realism.throttles:
            return error_response_json("ThrottlingException", _THROTTLED, 400)  # type: ignore[no-any-return]
        if action not in _WRITES | _TRANSACTIONS:
            return await handle(*request)
        items = list(_items(action, json.loads(body)))
        met = [item in self._held for item in items]
        if items and self._conflicts.random() < self._realism.transaction_conflicts:
            met[self._conflicts.randrange(len(met))] = True
        if any(met):
            if action in _TRANSACTIONS:
                return _cancelled(met)
            return error_response_json("TransactionConflictException", _ONGOING, 400)  # type: ignore[no-any-return]
        if action != "TransactWriteItems" or not self._realism.transaction_seconds:
            return await handle(*request)
        self._held.update(items)
        try:
            await asyncio.sleep(self._realism.transaction_seconds)
            return await handle(*request)
        finally:
            self._held.difference_update(items)


def _items(action: str, request: dict[str, Any]) -> Iterator[Item]:
    """Yield what identifies each item of a request, in order."""
    if action in _TRANSACTIONS:
        operations: list[dict[str, Any]] = [next(iter(each.values()), {}) for each in request.get("TransactItems", [])]
    else:
        operations = [request]
    for operation in operations:
        name = dynamodb._normalize_table_name(operation.get("TableName"))
        table = dynamodb._tables.get(name) or {}
        key = operation.get("Item") or operation.get("Key") or {}
        yield (str(name), *(json.dumps(key.get(table.get(kind))) for kind in ("pk_name", "sk_name")))


def _cancelled(met: list[bool]) -> Response:
    reasons = [{"Code": "TransactionConflict", "Message": _ONGOING} if each else {"Code": "None"} for each in met]
    codes = ", ".join(reason["Code"] for reason in reasons)
    error = {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        "CancellationReasons": reasons,
    }
    return 400, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(error).encode()


def _leaving_some(realism: Realism) -> Callable[..., Response]:
    random = realism.random("unprocessed")

    def write_most(write: Callable[[dict[str, Any]], Response], request: dict[str, Any]) -> Response:
        tables = request.get("RequestItems") or {}
        several = next((name for name, requests in tables.items() if len(requests) > 1), None)
        if several is None or random.random() >= realism.throttles:
            return write(request)
        *taken, left = tables[several]
        response = write(request | {"RequestItems": tables | {several: taken}})
        return revised(response, lambda found: found | {"UnprocessedItems": {several: [left]}})

    return write_most
