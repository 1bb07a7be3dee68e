"""What HTTP expects of every route beside its own methods: HEAD where GET is, OPTIONS, and no redirect for a slash."""

from http import HTTPMethod
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Match, Mount
from starlette.types import Message, Scope, Send


class ResponseEndedError(Exception):
    """The response to a HEAD request is complete: nothing of the body is sent or made any more."""


def allowed(app: Starlette, scope: Scope) -> list[str]:
    """Return the methods that the path of a request can be called with; none where there is no such path."""
    scope = {**scope, "root_path": ""}  # a mount has moved the path below its own
    matching = [method for method in HTTPMethod if _matches(app, {**scope, "method": method.value})]
    if HTTPMethod.GET in matching:
        matching.append(HTTPMethod.HEAD)
    return sorted({*matching, HTTPMethod.OPTIONS}) if matching else []


def _matches(app: Starlette, scope: dict[str, Any]) -> bool:
    return any(
        route.matches(scope)[0] is Match.FULL
        for route in app.router.routes
        if scope["method"] == HTTPMethod.GET or not isinstance(route, Mount)  # a mount has files, and no methods
    )


def normalized(scope: Scope) -> Scope:
    """Return the scope that the routes see: HEAD is GET there, and a slash at the end of the path is left out."""
    path = scope["path"].rstrip("/") or "/"
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return {**scope, "method": method, "path": path}


def without_body(send: Send) -> Send:
    """Return a `send` for HEAD requests: it ends the response at the first part of the body.

    Raises `ResponseEndedError` if more parts would follow: a stream of events would last for minutes.
    """

    async def send_head(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if message.get("more_body", False):
            raise ResponseEndedError

    return send_head


async def send_options(methods: list[str], send: Send) -> None:
    """Send the response to an OPTIONS request. It allows no other origin anything (no CORS headers)."""
    headers = [(b"allow", ", ".join(methods).encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
