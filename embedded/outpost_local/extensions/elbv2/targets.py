"""A load balancer waits for its targets without a thread of the emulator, and for no longer than its idle timeout.

MiniStack waits in one of the 64 threads that all of its services share: a target that hangs, or 64 responses that are
still streamed, would stop all of AWS.

On AWS a request gets 502 if the target cannot be reached or ends the connection, and 504 if no connection is
established in 10 s or the target sends nothing for the idle timeout (Application Load Balancers: Troubleshoot your
Application Load Balancers).
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import httpx
from ministack.core.responses import StreamingResponse
from ministack.services import alb

from outpost_local.extensions.patch import Patch

_CONNECT_SECONDS = 10.0
_HOP_BY_HOP = frozenset({"content-length", "connection", "transfer-encoding"})
_logger = logging.getLogger(__name__)
_transport = httpx.AsyncHTTPTransport(
    limits=httpx.Limits(max_connections=None, max_keepalive_connections=0), trust_env=False
)

Response = tuple[int, dict[str, Any], Any]
"""Status, headers (a list where one is repeated), and body: bytes or a `StreamingResponse`."""
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def forward(
    target: Mapping[str, Any],
    group: Mapping[str, Any],
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    query: Mapping[str, Any],
    raw_query: str | None = None,
) -> Response:
    """Send a request to a target, on a connection of its own as MiniStack does.

    Returns the target's response, its body streamed, or 502 or 504.
    """
    query_string = urlencode(query, doseq=True) if raw_query is None else raw_query
    request = httpx.Request(
        method.upper(),
        f"http://{target['Id']}:{target.get('Port') or group.get('Port') or 80}",
        headers={name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP},
        content=body or None,
        extensions={
            "target": f"{path}?{query_string}".removesuffix("?").encode(),
            "timeout": httpx.Timeout(_idle_seconds(group), connect=_CONNECT_SECONDS).as_dict(),
        },
    )
    try:
        response = await _transport.handle_async_request(request)
    except httpx.TimeoutException:
        return error_response(HTTPStatus.GATEWAY_TIMEOUT)
    except httpx.TransportError:
        return error_response(HTTPStatus.BAD_GATEWAY)
    return response.status_code, _headers(response), StreamingResponse(partial(_stream, response))


async def _stream(response: httpx.Response, send: Send, receive: Receive) -> None:
    """Relay the body until it ends or the client is gone. Of one that is cut short, the end is not sent."""
    relay, gone = (
        asyncio.ensure_future(_relay(response, send)),
        asyncio.ensure_future(alb._await_http_disconnect(receive)),
    )
    try:
        await asyncio.wait({relay, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (relay, gone):
            each.cancel()
        await asyncio.gather(relay, gone, return_exceptions=True)
        with contextlib.suppress(httpx.TransportError):
            await response.aclose()


async def _relay(response: httpx.Response, send: Send) -> None:
    try:
        async for chunk in response.aiter_raw():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except httpx.TransportError as error:
        _logger.warning("a target's response ends before its time: %r", error)
    else:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _idle_seconds(group: Mapping[str, Any]) -> float:
    """Return the idle timeout of the group's load balancer, in seconds; 60 is AWS's default."""
    balancer = next(iter(group.get("LoadBalancerArns") or []), None)
    return float(alb._lb_attr(balancer, "idle_timeout.timeout_seconds", "60"))


def _headers(response: httpx.Response) -> dict[str, Any]:
    """Return the target's headers, by lower-case name; a list where one is repeated."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, value in response.headers.multi_items():
        found[name].append(value)
    found["date"] = [formatdate(usegmt=True)]  # the load balancer writes its own
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def error_response(status: HTTPStatus) -> Response:
    """Return a response of the load balancer itself."""
    title = f"{status.value} {status.phrase}"
    page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"  # noqa: E501
    return status.value, {"Content-Type": "text/html", "Server": "awselb/2.0"}, page.encode()


PATCHES = (Patch("services.alb._proxy_http_target", lambda _: forward, "a target that hangs holds a thread"),)
