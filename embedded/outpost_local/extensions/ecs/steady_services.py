"""CloudFormation waits for a service's deployment, and one that fails rolls its stack back.

MiniStack calls the service created or updated as soon as its deployment has begun, and a task healthy when it has run
for a second, whether or not it was healthy for its load balancer by then.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import ecs
from ministack.services.cloudformation import provisioners, stacks

from outpost_local.extensions.cloudformation.handlers import Created
from outpost_local.extensions.elbv2.target_health import TARGETS

KIND = "AWS::ECS::Service"
PATIENCE_SECONDS = 180.0
_POLL_SECONDS = 0.1

Handler = Callable[..., Created]
Service = dict[str, Any]
Task = dict[str, Any]


def install() -> None:
    """Let the handlers of services wait: off the event loop, which has to serve what the tasks ask."""
    handlers = provisioners._RESOURCE_HANDLERS[KIND]
    for verb in ("create", "update"):
        handlers[verb] = _until_steady(handlers[verb])
    for decision in ("_runs_on_worker_thread", "_sends_back_failed_update"):
        setattr(stacks, decision, _also_for_services(getattr(stacks, decision)))
    ecs._record_service_task_healthy = _when_its_targets_are_healthy(ecs._record_service_task_healthy)


def _also_for_services(decide: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda kind: kind == KIND or decide(kind)


def _until_steady(handle: Handler) -> Handler:
    def wait(*arguments: Any) -> Created:
        created = handle(*arguments)
        service = ecs._services["/".join(created[0].rsplit("/", 2)[-2:])]
        _wait(service, ecs._primary_deployment(service)["id"])
        return created

    return wait


def _when_its_targets_are_healthy(record: Callable[[str, Task], None]) -> Callable[[str, Task], None]:
    """Take a task for healthy only when its load balancers do; called on a thread of its own."""

    def wait(service_key: str, task: Task) -> None:
        balancers = ecs._services[service_key].get("loadBalancers") or []
        while task["lastStatus"] == "RUNNING" and not all(_healthy(each, task) for each in balancers):
            time.sleep(_POLL_SECONDS)
        record(service_key, task)

    return wait


def _healthy(balancer: dict[str, Any], task: Task) -> bool:
    state = TARGETS.state(balancer["targetGroupArn"], ecs._task_ip(task), balancer["containerPort"])
    return state == "healthy"


def _wait(service: Service, deployment_id: str) -> None:
    """Return when the deployment is completed; raises ValueError with the ends of its tasks when it fails."""
    deadline = time.monotonic() + PATIENCE_SECONDS
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
