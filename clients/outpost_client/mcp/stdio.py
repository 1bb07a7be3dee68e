"""The MCP server over standard input and output."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio
import httpx
from mcp.server.stdio import stdio_server

from outpost_client.mcp.server import Context, build
from outpost_client.mcp.tools import BoundTool, bind, openapi
from outpost_client.session import TIMEOUT


def serve(url: str, key: str) -> None:
    """Serve the tools of the Outpost at `url` until standard input ends."""
    anyio.run(_serve, url, key)


async def _serve(url: str, key: str) -> None:
    """Serve until standard input ends. The tools are those of the service, read when they are first needed."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT) as http:
        known: dict[str, BoundTool] = {}

        async def tools() -> dict[str, BoundTool]:
            if not known:
                known.update(bind(await openapi(http)))
            return known

        @asynccontextmanager
        async def connect(_: Context) -> AsyncIterator[httpx.AsyncClient]:
            yield http

        server = build(version("outpost-client"), tools, connect)
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
