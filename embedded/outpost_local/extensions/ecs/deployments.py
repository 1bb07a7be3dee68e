"""A service's deployment is complete when its tasks are healthy; its stack waits for that, or rolls back.

MiniStack calls the first deployment of a service completed before any task started, so that its circuit breaker never
opens, and replaces a task that cannot start some thirty times a second; ECS throttles restarts, ever longer. Its
CloudFormation calls the service created or updated as soon as its deployment has begun, and a task healthy when it has
run for a second, whether or not it was healthy for its load balancer by then.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.services import ecs

from outpost_local.extensions.cloudformation.handlers import Created, handler
from outpost_local.extensions.elbv2.target_health import TARGETS, seconds_between
from outpost_local.extensions.patch import around

AFTER = ("ecs.scaling", "elbv2.target_health")

LONGEST_DELAY = 10.0
_STABLE_SECONDS = 10.0
_KIND = "AWS::ECS::Service"
_STEADY_SECONDS = 180.0
"""How long a stack waits for a service's deployment."""
_POLL_SECONDS = 0.1

Service = dict[str, Any]
Task = dict[str, Any]


def _make(make: Callable[..., dict[str, Any]], *arguments: Any, **options: Any) -> dict[str, Any]:
    return {**make(*arguments, **options), "rolloutState": "IN_PROGRESS", "rolloutStateReason": ""}


@dataclass(frozen=True)
class Failures:
    """How often a service's tasks failed in a row."""

    count: int = 0

    def delay(self) -> float:
        """Return the seconds until the next replacement: 0 after the first failure, then 1, 2, 4 to `LONGEST_DELAY`."""
        return 0.0 if self.count <= 1 else min(LONGEST_DELAY, 2.0 ** (self.count - 2))

    def after(self, lived_seconds: float) -> "Failures":
        """Return the failures after another task failed that had lived so long."""
        return Failures(1 if lived_seconds >= _STABLE_SECONDS else self.count + 1)


_failures: dict[tuple[str, str], Failures] = {}
"""The failures of each service, by cluster and group."""
_counting = threading.Lock()


def _react_later(react: Callable[..., None], task: Task, *arguments: Any, **options: Any) -> None:
    """Delay what MiniStack does when a task failed: it counts the failure and starts the replacement."""
    key = (task.get("clusterArn", ""), task.get("group", ""))
    with _counting:
        failures = _failures[key] = _failures.get(key, Failures()).after(_lived(task))

    def wait_and_react() -> None:
        time.sleep(failures.delay())
        react(task, *arguments, **options)

    spawn_background(wait_and_react, thread_name="ecs-service-failure")


def _lived(task: Task) -> float:
    if not task.get("startedAt") or not task.get("stoppedAt"):
        return 0.0
    return seconds_between(task["startedAt"], task["stoppedAt"])


def _decide(decide: Callable[[str], bool], kind: str) -> bool:
    """Let services be created and updated off the event loop, which serves what their tasks request."""
    return kind == _KIND or decide(kind)


def _until_steady(handle: Callable[..., Created], *arguments: Any) -> Created:
    created = handle(*arguments)
    service = ecs._services["/".join(created[0].rsplit("/", 2)[-2:])]
    _wait(service, ecs._primary_deployment(service)["id"])
    return created


def _record_healthy(record: Callable[[str, Task], None], service_key: str, task: Task) -> None:
    """Record a task as healthy when its load balancers find it so; called on a thread of its own."""
    balancers = ecs._services[service_key].get("loadBalancers") or []
    while task["lastStatus"] == "RUNNING" and not all(_healthy(each, task) for each in balancers):
        time.sleep(_POLL_SECONDS)
    record(service_key, task)


def _healthy(balancer: dict[str, Any], task: Task) -> bool:
    state = TARGETS.state(balancer["targetGroupArn"], ecs._task_ip(task), balancer["containerPort"])
    return state == "healthy"


def _wait(service: Service, deployment_id: str) -> None:
    """Return when the deployment is completed; raises ValueError with the ends of its tasks when it fails."""
    deadline = time.monotonic() + _STEADY_SECONDS
    while True:
        found = next((each for each in service["deployments"] if each["id"] == deployment_id), None)
        state = found["rolloutState"] if found else "FAILED"
        if state == "COMPLETED":
            return
        if state == "FAILED" or time.monotonic() > deadline:
            reason = found["rolloutStateReason"] if found else "another deployment took its place"
            ends = "; ".join(_ends(service, deployment_id)) or "no task stopped"
            raise ValueError(
                f"{service['serviceName']} did not become steady: {reason or state} Its last tasks: {ends}"
            )
        time.sleep(_POLL_SECONDS)


def _ends(service: Service, deployment_id: str) -> Iterator[str]:
    stopped = [
        task
        for task in list(ecs._tasks.values())
        if task.get("_deployment_id") == deployment_id and task["lastStatus"] == "STOPPED"
    ]
    for task in stopped[-3:]:
        codes = ", ".join(f"{each['name']} exit code {each.get('exitCode')}" for each in task["containers"])
        yield f"{task['taskArn'].rpartition('/')[2]} {task.get('stoppedReason', '')} ({codes})"


_WAITING = "a stack does not wait for its services"

PATCHES = (
    around("services.ecs._make_deployment", _make, "a new deployment is complete at once"),
    around("services.ecs._record_service_task_failure", _react_later, "failing tasks are replaced in a tight loop"),
    around(handler(_KIND, "create"), _until_steady, _WAITING),
    around(handler(_KIND, "update"), _until_steady, _WAITING),
    around("services.cloudformation.stacks._runs_on_worker_thread", _decide, _WAITING),
    around("services.cloudformation.stacks._sends_back_failed_update", _decide, _WAITING),
    around("services.ecs._record_service_task_healthy", _record_healthy, "a task is healthy after a second"),
)
