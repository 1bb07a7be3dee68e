"""`outpost mcp`: the MCP server over standard input and output, for clients that start their servers themselves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import anyio
import httpx
import typer
from mcp.server.stdio import stdio_server

from outpost_client.calls import openapi
from outpost_client.cli.connection import ERROR, Profile, ProfileError, load_profile
from outpost_client.cli.output import show_error
from outpost_client.mcp.server import Context, build
from outpost_client.mcp.tools import BoundTool, bind
from outpost_client.session import TIMEOUT


def mcp(context: typer.Context) -> None:
    """Serve Outpost's tools to an MCP client over standard input and output.

    An MCP client starts this by itself; where it can reach the service, `<url>/mcp` does the same without it.
    """
    try:
        anyio.run(_serve, load_profile(context.obj))
    except ProfileError as error:
        show_error(str(error))
        raise typer.Exit(ERROR) from error


async def _serve(profile: Profile) -> None:
    """Answer until standard input ends. The tools are those of the service, read when they are first asked for."""
    headers = {"Authorization": f"Bearer {profile.key}"}
    async with httpx.AsyncClient(base_url=profile.url, headers=headers, timeout=TIMEOUT) as http:
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
