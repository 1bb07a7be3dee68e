"""The migration's MCP client against a server that refuses, over HTTP on loopback."""

import pytest

from outpost_migration.errors import MigrationError
from outpost_migration.mcp import McpClient
from tests.loopback import Service, serving
from tests.ports import free_port


def refusal(status: int) -> bytes:
    return b"HTTP/1.1 %d No\r\nRetry-After: 0.01\r\nContent-Length: 0\r\n\r\n" % status


def test_a_refusal_that_passes_is_repeated() -> None:
    with serving(Service(refusal(503), refusal(429), refusal(401))) as server:
        with pytest.raises(MigrationError, match=r"/mcp failed: HTTP 401"):
            McpClient(f"http://127.0.0.1:{server.server_port}/", "key").tools()
        assert [headers["authorization"] for headers, _ in server.asked] == ["Bearer key"] * 3


def test_a_refusal_that_stays_is_reported_with_its_status() -> None:
    with serving(Service(*[refusal(503)] * 6)) as server:
        with pytest.raises(MigrationError, match=r"/mcp failed: HTTP 503"):
            McpClient(f"http://127.0.0.1:{server.server_port}", "key").call("outpost_health", {})
        assert server.answers == []


def test_a_service_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(MigrationError, match=r"MCP at http://127\.0\.0\.1:\d+/mcp failed: "):
        McpClient(f"http://127.0.0.1:{free_port()}", "key").tools()
