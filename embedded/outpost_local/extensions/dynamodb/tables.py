"""A table that UpdateTable changes is UPDATING for a while; a template's encryption and recovery are applied.

MiniStack changes tables at once, and drops what templates say of encryption and recovery.

UpdateTable is asynchronous. "While it's UPDATING, you can't issue another UpdateTable request", and DeleteTable of a
table in the state CREATING or UPDATING fails with ResourceInUseException (Amazon DynamoDB API Reference: UpdateTable,
DeleteTable). CloudFormation waits until its own updates are done: here they take no time.
"""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import dynamodb
from ministack.services.cloudformation import provisioners

from outpost_local.extensions.cloudformation.handlers import Properties, Response, after_write, checked
from outpost_local.extensions.patch import Patch, around
from outpost_local.settings import Settings


def _protect(name: str, props: Properties) -> None:
    if "SSESpecification" in props:
        dynamodb._tables[name]["SSEDescription"] = dynamodb._sse_description_from_spec(
            {
                **props["SSESpecification"],
                "Enabled": provisioners._cfn_bool(props["SSESpecification"].get("SSEEnabled")),
            }
        )
    recovery = props.get("PointInTimeRecoverySpecification", {})
    specification = {"PointInTimeRecoveryEnabled": provisioners._cfn_bool(recovery.get("PointInTimeRecoveryEnabled"))}
    checked(dynamodb._update_continuous_backups({"TableName": name, "PointInTimeRecoverySpecification": specification}))


PATCHES = after_write("AWS::DynamoDB::Table", _protect, "tables lose their encryption")


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Put the state before MiniStack's handler, and into the descriptions of tables."""
    seconds, reason = settings.realism.table_update_seconds, "a table is changed at once"
    if not seconds:
        return ()
    updates = _Updates(seconds)
    return (
        around("services.dynamodb.handle_request", updates.handle, reason),
        around("services.dynamodb._table_description", updates.describe, reason),
    )


class _Updates:
    """Until when each table is UPDATING, by its id, in seconds of the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[str, float] = {}

    async def handle(self, handle: Callable[..., Awaitable[Response]], *request: Any) -> Response:
        _method, _path, headers, body, _query = request
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action not in ("UpdateTable", "DeleteTable"):
            return await handle(*request)
        name = dynamodb._normalize_table_name(json.loads(body).get("TableName"))
        if self._is_updating(name):
            message = f"Attempt to change a resource which is still in use: Table is being updated: {name}"
            return error_response_json("ResourceInUseException", message, 400)  # type: ignore[no-any-return]
        response = await handle(*request)
        if response[0] != 200 or action == "DeleteTable":
            return response
        self._until[dynamodb._tables[name]["TableId"]] = time.monotonic() + self._seconds
        return json_response({"TableDescription": dynamodb._table_description(name)})  # type: ignore[no-any-return]

    def describe(self, describe: Callable[[str], dict[str, Any]], name: str) -> dict[str, Any]:
        description = describe(name)
        return description | {"TableStatus": "UPDATING"} if self._is_updating(name) else description

    def _is_updating(self, name: str) -> bool:
        table_id = dynamodb._tables.get(name, {}).get("TableId")
        if self._until.get(table_id, 0) > time.monotonic():
            return True
        self._until.pop(table_id, None)
        return False
