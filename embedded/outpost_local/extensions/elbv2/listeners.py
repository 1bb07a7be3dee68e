"""A request reaches the listener of the port that it was sent to: 443 over TLS, 80 otherwise.

MiniStack takes the port from the Host header, which names the gateway's port here, and falls back to any listener of
the load balancer: a request over plain HTTP would reach the HTTPS listener's target instead of its redirect.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from ministack.services import alb

from outpost_local.extensions.iam.task_roles import AsgiApp, Scope

_port: ContextVar[int] = ContextVar("load_balancer_port", default=80)


def install() -> None:
    """Choose the listener by the scheme of the connection, and refuse a port without one."""
    dispatch = alb.dispatch_request

    async def dispatch_to_listener(
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

    alb.dispatch_request = dispatch_to_listener


def serving(app: AsgiApp) -> AsgiApp:
    """Return `app` with the scheme of each request's connection known to the load balancers."""

    async def serve(scope: Scope, receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[None]]) -> None:
        _port.set(443 if scope.get("scheme") == "https" else 80)
        await app(scope, receive, send)

    return serve
