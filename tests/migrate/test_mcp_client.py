"""The migration's MCP client against a server that refuses, over HTTP on loopback."""

import pytest

from outpost_migration.mcp import McpClient
from outpost_ops.errors import OperationError
from tests.loopback import Service, serving
from tests.ports import free_port


def refusal(status: int) -> bytes:
    return b"HTTP/1.1 %d No\r\nRetry-After: 0.01\r\nContent-Length: 0\r\n\r\n" % status


def test_a_refusal_that_passes_is_repeated() -> None:
    with serving(Service(refusal(503), refusal(429), refusal(401))) as server:
        with pytest.raises(OperationError, match=r"/mcp failed: HTTP 401"):
            McpClient(f"http://127.0.0.1:{server.server_port}/", "key").tools()
        assert [headers["authorization"] for headers, _ in server.asked] == ["Bearer key"] * 3


def test_a_refusal_that_stays_is_reported_with_its_status() -> None:
    with serving(Service(*[refusal(503)] * 6)) as server:
        with pytest.raises(OperationError, match=r"/mcp failed: HTTP 503"):
            McpClient(f"http://127.0.0.1:{server.server_port}", "key").call("outpost_health", {})
        assert server.responses == []


PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 6\r\n\r\n<html>"


@pytest.mark.parametrize("kind", [b"text/html", b"application/json"])
def test_a_service_that_is_no_mcp_server_is_named(kind: bytes) -> None:
    with serving(Service(*[PAGE % kind] * 3)) as server, pytest.raises(OperationError, match="/mcp failed: "):
        McpClient(f"http://127.0.0.1:{server.server_port}", "key").tools()


def test_a_pause_that_is_no_number_of_seconds_is_refused() -> None:
    dated = b"HTTP/1.1 503 No\r\nRetry-After: Sat, 28 Nov 2026 12:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
    with serving(Service(*[dated] * 3)) as server, pytest.raises(OperationError, match="/mcp failed: "):
        McpClient(f"http://127.0.0.1:{server.server_port}", "key").tools()


def test_a_service_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(OperationError, match=r"MCP at http://127\.0\.0\.1:\d+/mcp failed: "):
        McpClient(f"http://127.0.0.1:{free_port()}", "key").tools()
