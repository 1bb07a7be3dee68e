"""What real MCP clients send that the specification or a schema would not have: it works, or it is clearly refused."""

import json
from typing import Any

import pytest

from outpost.domain.ids import new_id
from outpost.domain.tenants import Limits, Scope, Tenant
from tests.contract.running import TASK, Api

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"Accept": "application/json, text/event-stream"}
PORTABLE = {
    *("type", "description", "enum", "format", "default", "items", "properties", "required", "additionalProperties"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern"),
}


@pytest.fixture
def key(api: Api, tenant: Tenant) -> str:
    return api.key(tenant, *(scope for scope in Scope if scope is not Scope.ADMIN))


def call(api: Api, key: str, tool: str, arguments: object) -> dict[str, Any]:
    """Call a tool and return the result of JSON-RPC."""
    body = CALL | {"params": {"name": tool, "arguments": arguments}}
    with api.client(key) as client:
        found: dict[str, Any] = client.post("/mcp", json=body, headers=ACCEPT).json()["result"]
    return found


def structured(api: Api, key: str, tool: str, arguments: object) -> dict[str, Any]:
    result = call(api, key, tool, arguments)
    assert not result.get("isError"), result
    found: dict[str, Any] = result["structuredContent"]
    return found


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"timeout_seconds": "60"}, {"timeout_seconds": 60}),
        ({"timeout_seconds": 60.0}, {"timeout_seconds": 60}),
        ({"timeout_seconds": "6e1"}, {"timeout_seconds": 60}),
        ({"retryable": "true"}, {"retryable": True}),
        ({"retryable": "False"}, {"retryable": False}),
        ({"tags": '{"pr": "12"}'}, {"tags": {"pr": "12"}}),
        ({"tags": {"pr": 12, "draft": True, "share": 0.5}}, {"tags": {"pr": "12", "draft": "true", "share": "0.5"}}),
        ({"additional_secrets": "[]"}, {}),
        ({"collect": "dist/*.whl"}, {}),
        ({"collect": '["dist/*.whl", "coverage/"]'}, {}),
        ({"agent": "claude", "max_cost_usd": "0.5"}, {"max_cost_usd": 0.5}),
        ({"repo": "", "branch": "", "workspace_id": "", "model_id": "", "idempotency_key": ""}, {"repo": None}),
        ({"repo": None, "tags": None, "timeout_seconds": None}, {"repo": None, "tags": {}}),
        ({"repo": "acme/website", "branch": 12}, {"branch": "12"}),
        ({"user_id": 7}, {"tags": {"user_id": "7"}}),
    ],
)
def test_arguments_of_other_types_are_read_as_what_the_schema_asks_for(
    api: Api, key: str, given: dict[str, object], kept: dict[str, object]
) -> None:
    made = structured(api, key, "outpost_dispatch", {**TASK, **given})
    assert {name: made[name] for name in kept} == kept


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"timeout_seconds": "soon"}, "timeout_seconds"),
        ({"timeout_seconds": 60.5}, "timeout_seconds"),
        ({"timeout_seconds": True}, "timeout_seconds"),
        ({"retryable": "maybe"}, "retryable"),
        ({"tags": "[1, 2]"}, "tags"),
        ({"tags": {"a": {"b": "c"}}}, "tags.a"),
        ({"task": ""}, "task"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_has_no_reading_is_refused_by_the_name_of_its_field(
    api: Api, key: str, given: dict[str, object], field: str
) -> None:
    result = call(api, key, "outpost_dispatch", {**TASK, **given})
    assert result["isError"]
    (detail,) = json.loads(result["content"][0]["text"])["details"]
    assert detail["field"] == field


@pytest.mark.parametrize("given", [{"limit": "2"}, {"limit": 2.0}, {"tag": "a:b"}, {"status": "", "since": ""}])
def test_filters_are_read_as_leniently(api: Api, key: str, given: dict[str, object]) -> None:
    assert structured(api, key, "outpost_list_runs", given)["items"] == []


@pytest.mark.parametrize("accept", [None, "*/*", "application/*", "application/json", "text/html, */*;q=0.1"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
def test_a_client_that_takes_json_is_served(api: Api, key: str, accept: str | None, path: str) -> None:
    with api.client(key) as client:
        del client.headers["Accept"]
        response = client.post(path, json=LIST, headers={"Accept": accept} if accept else {})
    assert (response.status_code, len(response.json()["result"]["tools"])) == (200, 10)


def test_a_client_that_takes_no_json_is_refused(api: Api, key: str) -> None:
    with api.client(key) as client:
        assert client.post("/mcp", json=LIST, headers={"Accept": "text/plain"}).status_code == 406


def keywords(schema: dict[str, Any]) -> set[str]:
    """Every keyword of a schema and of those in it."""
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return set(schema).union(*(keywords(each) for each in inner if isinstance(each, dict)))


def test_every_tools_arguments_have_a_schema_that_every_provider_takes(api: Api, key: str) -> None:
    with api.client(key) as client:
        tools = client.post("/mcp", json=LIST, headers=ACCEPT).json()["result"]["tools"]
    for tool in tools:
        assert keywords(tool["inputSchema"]) <= PORTABLE, tool["name"]
        assert tool["inputSchema"]["type"] == "object"
        for argument in tool["inputSchema"]["properties"].values():
            assert isinstance(argument["type"], str)
            assert argument["description"]
            assert "\\x" not in argument.get("pattern", "")


def test_a_call_over_the_rate_limit_does_not_run(api: Api) -> None:
    tenant = api.tenant(Limits(concurrent=50, daily=10_000, timeout_seconds=1_800, requests_per_minute=2))
    key = api.key(tenant, Scope.DISPATCH, Scope.LIST)
    assert structured(api, key, "outpost_dispatch", TASK)["status"] == "pending"
    assert structured(api, key, "outpost_dispatch", TASK)["status"] == "pending"
    refusal = call(api, key, "outpost_dispatch", TASK)
    assert refusal["isError"]
    assert json.loads(refusal["content"][0]["text"])["code"] == "RATE_LIMIT_EXCEEDED"
    batch = [CALL | {"id": n, "params": {"name": "outpost_dispatch", "arguments": TASK}} for n in range(5)]
    with api.client(key) as client:
        assert client.post("/mcp", json=batch, headers=ACCEPT).status_code in {400, 429}
    api.await_indexes()
    with api.client(api.key(tenant, Scope.LIST)) as other:
        assert len(other.get("/dispatch").json()["data"]) == 2


def test_an_unknown_id_is_refused_in_one_call(api: Api, key: str) -> None:
    result = call(api, key, "outpost_status", {"dispatch_id": new_id(), "log_offset": "0", "include_logs": "false"})
    assert json.loads(result["content"][0]["text"])["code"] == "NOT_FOUND"
