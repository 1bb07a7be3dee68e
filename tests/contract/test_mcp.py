"""The official client against the service: it lists and calls every tool, over HTTP and over stdio."""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from outpost.domain.dispatch import Dispatch
from outpost.domain.ids import new_id
from outpost.domain.tenants import Overrides, Scope, Tenant
from tests.contract.running import Api, refused

TOOLS = [
    "outpost_dispatch",
    "outpost_status",
    "outpost_cancel",
    "outpost_health",
    "outpost_list_workspaces",
    "outpost_delete_workspace",
    "outpost_get_artifacts",
    "outpost_list_runs",
    "outpost_promote",
    "outpost_release",
]
EVERY_SCOPE = [scope for scope in Scope if scope is not Scope.ADMIN]
TASK = {"agent": "shell", "task": "echo hello, world"}
Session = Callable[..., AbstractAsyncContextManager[Client]]


@asynccontextmanager
async def over_http(url: str, key: str, **options: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - the client's own
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=120) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), **options) as client,
    ):
        yield client


@asynccontextmanager
async def over_stdio(url: str, key: str, **options: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - the client's own
    environment = {"PATH": os.environ["PATH"], "OUTPOST_URL": url, "OUTPOST_API_KEY": key}
    outpost = Path(sys.executable).with_name("outpost")
    server = StdioServerParameters(command=str(outpost), args=["mcp"], env=environment)
    async with Client(stdio_client(server), **options) as client:
        yield client


@pytest.fixture(params=[over_http, over_stdio])
def session(request: pytest.FixtureRequest, api: Api, tenant: Tenant) -> Session:
    """Opens a session of the tenant's, over either transport."""

    def open_(*scopes: Scope, **options: Any) -> AbstractAsyncContextManager[Client]:  # noqa: ANN401 - the client's own
        opened: AbstractAsyncContextManager[Client] = request.param(
            api.url, api.key(tenant, *(scopes or EVERY_SCOPE)), **options
        )
        return opened

    return open_


def structured(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text_of(result: CallToolResult) -> str:
    """The text of a failed call."""
    assert result.is_error
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_of_either_era_finds_ten_tools_with_schemas_and_hints(session: Session, mode: str) -> None:
    async def main() -> None:
        async with session(mode=mode) as client:
            tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == TOOLS
        for tool in tools:
            assert tool.description
            assert tool.output_schema
            assert tool.output_schema["type"] == "object"
            assert tool.annotations
        hints = {tool.name: tool.annotations for tool in tools if tool.annotations}
        reading = {name for name, hint in hints.items() if hint.read_only_hint}
        assert reading == {*TOOLS} - {
            "outpost_dispatch",
            "outpost_cancel",
            "outpost_delete_workspace",
            "outpost_promote",
            "outpost_release",
        }
        assert {n for n, hint in hints.items() if hint.destructive_hint} == {
            "outpost_cancel",
            "outpost_delete_workspace",
            "outpost_release",
        }

    anyio.run(main)


def test_every_tool_answers_what_its_schema_says(api: Api, session: Session, running: Dispatch) -> None:
    """The client checks each structured result against the tool's output schema."""

    async def main() -> None:
        async with session() as client:
            await client.list_tools()
            made = structured(await client.call_tool("outpost_dispatch", {**TASK, "timeout_seconds": 60}))
            assert (made["status"], made["timeout_seconds"]) == ("pending", 60)
            api.chunk(running, 1, "one", "two", "three")
            seen = structured(await client.call_tool("outpost_status", {"dispatch_id": running.id, "log_offset": 1}))
            assert [line["message"] for line in seen["logs"]["lines"]] == ["two", "three"]
            assert seen["logs"]["next_offset"] == 3
            silent = {"dispatch_id": running.id, "include_logs": False}
            assert structured(await client.call_tool("outpost_status", silent))["logs"] is None
            api.await_indexes()
            listed = structured(await client.call_tool("outpost_list_runs", {"limit": 1}))
            assert [each["id"] for each in listed["items"]] == [made["id"]]
            rest = {"limit": 1, "cursor": listed["pagination"]["cursor"]}
            listed = structured(await client.call_tool("outpost_list_runs", rest))
            assert [each["id"] for each in listed["items"]] == [running.id]
            ended = api.end(running)
            found = structured(await client.call_tool("outpost_get_artifacts", {"dispatch_id": ended.id}))
            assert found["dispatch_id"] == ended.id
            gone = structured(
                await client.call_tool("outpost_cancel", {"dispatch_id": made["id"], "reason": "why not"})
            )
            assert (gone["status"], gone["reason"]["message"]) == ("cancelled", "Cancelled: why not")
            health = structured(await client.call_tool("outpost_health"))
            assert health["status"] in {"healthy", "degraded", "unhealthy"}
            assert health["fleet"]["agents"]["shell"]["available"] is True
            assert structured(await client.call_tool("outpost_list_workspaces"))["items"] == []
            assert "NOT_FOUND" in text_of(
                await client.call_tool("outpost_delete_workspace", {"workspace_id": new_id()})
            )

    anyio.run(main)


def test_a_user_id_is_a_label_and_decides_nothing(api: Api, session: Session, tenant: Tenant) -> None:
    async def main() -> None:
        async with session() as client:
            made = structured(await client.call_tool("outpost_dispatch", {**TASK, "user_id": "ada"}))
            assert made["tags"] == {"user_id": "ada"}
            assert api.row(made["id"]).tenant_id == tenant.id
            await client.call_tool("outpost_dispatch", TASK)
            api.await_indexes()
            mine = structured(await client.call_tool("outpost_list_runs", {"user_id": "ada"}))
            assert [each["id"] for each in mine["items"]] == [made["id"]]
            seen = structured(await client.call_tool("outpost_status", {"dispatch_id": made["id"], "user_id": "eve"}))
            assert seen["id"] == made["id"]

    anyio.run(main)


def test_an_idempotency_key_makes_a_repeated_call_harmless(session: Session) -> None:
    async def main() -> None:
        async with session() as client:
            first, second = [
                structured(await client.call_tool("outpost_dispatch", {**TASK, "idempotency_key": "k-1"}))["id"]
                for _ in range(2)
            ]
            assert first == second
            other = {**TASK, "task": "echo something else", "idempotency_key": "k-1"}
            assert "CONFLICT" in text_of(await client.call_tool("outpost_dispatch", other))

    anyio.run(main)


MENDABLE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("outpost_dispatch", {"agent": "shell"}, ["VALIDATION_ERROR", '"field": "task"']),
    (
        "outpost_dispatch",
        TASK | {"timeout_seconds": 5},
        ['"field": "timeout_seconds"', "is 5: give 30 or more"],
    ),
    ("outpost_dispatch", TASK | {"timeoutSeconds": 50}, ['"field": "timeoutSeconds"', "timeout_seconds"]),
    ("outpost_dispatch", TASK | {"branch": "main"}, ['"field": "branch"', "needs a repo"]),
    ("outpost_dispatch", TASK | {"task": "echo one\0 echo two"}, ['"field": "task"', "NUL"]),
    ("outpost_status", {}, ['"field": "dispatch_id"', "required"]),
    ("outpost_status", {"dispatch_id": ""}, ['"field": "dispatch_id"', "is not an id"]),
    ("outpost_status", {"dispatch_id": "../health"}, ['"field": "dispatch_id"', "is not an id"]),
    ("outpost_status", {"dispatch_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, ["NOT_FOUND"]),
    ("outpost_list_runs", {"limit": 1000}, ['"field": "limit"', "give 100 or less"]),
]


def test_what_a_model_can_mend_is_told_as_a_result(session: Session) -> None:
    async def main() -> None:
        async with session() as client:
            for tool, arguments, words in MENDABLE:
                text = text_of(await client.call_tool(tool, arguments))
                assert [word for word in words if word not in text] == [], (tool, arguments, text)

    anyio.run(main)


def test_an_unknown_tool_is_refused_with_the_names_of_those_there_are(session: Session) -> None:
    async def main() -> None:
        async with session() as client:
            with pytest.raises(MCPError, match="outpost_status"):
                await client.call_tool("outpost_make_coffee", {})

    anyio.run(main)


def test_a_tool_needs_the_scope_of_its_route(api: Api, session: Session, id_: str) -> None:
    async def main() -> None:
        async with session(Scope.LIST) as client:
            assert "AUTHORIZATION_ERROR" in text_of(await client.call_tool("outpost_dispatch", TASK))
            assert "AUTHORIZATION_ERROR" in text_of(await client.call_tool("outpost_cancel", {"dispatch_id": id_}))
            assert "AUTHORIZATION_ERROR" in text_of(await client.call_tool("outpost_status", {"dispatch_id": id_}))
            assert structured(await client.call_tool("outpost_health"))["fleet"] is None
            api.await_indexes()
            assert [row["id"] for row in structured(await client.call_tool("outpost_list_runs"))["items"]] == [id_]

    anyio.run(main)


def test_another_tenants_dispatch_is_not_found(api: Api, id_: str) -> None:
    async def main() -> None:
        async with over_http(api.url, api.key(api.tenant())) as client:
            for tool in ("outpost_status", "outpost_cancel", "outpost_get_artifacts"):
                assert "NOT_FOUND" in text_of(await client.call_tool(tool, {"dispatch_id": id_}))

    anyio.run(main)


def test_a_call_without_a_good_key_is_a_401_before_anything_is_read(api: Api) -> None:
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    for key in ({}, {"Authorization": f"Bearer otp_{'0' * 64}"}):
        response = httpx.post(f"{api.url}/mcp", headers=headers | key, content=b"{not even json", timeout=120)
        refused(response, 401, "AUTHENTICATION_ERROR")


def test_another_name_for_the_service_is_refused(api: Api, tenant: Tenant) -> None:
    """So that a page in somebody's browser that has its own name resolve to us gets nowhere."""
    headers = {"X-API-Key": api.key(tenant), "Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert httpx.post(f"{api.url}/mcp", headers=headers, json=body, timeout=120).status_code == 200
    assert (
        httpx.post(f"{api.url}/mcp", headers=headers | {"Host": "evil.example"}, json=body, timeout=120).status_code
        == 421
    )
    assert (
        httpx.post(
            f"{api.url}/mcp", headers=headers | {"Origin": "https://evil.example"}, json=body, timeout=120
        ).status_code
        == 403
    )


def test_there_is_no_session_to_get_or_delete(api: Api, client: httpx.Client) -> None:
    for method in ("GET", "DELETE"):
        refused(client.request(method, "/mcp"), 405, "METHOD_NOT_ALLOWED")


def test_each_request_counts_once_against_the_keys_limit_and_the_last_refusal_is_for_the_model(api: Api) -> None:
    tenant = api.tenant(overrides=Overrides(requests_per_minute=6))
    key = api.key(tenant)

    with api.client(key) as client:
        left = int(client.get("/dispatch").headers["X-RateLimit-Remaining"])
        response = client.post("/mcp", json=message("tools/list"), headers=ACCEPT)
        assert (response.status_code, int(response.headers["X-RateLimit-Remaining"])) == (200, left - 1)
        response = client.post("/mcp", json=message("tools/call", name="outpost_health", arguments={}), headers=ACCEPT)
        assert (response.status_code, int(response.headers["X-RateLimit-Remaining"])) == (200, left - 2)
        while client.post("/mcp", json=message("ping"), headers=ACCEPT).status_code == 200:
            pass
        for method in ("initialize", "tools/list", "ping"):
            response = client.post("/mcp", json=message(method), headers=ACCEPT)
            refused(response, 429, "RATE_LIMIT_EXCEEDED")
            assert int(response.headers["Retry-After"]) > 0
        refused(client.post("/mcp", content="{", headers=ACCEPT), 429, "RATE_LIMIT_EXCEEDED")
        called = message("tools/call", name="outpost_list_runs", arguments={})
        result = client.post("/mcp", json=called, headers=ACCEPT).json()["result"]
    assert result["isError"] is True
    assert json.loads(result["content"][0]["text"])["code"] == "RATE_LIMIT_EXCEEDED"


ACCEPT = {"Accept": "application/json, text/event-stream"}


def message(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
