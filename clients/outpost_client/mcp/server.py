"""The MCP server: lists the tools, and calls them on behalf of a client."""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)

from outpost_client.errors import NOT_OUTPOST, ApiError
from outpost_client.mcp.tools import BoundTool, error_text

Context = ServerRequestContext[Any, Any]
Tools = Callable[[], Awaitable[Mapping[str, BoundTool]]]
Connect = Callable[[Context], AbstractAsyncContextManager[httpx.AsyncClient]]
"""Opens a session with the API that carries the client's key."""

INSTRUCTIONS = """Outpost runs coding tasks with AI agents, each in a container of its own, and keeps what they produce.

outpost_dispatch hands in a task; outpost_status shows how it fares, with its log; outpost_get_artifacts gives the
patch; outpost_promote pushes it to a branch and opens a pull request. Results with the value of a known
secret are withheld until outpost_release. A tool that fails says why and what to do about it."""

_NOT_THE_MODELS = frozenset({"INTERNAL_ERROR", NOT_OUTPOST})
"""Errors that no other arguments mend: the request is refused, rather than returned to the model as a result."""


def build(version: str, tools: Tools, connect: Connect) -> Server[Any]:
    """Return a server of the tools."""

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        try:
            known = await tools()
        except ApiError as error:
            raise _refusal(error) from error
        return ListToolsResult(tools=[bound.tool for bound in known.values()])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        try:
            known = await tools()
            bound = known.get(params.name)
            if bound is None:
                raise MCPError(INVALID_PARAMS, f"There is no tool {params.name!r}; there are: {', '.join(known)}")
            async with connect(context) as http:
                result = await bound.call(http, params.arguments or {})
        except ApiError as error:
            if error.code in _NOT_THE_MODELS:
                raise _refusal(error) from error
            return CallToolResult(content=[TextContent(text=error_text(error))], is_error=True)
        return CallToolResult(content=[TextContent(text=json.dumps(result))], structured_content=result)

    return Server(
        "outpost",
        version=version,
        title="Outpost",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _refusal(error: ApiError) -> MCPError:
    return MCPError(INTERNAL_ERROR, error.message, {"code": error.code, "request_id": error.request_id})
