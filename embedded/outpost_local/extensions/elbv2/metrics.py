"""The metrics of a load balancer (AWS/ApplicationELB): MiniStack records none.

Requests, responses and their times are recorded as they happen; how many targets are healthy, each 10 s.
"""

import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services import alb, cloudwatch

from outpost_local.extensions.elbv2.target_health import TARGETS
from outpost_local.extensions.patch import around

NAMESPACE = "AWS/ApplicationELB"
_PERIOD_SECONDS = 10.0


AFTER = ("elbv2.listeners",)


async def _dispatch(
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


PATCHES = (around("services.alb.dispatch_request", _dispatch, "a load balancer has no metrics"),)
