"""Calls MCP tools over streamable HTTP, as a client of the service would."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from outpost_client.mcp.catalogue import CATALOGUE
from outpost_ops.errors import OperationError

_ATTEMPTS = 6
"""Requests until a transient error (429, 503) counts as the response."""
_LONGEST_PAUSE = 60.0
"""Most seconds before a request is repeated, even if `Retry-After` is longer."""
TOOLS = tuple(tool.name for tool in CATALOGUE)
"""What the service promises."""
T = TypeVar("T")


class ToolResult(NamedTuple):
    """The result of a call: whether it succeeded, and its structured content."""

    succeeded: bool
    content: dict[str, Any]


class McpClient:
    """Calls a service's tools, each in a session of its own.

    Methods raise `OperationError` when the service cannot be reached, refuses, or does not speak the protocol.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url = f"{url.rstrip('/')}/mcp"
        self._headers = {"Authorization": f"Bearer {key}"}

    def tools(self) -> set[str]:
        """Return the names that the server lists."""
        return {tool.name for tool in self._in_session(lambda client: client.list_tools()).tools}

    def call(self, name: str, arguments: dict[str, Any]) -> ToolResult:
        """Call a tool."""
        result = self._in_session(lambda client: client.call_tool(name, arguments))
        return ToolResult(not result.is_error, result.structured_content or {})

    def _in_session(self, request: Callable[[Client], Awaitable[T]]) -> T:
        async def session() -> T:
            async with (
                httpx2.AsyncClient(headers=self._headers, timeout=60, transport=_Retrying()) as http,
                Client(streamable_http_client(self._url, http_client=http)) as client,
            ):
                return await request(client)

        try:
            return anyio.run(session)
        except (MCPError, httpx2.HTTPError, ValueError, ExceptionGroup) as error:
            raise OperationError(f"MCP at {self._url} failed: {_cause(error)}") from error


class _Retrying(httpx2.AsyncHTTPTransport):
    """Repeats requests with a transient error; raises `HTTPStatusError` for what MCP has no response to."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for attempt in range(1, _ATTEMPTS + 1):
            response = await super().handle_async_request(request)
            if response.status_code in (429, 503) and attempt < _ATTEMPTS:
                await response.aclose()
                await anyio.sleep(min(float(response.headers.get("Retry-After", 2)), _LONGEST_PAUSE))
            elif response.status_code in (401, 403, 429) or response.status_code >= 500:
                await response.aclose()
                raise httpx2.HTTPStatusError(f"HTTP {response.status_code}", request=request, response=response)
            else:
                break
        return response


def _cause(error: BaseException) -> BaseException:
    """Return the first error of a group, which task groups raise."""
    return _cause(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
