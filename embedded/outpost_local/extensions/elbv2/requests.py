"""A request to a load balancer reaches the listener of the port that it was sent to, whatever its path.

The port is 443 over TLS, 80 otherwise. MiniStack takes it from the Host header, which names the gateway's port here,
and falls back to any listener of the load balancer: a request over plain HTTP would reach the HTTPS listener's target
instead of its redirect.

MiniStack looks at some paths before it looks at the host: `/health` is the emulator's own, and `/v2/...`, `/oauth2/...`
or `/.well-known/...` go to services of AWS, so that an application behind a load balancer can have no such routes. (It
finds a load balancer by the Host header, after all of these.)

The metrics of a load balancer (AWS/ApplicationELB): MiniStack records none.

Requests, responses and their times are recorded as they happen; how many targets are healthy, each 10 s.

A web ACL is evaluated for the requests to the load balancer that it is associated with.

MiniStack keeps web ACLs and evaluates none (`ministack.services.alb` never reads them): a route of ours that WAF blocks
on AWS would work here. What a managed rule matches is what AWS documents, see `outpost_local.waf.managed_rules`. What
is blocked gets an HTML page of status 403 (AWS WAF: Customized web requests and responses). Rates are counted exactly
here; AWS estimates them, some seconds late.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

from ministack import app
from ministack.core.responses import get_request_client_ip
from ministack.services import alb, cloudwatch, waf

from outpost_local.extensions.elbv2.target_health import TARGETS
from outpost_local.extensions.elbv2.targets import error_response
from outpost_local.extensions.iam.task_roles import AsgiApp, Scope
from outpost_local.extensions.patch import Patch, around
from outpost_local.waf.request import WebRequest
from outpost_local.waf.web_acl import Json, evaluate

AFTER = ("iam.task_roles",)

Route = Callable[..., Awaitable[Any]]

_port: ContextVar[int] = ContextVar("load_balancer_port", default=80)


def _serving(app_: AsgiApp) -> AsgiApp:
    """Return the app with the port of each request's connection known to the load balancers."""

    async def serve(scope: Scope, receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[None]]) -> None:
        _port.set(443 if scope.get("scheme") == "https" else 80)
        await app_(scope, receive, send)

    return serve


async def _dispatch_to_listener(dispatch: Route, balancer: dict[str, Any], *request: Any, **options: Any) -> Any:
    method, path, headers, body, query, *rest = request
    port, arn = _port.get(), balancer["LoadBalancerArn"]
    if not any(each["LoadBalancerArn"] == arn and each.get("Port") == port for each in alb._listeners.values()):
        message = f"{balancer['LoadBalancerName']} has no listener on port {port}"
        return 503, {"Content-Type": "text/plain"}, message.encode()
    # The next argument is the port of the Host header.
    return await dispatch(balancer, method, path, headers, body, query, port, *rest[1:], **options)


async def _skip(route: Route, method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
    """Skip one of MiniStack's own routes for the host names of load balancers."""
    return None if _for_balancer(headers) else await route(method, path, headers, *rest)


async def _data_plane(special: Route, *request: Any, **raw: Any) -> Any:
    method, path, headers, body, query, _request_id = request
    if not _for_balancer(headers):
        return await special(*request, **raw)
    raw_parts = (raw.get("raw_query_string", ""), raw.get("raw_path"))
    return await app._handle_alb_request(headers["host"], path, method, headers, body, query, *raw_parts)


def _for_balancer(headers: dict[str, str]) -> bool:
    return headers.get("host", "").partition(":")[0].lower().endswith(".elb.amazonaws.com")


_PATHS, _PORTS = "the emulator takes /health from load balancers", "a request reaches the listener of another port"


NAMESPACE = "AWS/ApplicationELB"
_PERIOD_SECONDS = 10.0


async def _dispatch_and_record(
    dispatch: Callable[..., Awaitable[Any]], balancer: dict[str, Any], *arguments: Any, **options: Any
) -> Any:
    begin = time.monotonic()
    response = await dispatch(balancer, *arguments, **options)
    _record_request(balancer["LoadBalancerArn"], response[0], time.monotonic() - begin)
    return response


def start() -> None:
    """Look at the targets regularly."""
    threading.Thread(target=_look_at_targets, name="alb-metrics", daemon=True).start()


def _record_request(load_balancer_arn: str, status: int, seconds: float) -> None:
    dimensions = {"LoadBalancer": load_balancer_arn.partition("loadbalancer/")[2]}
    # The responses of the balancer itself, when no target responds.
    side = "ELB" if status in (502, 503, 504) else "Target"
    cloudwatch.record_metric(NAMESPACE, "RequestCount", 1, "Count", dimensions)
    cloudwatch.record_metric(NAMESPACE, f"HTTPCode_{side}_{status // 100}XX_Count", 1, "Count", dimensions)
    if side == "Target":
        cloudwatch.record_metric(NAMESPACE, "TargetResponseTime", seconds, "Seconds", dimensions)


def _look_at_targets() -> None:
    while True:
        _record_health()
        time.sleep(_PERIOD_SECONDS)


def _record_health() -> None:
    """Record the health of each target group of each load balancer once."""
    for arn, group in list(alb._tgs.items()):
        states = TARGETS.states(arn)
        for balancer in group.get("LoadBalancerArns") or []:
            dimensions = {
                "LoadBalancer": balancer.partition("loadbalancer/")[2],
                "TargetGroup": arn.rpartition(":")[2],
            }
            for name, state in (("HealthyHostCount", "healthy"), ("UnHealthyHostCount", "unhealthy")):
                cloudwatch.record_metric(NAMESPACE, name, states.count(state), "Count", dimensions)


_recent: dict[tuple[str, str], deque[float]] = defaultdict(deque)
"""(ARN of a web ACL, address) -> times of its requests in the longest window."""


async def _dispatch_allowed(
    dispatch: Callable[..., Awaitable[Any]],
    balancer: dict[str, Any],
    *request: Any,
    raw_query_string: str | None = None,
    raw_path: str | None = None,
    **options: Any,
) -> Any:
    if acl := _acl_of(balancer["LoadBalancerArn"]):
        method, path, headers, body = request[:4]
        seen = WebRequest(method, raw_path or path, raw_query_string or "", tuple(headers.items()), body or b"")
        if evaluate(acl, seen, _count(acl)).blocked:
            return error_response(HTTPStatus.FORBIDDEN)
    return await dispatch(balancer, *request, raw_query_string=raw_query_string, raw_path=raw_path, **options)


def _acl_of(load_balancer_arn: str) -> Json | None:
    """Return the web ACL that is associated with a load balancer, in whichever account and region."""
    arns = [arn for (_, _, resource), arn in waf._associations.all_items() if resource == load_balancer_arn]
    acls: list[Json] = [acl for _, acl in waf._web_acls.all_items() if acl["ARN"] in arns]
    return acls[0] if acls else None


def _count(acl: Json) -> int:
    """Count a request of the current client; return how many it made in the window, this one included."""
    statements = (rule["Statement"].get("RateBasedStatement") for rule in acl["Rules"])
    window = max((int(each.get("EvaluationWindowSec", 300)) for each in statements if each), default=0)
    times, at = _recent[acl["ARN"], get_request_client_ip()], time.monotonic()
    times.append(at)
    while times[0] < at - window:
        times.popleft()
    return len(times)


PATCHES = (
    around("app._handle_pre_body_request", _skip, _PATHS),
    around("app._handle_post_body_shortcuts", _skip, _PATHS),
    around("app._handle_special_data_plane_request", _data_plane, _PATHS),
    around("services.alb.dispatch_request", _dispatch_to_listener, _PORTS),
    Patch("app.app", _serving, _PORTS),
    around("services.alb.dispatch_request", _dispatch_and_record, "a load balancer has no metrics"),
    around("services.alb.dispatch_request", _dispatch_allowed, "a web ACL blocks nothing"),
)
