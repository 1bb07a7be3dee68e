"""Waits for ECS services: a stack that has no changes does not show that its tasks run."""

import time
from typing import Any

from outpost_local.errors import DeployError
from outpost_local.processes import OnLine

_POLL_SECONDS = 0.2


def wait_until_steady(ecs: Any, on_line: OnLine, seconds: float = 120.0) -> None:
    """Wait until the primary deployment of every service is completed.

    Raises DeployError with the last reasons why tasks stopped, when one fails or the time is over.
    """
    deadline = time.monotonic() + seconds
    waiting: set[str] = set()
    while True:
        unsteady = [service for service in _services(ecs) if not _completed(service)]
        for service in unsteady:
            _check(ecs, service, expired=time.monotonic() > deadline)
            if service["serviceName"] not in waiting:
                waiting.add(service["serviceName"])
                on_line(f"waiting for service {service['serviceName']}")
        if not unsteady:
            return
        time.sleep(_POLL_SECONDS)


def _services(ecs: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for cluster in ecs.list_clusters()["clusterArns"]:
        arns = ecs.list_services(cluster=cluster)["serviceArns"]
        if arns:
            found += ecs.describe_services(cluster=cluster, services=arns)["services"]
    return [service for service in found if service["status"] == "ACTIVE"]


def _completed(service: dict[str, Any]) -> bool:
    primary = next(d for d in service["deployments"] if d["status"] == "PRIMARY")
    return bool(primary["rolloutState"] == "COMPLETED" and service["runningCount"] == service["desiredCount"])


def _check(ecs: Any, service: dict[str, Any], *, expired: bool) -> None:
    failed = service["deployments"][0]["rolloutState"] == "FAILED"  # the newest is first
    if failed or expired:
        reasons = "\n".join(_stop_reasons(ecs, service)) or "no task stopped"
        state = "failed" if failed else "did not become steady in time"
        raise DeployError(f"the ECS service {service['serviceName']} {state}; its last tasks:\n{reasons}")


def _stop_reasons(ecs: Any, service: dict[str, Any]) -> list[str]:
    cluster = service["clusterArn"]
    arns = ecs.list_tasks(cluster=cluster, serviceName=service["serviceName"], desiredStatus="STOPPED")["taskArns"]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=arns[-3:])["tasks"] if arns else []
    return [
        f"  {task['taskArn'].rpartition('/')[2]}: {task.get('stoppedReason', '')}"
        + "".join(f" (container {c['name']} exit code {c.get('exitCode')})" for c in task["containers"])
        for task in tasks
    ]
