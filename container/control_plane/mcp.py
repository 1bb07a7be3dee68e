"""POST /mcp: the API's operations as MCP tools (`outpost.mcp`), for any replica to answer.

A tool calls the API's own routes inside this process, with the caller's headers: what REST checks, limits and records,
it does for tools as well. There are no sessions, so there is nothing to GET or DELETE here.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

import httpx
from fastapi import FastAPI
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from control_plane.boundary import MAX_BODY_BYTES
from control_plane.services import Services
from outpost.mcp.server import Context, build
from outpost.mcp.tools import BoundTool, bind

PATH = "/mcp"
LOOPBACK = ("127.0.0.1", "localhost")
_FORWARDED = ("authorization", "x-api-key", "x-request-id")


class McpEndpoint:
    """The ASGI application behind the route: authenticates, then hands over to the MCP package."""

    def __init__(self, manager: StreamableHTTPSessionManager, services: Services) -> None:
        self._manager = manager
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of a caller whose key is good; which tools it may use is theirs to say."""
        request = Request(scope)
        request.state.principal = await self._services.authenticator.authenticate(request.headers)
        await self._manager.handle_request(scope, receive, send)


def install(app: FastAPI, services: Services) -> AbstractAsyncContextManager[None]:
    """Add the route, and return what has to be entered while the application runs."""

    @cache
    def bound() -> dict[str, BoundTool]:
        return bind(app.openapi())

    async def tools() -> dict[str, BoundTool]:
        return bound()

    @asynccontextmanager
    async def connect(context: Context) -> AsyncIterator[httpx.AsyncClient]:
        request = context.request
        assert isinstance(request, Request)  # noqa: S101 - every call comes over HTTP
        headers = {name: request.headers[name] for name in _FORWARDED if name in request.headers}
        headers["x-request-id"] = request.state.request_id
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url=str(request.base_url), headers=headers
        ) as http:
            yield http

    manager = StreamableHTTPSessionManager(
        build(services.version, tools, connect),
        json_response=True,
        stateless=True,
        security_settings=_only_for(services.hosts),
        max_request_body_size=MAX_BODY_BYTES,
    )
    app.router.routes.append(Route(PATH, McpEndpoint(manager, services), methods=["POST"], include_in_schema=False))
    return manager.run()


def _only_for(hosts: tuple[str, ...]) -> TransportSecuritySettings:
    """A page in somebody's browser may reach this service under a name of the attacker's: only ours are answered.

    A load balancer's name comes in mixed case, and most clients send it in lower case.
    """
    spelled = {spelling for host in (*LOOPBACK, *hosts) for spelling in (host, host.lower())}
    names = [name for host in sorted(spelled) for name in (host, f"{host}:*")]
    origins = [f"{scheme}://{name}" for name in names for scheme in ("https", "http")]
    return TransportSecuritySettings(allowed_hosts=names, allowed_origins=origins)
