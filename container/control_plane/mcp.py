"""POST /mcp: the API's operations as MCP tools (`outpost_client.mcp`), on any replica.

A tool calls the API's own routes inside this process, with the caller's headers: what REST checks, limits and records,
it does for tools as well. There are no sessions, so there is nothing to GET or DELETE here.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

import httpx
from fastapi import FastAPI
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane.addresses import LOOPBACK, public_url
from control_plane.auth import identify
from control_plane.envelope import request_id
from control_plane.errors import ApiError, ErrorCode
from control_plane.middleware import MAX_BODY_BYTES
from control_plane.services import Services
from control_plane.turns import Turns
from outpost_client.mcp.server import Context, build
from outpost_client.mcp.tools import BoundTool, bind

PATH = "/mcp"
_FORWARDED = ("authorization", "x-api-key", "x-request-id")


class McpEndpoint:
    """The ASGI application behind the route: authenticates and counts, then hands over to the MCP package."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager
        self.route = Route(PATH, self, methods=["POST"], include_in_schema=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of a caller whose key is good; each tool checks the caller's scopes."""
        scope["route"] = self.route  # as FastAPI does for its own routes: request log and audit log name it
        request = Request(scope, receive)
        try:
            await identify(request)
        except ApiError as refusal:
            if refusal.code is not ErrorCode.RATE_LIMIT_EXCEEDED or not await _calls_a_tool(request):
                raise
            # The route behind the tool refuses it as well, in a form that a model can act on.
        _accept_json(scope)
        await request.body()  # one that comes slowly holds no turn
        turns: Turns = request.app.state.turns
        async with turns.take(request.state.principal.tenant.id):
            await self._manager.handle_request(scope, _again(request), send)


def _accept_json(scope: Scope) -> None:
    """Take a request without `Accept`, or with a range that covers JSON, as one that accepts JSON (RFC 9110, 12.5.1).

    The MCP package takes the exact media type only.
    """
    accepted = Headers(scope=scope).get("accept", "*/*")
    ranges = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
    if ranges & {"*/*", "application/*"}:
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept"]
        scope["headers"] = [*headers, (b"accept", b"application/json, text/event-stream")]


async def _calls_a_tool(request: Request) -> bool:
    try:
        message = json.loads(await request.body())
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("method") == "tools/call"


def _again(request: Request) -> Receive:
    """Return what gives the request's body, which has been read, once more."""
    messages: list[Message] = [{"type": "http.request", "body": request._body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await request.receive()

    return receive


def _part_of(whole: Request, app: ASGIApp) -> ASGIApp:
    """Return the application for requests of the same client, counted with the one that they are part of."""

    async def part(scope: Scope, receive: Receive, send: Send) -> None:
        scope["client"] = whole.scope["client"]
        scope["state"] = {"counted": whole.state.counted, "allowance": whole.state.allowance}
        await app(scope, receive, send)

    return part


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
        headers["x-request-id"] = request_id.get()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=_part_of(request, app)),
            base_url=public_url(request, services.settings.hosts),
            headers=headers,
        ) as http:
            yield http

    manager = StreamableHTTPSessionManager(
        build(services.settings.version, tools, connect),
        json_response=True,
        stateless=True,
        security_settings=_only_for(services.settings.hosts),
        max_request_body_size=MAX_BODY_BYTES,
    )
    app.router.routes.append(McpEndpoint(manager).route)
    return manager.run()


def _only_for(hosts: tuple[str, ...]) -> TransportSecuritySettings:
    """Return the hosts and origins to serve: a page in a browser may reach this service under an attacker's name.

    A load balancer's name comes in mixed case, and most clients send it in lower case.
    """
    spelled = {spelling for host in (*LOOPBACK, *hosts) for spelling in (host, host.lower())}
    names = [name for host in sorted(spelled) for name in (host, f"{host}:*")]
    origins = [f"{scheme}://{name}" for name in names for scheme in ("https", "http")]
    return TransportSecuritySettings(allowed_hosts=names, allowed_origins=origins)
