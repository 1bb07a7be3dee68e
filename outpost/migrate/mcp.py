"""Calls MCP tools over streamable HTTP, as a client of the service would."""

import itertools
import json
import time
from typing import Any

import httpx

from outpost.migrate.errors import MigrationError

_PATIENCE = 5
"""How often in a row a refusal that passes is sat out."""
PROTOCOL = "2025-06-18"
TOOLS = (
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
)
"""What the service promises."""


class McpClient:
    """One session. Methods raise MigrationError when the server does not answer as the protocol says."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream"}
        self._http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=60)
        self._ids = itertools.count(1)

    def __enter__(self) -> "McpClient":
        """Open the session."""
        try:
            self._open()
        except MigrationError:
            self._http.close()
            raise
        return self

    def _open(self) -> None:
        client = {"name": "outpost-migrate", "version": "1"}
        answer = self._post(
            {
                "jsonrpc": "2.0",
                "id": next(self._ids),
                "method": "initialize",
                "params": {"protocolVersion": PROTOCOL, "capabilities": {}, "clientInfo": client},
            }
        )
        self._http.headers["MCP-Protocol-Version"] = PROTOCOL
        if session := answer.headers.get("mcp-session-id"):
            self._http.headers["Mcp-Session-Id"] = session
        self._post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def tools(self) -> list[dict[str, Any]]:
        """Return what the server lists."""
        found: list[dict[str, Any]] = self._call("tools/list", {})["tools"]
        return found

    def call(self, name: str, arguments: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """Call a tool; return whether it worked, and its structured content or error."""
        result = self._call("tools/call", {"name": name, "arguments": arguments})
        return not result.get("isError", False), result.get("structuredContent") or {}

    def _call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        message = _message(answer, number)
        if "error" in message:
            raise MigrationError(f"MCP {method}: {message['error'].get('message')}")
        result: dict[str, Any] = message["result"]
        return result

    def _post(self, message: dict[str, Any]) -> httpx.Response:
        try:
            answer = self._http.post("/mcp", json=message)
            for _ in range(_PATIENCE):
                if answer.status_code not in (429, 503):
                    break
                time.sleep(float(answer.headers.get("Retry-After", 2)))
                answer = self._http.post("/mcp", json=message)
        except httpx.HTTPError as error:
            raise MigrationError(f"{self._http.base_url}/mcp does not answer: {error}") from error
        if answer.is_error:
            raise MigrationError(f"{self._http.base_url}mcp answers {answer.status_code} to {message['method']}")
        return answer


def _message(answer: httpx.Response, number: int) -> dict[str, Any]:
    """Return the answer to one request, from a JSON body or a stream of events."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        lines = [line[5:].strip() for line in answer.text.splitlines() if line.startswith("data:")]
        candidates = [json.loads(line) for line in lines if line]
    else:
        candidates = [answer.json()]
    for message in candidates:
        if message.get("id") == number:
            found: dict[str, Any] = message
            return found
    raise MigrationError("the MCP server sent no answer to the request")
