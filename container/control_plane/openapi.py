"""What the OpenAPI document says beyond the routes and models: the errors, the ids in paths, and the examples.

The example of an operation is composed from one for each field: its own `examples` come first, then `FIELDS`, then what
its schema decides: constant, enumeration, default.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Path

from control_plane.envelope import Failure

Json = dict[str, Any]
Responses = dict[int | str, Json]

_DESCRIPTIONS: Mapping[int, str] = {
    400: "VALIDATION_ERROR: `details` names each refused field.",
    401: "AUTHENTICATION_ERROR: no valid API key.",
    403: "AUTHORIZATION_ERROR: the key lacks the scope, or the tenant is suspended.",
    404: "NOT_FOUND: there is nothing of this id in the caller's tenant.",
    409: "CONFLICT: the state of the thing forbids it.",
    413: "PAYLOAD_TOO_LARGE: the body is over 1 MiB.",
    429: "RATE_LIMIT_EXCEEDED: `Retry-After` says when to come back.",
    503: "SERVICE_UNAVAILABLE: `Retry-After` says when to try again.",
}

DispatchId = Annotated[str, Path(description="ULID of the dispatch.", examples=["01K9ZJ3J0X4T8WB6Q1V5N7M2CD"])]
WorkspaceId = Annotated[str, Path(description="ULID of the workspace.", examples=["01K9ZJ3J0X4T8WB6Q1V5N7M2CE"])]
TenantId = Annotated[str, Path(description="Id of the tenant.", examples=["acme"])]


def errors(*statuses: int, conflict: str = _DESCRIPTIONS[409]) -> Responses:
    """Return the error responses of a route; `default` stands for those that any route may give."""
    texts = {**_DESCRIPTIONS, 409: conflict}
    documented: Responses = {status: {"model": Failure, "description": texts[status]} for status in statuses}
    return documented | {"default": {"model": Failure, "description": "Any other error, in the same form."}}


PROTECTED = errors(401, 403)
"""The errors of every route that needs an API key."""


class DocumentedApp(FastAPI):
    """An application whose document shows an example with every operation."""

    def openapi(self) -> Json:
        """Return the document; it is made once."""
        is_new = self.openapi_schema is None
        document = super().openapi()
        if is_new:
            _illustrate(document)
        return document


_DISPATCH = "01K9ZJ3J0X4T8WB6Q1V5N7M2CD"
_WORKSPACE = "01K9ZJ3J0X4T8WB6Q1V5N7M2CE"
_KEY = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_KEY_CREATED = "2026-01-05T09:00:00Z"

_NULL = (
    *("warning", "cancelReason", "cancelRequestedAt", "queuePosition", "expectedStartAt", "logTail", "findings"),
    *("collection", "released", "StatusView.promotes", "DispatchView.promotes", "StatusView.logs", "cursor"),
)
FIELDS: Mapping[str, Any] = dict.fromkeys(_NULL) | {
    # Ids and names; `Object.field` where a name means different things.
    "id": _DISPATCH,
    "KeyView.id": _KEY,
    "KeyView.name": "ci",
    "KeyView.createdAt": _KEY_CREATED,
    "IssuedKeyView.id": _KEY,
    "IssuedKeyView.name": "ci",
    "IssuedKeyView.createdAt": _KEY_CREATED,
    "TenantView.id": "acme",
    "TenantView.name": "Acme Inc.",
    "TenantChange.name": "Acme Inc.",
    "repositories": ["acme/*"],
    "providers": ["bedrock"],
    "WorkspaceView.id": _WORKSPACE,
    "SecretView.name": "NPM_TOKEN",
    "searched": True,
    "dispatchId": _DISPATCH,
    "workspaceId": _WORKSPACE,
    "tenantId": "acme",
    "requestId": "5f1c9a52-6f0e-4d4e-9d2c-0c3a5b7e8f10",
    "createdBy": "ci",
    "prefix": "otp_4f1a2b",
    "key": "otp_" + "0123456789abcdef" * 4,
    "value": "npm_example",
    # A dispatch.
    "modelId": "flagship",
    "repo": "acme/website",
    "branch": "main",
    "additionalSecrets": ["NPM_TOKEN"],
    "tags": {"team": "web"},
    "timeoutSeconds": 1800,
    "queueTimeoutSeconds": 3600,
    "retryable": False,
    "attempt": 1,
    "progress": "Running the tests",
    "exitCode": 0,
    "CancelRequest.reason": "no longer needed",
    "remedy": "Nothing to do.",
    "message": "The agent ended with exit code 0.",
    # What it used.
    "durationSeconds": 41.5,
    "inputTokens": 18_400,
    "cachedInputTokens": 12_000,
    "outputTokens": 950,
    "modelCalls": 7,
    "modelCostUsd": 0.08,
    "costUsd": 0.08,
    "maxCostUsd": 5,
    "vcpuSeconds": 83.0,
    "gbSeconds": 166.0,
    "day": "2026-01-05",
    "tenant": "acme",
    "model": "claude-opus-5-5",
    "tag": "web",
    "month": "2026-01",
    "since": "2026-01-01",
    "until": "2026-01-31",
    "dispatches": 12,
    "unpricedDispatches": 0,
    "limitUsd": 250,
    "committedUsd": 61.5,
    "chargedUsd": 57.2,
    # Times, in the order in which they pass.
    "createdAt": "2026-01-05T10:00:00Z",
    "queuedAt": "2026-01-05T10:00:00Z",
    "provisioningAt": "2026-01-05T10:00:01Z",
    "runningAt": "2026-01-05T10:00:04Z",
    "completingAt": "2026-01-05T10:00:45Z",
    "endedAt": "2026-01-05T10:00:46Z",
    "timestamp": "2026-01-05T10:00:46Z",
    "updatedAt": "2026-01-05T10:00:46Z",
    "usedAt": "2026-01-05T10:00:46Z",
    "lastUsedAt": "2026-01-05T10:00:00Z",
    "expiresAt": "2026-02-04T10:00:46Z",
    # Logs, artifacts, pages, errors.
    "level": "info",
    "LogLineView.message": "Ran 3 tests in 0.001s",
    "hasMore": False,
    "limit": 20,
    "collect": ["dist/*.whl"],
    "withheld": False,
    "ArtifactList.withheld": [],
    "size": 412,
    "sizeBytes": 1_048_576,
    "url": f"https://outpost.example.com/artifacts/{_DISPATCH}/download?token=eyJ0ZW5hbnQiOiJhY21lIn0",
    # Limits, scopes, health, fleet.
    "concurrent": 5,
    "daily": 100,
    "requestsPerMinute": 60,
    "monthlyBudgetUsd": 250,
    "tier": "starter",
    "scopes": ["dispatch", "status", "list"],
    "version": "1.0.0",
    "uptime": 86_400,
    "CheckView.message": "artifacts bucket responds",
    "available": True,
    "successRate": 0.97,
    "meanDurationSeconds": 120.5,
    "slotsUsed": 1,
    "slots": 5,
    "lastHour": {"success": 12, "failed": 1},
    "complete": True,
    "starting": 0,
    "idle": 1,
    "busy": 2,
    "pending": 0,
    "live": 3,
}

_MAP_KEYS: Mapping[str, str] = {"AgentFleetView": "claude", "AgentTotalsView": "claude", "CheckView": "dynamodb"}
"""What an object of any keys has as a key, by the kind of its values."""


def _illustrate(document: Json) -> None:
    """Add an example to each body and successful response without one. Raises `KeyError` naming a field without any."""
    schemas = document["components"]["schemas"]
    for media in _media(document):
        if not {"example", "examples"} & set(media):
            media["example"] = _example(media["schema"], schemas, "")


def _media(document: Json) -> Iterator[Json]:
    for item in document["paths"].values():
        for operation in item.values():
            responses = [response for code, response in operation["responses"].items() if code.startswith("2")]
            for body in [operation.get("requestBody", {}), *responses]:
                yield from (media for kind, media in body.get("content", {}).items() if kind == "application/json")


def _example(schema: Json, schemas: Mapping[str, Json], field: str) -> Any:  # noqa: ANN401 - any JSON
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _of_object(name, schemas[name], schemas) if "properties" in schemas[name] else schemas[name]["enum"][0]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], schemas, field)
    if schema.get("type") == "array":
        return [_example(schema["items"], schemas, field)]
    if isinstance(values := schema.get("additionalProperties"), dict):
        return {_MAP_KEYS[values["$ref"].rpartition("/")[2]]: _example(values, schemas, field)}
    if "default" in schema:
        return schema["default"]
    raise KeyError(f"no example for {field}: add one to FIELDS in {__name__}")


def _of_object(name: str, schema: Json, schemas: Mapping[str, Json]) -> Any:  # noqa: ANN401 - any JSON
    if "examples" in schema:
        return schema["examples"][0]
    return {field: _of_field(name, field, part, schemas) for field, part in schema["properties"].items()}


def _of_field(owner: str, field: str, schema: Json, schemas: Mapping[str, Json]) -> Any:  # noqa: ANN401 - any JSON
    if "examples" in schema:
        return schema["examples"][0]
    for name in (f"{owner}.{field}", field):
        if name in FIELDS:
            return FIELDS[name]
    return _example(schema, schemas, f"{owner}.{field}")
