"""A web ACL is evaluated for the requests to the load balancer that it is associated with.

MiniStack keeps web ACLs and evaluates none (`ministack.services.alb` never reads them): a route of ours that WAF blocks
on AWS would work here. What a managed rule matches is what AWS documents, see `outpost_ops.waf.managed_rules`. What
is blocked gets an HTML page of status 403 (AWS WAF: Customized web requests and responses). Rates are counted exactly
here; AWS estimates them, some seconds late.
"""

import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from ministack.core.responses import get_request_client_ip
from ministack.services import waf

from outpost_local.extensions.elbv2.targets import error_response
from outpost_local.extensions.patch import around
from outpost_ops.waf.request import WebRequest
from outpost_ops.waf.web_acl import Json, evaluate

_recent: dict[tuple[str, str], deque[float]] = defaultdict(deque)
"""(ARN of a web ACL, address) -> times of its requests in the longest window."""


AFTER = ("elbv2.metrics",)


async def _dispatch(
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


PATCHES = (around("services.alb.dispatch_request", _dispatch, "a web ACL blocks nothing"),)
