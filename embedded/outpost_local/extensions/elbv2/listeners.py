"""A request to a load balancer reaches the listener of the port that it was sent to, whatever its path.

The port is 443 over TLS, 80 otherwise. MiniStack takes it from the Host header, which names the gateway's port here,
and falls back to any listener of the load balancer: a request over plain HTTP would reach the HTTPS listener's target
instead of its redirect.

MiniStack looks at some paths before it looks at the host: `/health` is the emulator's own, and `/v2/...`, `/oauth2/...`
or `/.well-known/...` go to services of AWS, so that an application behind a load balancer can have no such routes. (It
finds a load balancer by the Host header, after all of these.)
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from ministack import app
from ministack.services import alb

from outpost_local.extensions.iam.task_roles import AsgiApp, Scope
from outpost_local.extensions.patch import Patch, around

AFTER = ("iam.task_roles",)

Route = Callable[..., Awaitable[Any]]

_port: ContextVar[int] = ContextVar("load_balancer_port", default=80)


def _serving(app_: AsgiApp) -> AsgiApp:
    """Return the app with the port of each request's connection known to the load balancers."""

    async def serve(scope: Scope, receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[None]]) -> None:
        _port.set(443 if scope.get("scheme") == "https" else 80)
        await app_(scope, receive, send)

    return serve


async def _dispatch(
    dispatch: Route,
    balancer: dict[str, Any],
    method: str,
    path: str,
    headers: Any,
    body: bytes,
    query: Any,
    _port_of_host: int = 80,
    *rest: Any,
    **options: Any,
) -> Any:
    port, arn = _port.get(), balancer["LoadBalancerArn"]
    if not any(each["LoadBalancerArn"] == arn and each.get("Port") == port for each in alb._listeners.values()):
        message = f"{balancer['LoadBalancerName']} has no listener on port {port}"
        return 503, {"Content-Type": "text/plain"}, message.encode()
    return await dispatch(balancer, method, path, headers, body, query, port, *rest, **options)


async def _skip(route: Route, method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
    """Skip one of MiniStack's own routes for the host names of load balancers."""
    return None if _for_balancer(headers) else await route(method, path, headers, *rest)


async def _data_plane(
    special: Route,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    query: Any,
    request_id: str,
    **raw: Any,
) -> Any:
    if not _for_balancer(headers):
        return await special(method, path, headers, body, query, request_id, **raw)
    raw_parts = (raw.get("raw_query_string", ""), raw.get("raw_path"))
    return await app._handle_alb_request(headers["host"], path, method, headers, body, query, *raw_parts)


def _for_balancer(headers: dict[str, str]) -> bool:
    return headers.get("host", "").partition(":")[0].lower().endswith(".elb.amazonaws.com")


_PATHS, _PORTS = "the emulator takes /health from load balancers", "a request reaches the listener of another port"

PATCHES = (
    around("app._handle_pre_body_request", _skip, _PATHS),
    around("app._handle_post_body_shortcuts", _skip, _PATHS),
    around("app._handle_special_data_plane_request", _data_plane, _PATHS),
    around("services.alb.dispatch_request", _dispatch, _PORTS),
    Patch("app.app", _serving, _PORTS),
)
