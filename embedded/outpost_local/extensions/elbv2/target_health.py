"""A load balancer checks its targets and sends requests to healthy ones; a service replaces a task that is unhealthy.

MiniStack takes every registered target for healthy, also one that does not listen yet and one that hangs. On AWS "each
load balancer node routes requests only to the healthy targets", a new target "must pass one health check to be
considered healthy", and where none is healthy all get requests (Application Load Balancers: Health checks for
Application Load Balancer target groups). The scheduler of a service "replaces tasks determined to be unhealthy after
... a load balancer target group health check fails" (Amazon ECS: Services); it ignores them during
healthCheckGracePeriodSeconds (CreateService).

Unlike on AWS, a new target is checked five times a second until it passes, so that no deployment waits for that, and an
unhealthy task is stopped when its replacement starts, not after it.
"""

import http.client
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.services import alb, ecs

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import Patch, around

AFTER = ("elbv2.targets",)

_TICK_SECONDS = 0.2
_REASONS = {"initial": "Elb.InitialHealthChecking", "unhealthy": "Target.FailedHealthChecks"}

Group = Mapping[str, Any]
Key = tuple[str, str, int]
"""ARN of a target group, address and port of a target."""


@dataclass(frozen=True)
class Health:
    """What the checks of one target found."""

    state: str = "initial"
    """`initial`, `healthy` or `unhealthy`."""
    streak: int = 0
    """Checks in a row that contradict the state; of a new target: that failed."""

    def after(self, group: Group, *, passed: bool) -> "Health":
        """Return the health after one more check."""
        if passed == (self.state == "healthy") and self.state != "initial":
            return replace(self, streak=0)
        streak = self.streak + 1
        if streak < self._needed(group, passed=passed):
            return replace(self, streak=streak)
        return Health("healthy" if passed else "unhealthy")

    def _needed(self, group: Group, *, passed: bool) -> int:
        """Return how many checks in a row change the state."""
        if self.state == "initial":
            failures = group["UnhealthyThresholdCount"] * group["HealthCheckIntervalSeconds"] / _TICK_SECONDS
            return 1 if passed else int(failures)
        return int(group["HealthyThresholdCount"] if passed else group["UnhealthyThresholdCount"])


class TargetHealth:
    """The checks of all target groups of the account in its region."""

    def __init__(self) -> None:
        self._known: dict[Key, Health] = {}
        self._due: dict[Key, float] = {}

    def state(self, group_arn: str, address: str, port: int) -> str:
        """Return the state of a target: `initial`, `healthy` or `unhealthy`."""
        return self._known.get((group_arn, address, port), Health()).state

    def states(self, group_arn: str) -> list[str]:
        """Return the states of a group's targets."""
        return [self.state(*key) for key in _targets(group_arn)]

    def run(self) -> None:
        """Check each target when it is due, for ever."""
        while True:
            self._begin_checks()
            time.sleep(_TICK_SECONDS)

    def _begin_checks(self) -> None:
        groups, now = dict(alb._tgs.items()), time.monotonic()
        keys = [key for arn, group in groups.items() if group["HealthCheckEnabled"] for key in _targets(arn)]
        for known in (self._known, self._due):
            for key in set(known.copy()) - set(keys):
                known.pop(key, None)
        for key in keys:
            if self._due.get(key, 0.0) <= now:
                self._due[key] = math.inf  # until this check has ended
                check = partial(self._check, key, groups[key[0]], now)
                spawn_background(check, thread_name="target-health-check")

    def _check(self, key: Key, group: Group, begun: float) -> None:
        passed = _passes(key, group)
        if key not in self._due:
            return  # it was deregistered meanwhile
        health = self._known[key] = self._known.get(key, Health()).after(group, passed=passed)
        new = health.state == "initial"
        self._due[key] = begun + (_TICK_SECONDS if new else group["HealthCheckIntervalSeconds"])
        if not passed and health.state == "unhealthy":
            _replace_task(key)

    async def forward(
        self, send: Callable[..., Awaitable[Any]], target: dict[str, Any], group: Group, *arguments: Any
    ) -> Any:
        """Send a request to a healthy target instead of `target`, where there is one."""
        arn = group["TargetGroupArn"]
        port = int(target.get("Port") or group["Port"])
        healthy = [key for key in _targets(arn) if self.state(*key) == "healthy"]
        if healthy and self.state(arn, target["Id"], port) != "healthy":
            _, address, port = random.choice(healthy)  # noqa: S311 - as MiniStack chooses
            target = {"Id": address, "Port": port}
        return await send(target, group, *arguments)

    def describe(self, parameters: Any) -> Response:
        """Return DescribeTargetHealth with the states that were found."""
        arn = alb._p(parameters, "TargetGroupArn")
        if arn not in alb._tgs:
            return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")  # type: ignore[no-any-return]
        wanted = {target["Id"] for target in alb._parse_targets_param(parameters)}
        members = "".join(
            f"<member><Target><Id>{key[1]}</Id><Port>{key[2]}</Port></Target>"
            f"<TargetHealth><State>{state}</State>{_reason(state)}</TargetHealth></member>"
            for key in _targets(arn)
            if not wanted or key[1] in wanted
            for state in [self.state(*key)]
        )
        inner = f"<TargetHealthDescriptions>{members}</TargetHealthDescriptions>"
        return alb._xml(200, "DescribeTargetHealth", inner)  # type: ignore[no-any-return]


TARGETS = TargetHealth()


def start() -> None:
    """Check the targets of every load balancer."""
    threading.Thread(target=TARGETS.run, name="target-health", daemon=True).start()


def _reason(state: str) -> str:
    return f"<Reason>{_REASONS[state]}</Reason>" if state in _REASONS else ""


def _targets(group_arn: str) -> Iterator[Key]:
    """Yield the targets of a group that are addresses; functions have no health here."""
    group = alb._tgs.get(group_arn) or {}
    if group.get("TargetType") != "lambda":
        for target in list(alb._targets.get(group_arn, [])):
            yield group_arn, str(target["Id"]), int(target.get("Port") or group.get("Port", 80))


def _passes(key: Key, group: Group) -> bool:
    """Return whether the target responds to its health check as wanted and in time."""
    _, address, port = key
    seconds = group["HealthCheckTimeoutSeconds"]
    own_port = group["HealthCheckPort"]
    connection = http.client.HTTPConnection(
        address, port if own_port == "traffic-port" else int(own_port), timeout=seconds
    )
    try:
        connection.request("GET", group["HealthCheckPath"], headers={"User-Agent": "ELB-HealthChecker/2.0"})
        return _matches(connection.getresponse().status, group["Matcher"]["HttpCode"])
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _matches(status: int, codes: str) -> bool:
    """Return whether a status is one of `200`, `200,202` or `200-299`."""
    ranges = (part.partition("-") for part in codes.split(","))
    return any(int(first) <= status <= int(last or first) for first, _, last in ranges)


def _replace_task(key: Key) -> None:
    """Stop the service's task at this target, and start another one, unless it may still be starting."""
    group_arn, address, _ = key
    for service in list(ecs._services.values()):
        if group_arn not in {each.get("targetGroupArn") for each in service.get("loadBalancers") or []}:
            continue
        grace = service.get("healthCheckGracePeriodSeconds") or 0
        for task in list(ecs._tasks.values()):
            mine = (task.get("group"), task["lastStatus"]) == (f"service:{service['serviceName']}", "RUNNING")
            if mine and ecs._task_ip(task) == address and seconds_between(task["startedAt"], ecs._iso()) >= grace:
                reason = f"Task failed ELB health checks in (target-group {group_arn})"
                ecs._stop_task({"task": task["taskArn"], "cluster": task["clusterArn"], "reason": reason})
                ecs._record_service_task_failure(task)


def seconds_between(first: Any, last: Any) -> float:
    """Return the seconds between two of MiniStack's times."""
    return (datetime.fromisoformat(str(last)) - datetime.fromisoformat(str(first))).total_seconds()


_HEALTHY = "every target is healthy"

PATCHES = (
    around("services.alb._proxy_http_target", TARGETS.forward, _HEALTHY),
    Patch("services.alb._ACTION_MAP[DescribeTargetHealth]", lambda _: TARGETS.describe, _HEALTHY),
)
