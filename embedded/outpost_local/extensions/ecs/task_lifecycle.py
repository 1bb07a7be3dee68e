"""RunTask and StopTask behave as ECS documents them.

MiniStack's StopTask reports STOPPED with exit code 0 before the container even got SIGTERM, and ignores stopTimeout;
its RunTask ignores clientToken and the limits on count and overrides. What a worker does on SIGTERM, the exit code 137
of a killed one, and the retry of a launch would all be tested against something that does not exist.

ECS publishes "ECS Task State Change" events: MiniStack emits none.

The functions through which MiniStack moves a task are wrapped: whenever one has changed a task, an event with the
task's fields at that moment goes to the default bus. One thread publishes, in the order of the changes.
"""

import copy
import json
import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from docker.errors import DockerException
from ministack.core.concurrency import resource_lock, spawn_background
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response, request_scope
from ministack.services import ecs, ecs_metadata, eventbridge

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import Patch, around

AFTER = ("ecs.late_tasks", "servicequotas.quotas")

Task = dict[str, Any]

changes: queue.Queue[tuple[str, str, Task]] = queue.Queue()
"""Account, region, and the detail of the event; `join` waits until all are published."""


def changed(task: Task) -> None:
    """Queue an event that shows the task as it is now; call it inside a request scope."""
    changes.put((get_account_id(), get_region(), event_detail(task)))


def _mark(mark: Callable[..., bool], task_arn: str, task: Task, *arguments: Any, **options: Any) -> bool:
    marked = mark(task_arn, task, *arguments, **options)
    if marked:
        changed(task)
    return marked


def _publish() -> None:
    while True:
        account, region, detail = changes.get()
        entry = {
            "Source": "aws.ecs",
            "DetailType": "ECS Task State Change",
            "Detail": json.dumps(detail),
            "Resources": [detail["taskArn"]],
        }
        try:
            with request_scope(account, region):
                eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        except Exception:  # the events of other tasks are still published
            logger.exception("publishing an event of %s", detail["taskArn"])
        finally:
            changes.task_done()


def event_detail(task: Task) -> Task:
    """Return the `detail` of the event that ECS would send for the task."""
    detail: Task = copy.deepcopy(ecs._sanitize(task))
    detail["updatedAt"] = ecs._iso()
    # An empty text stands for "not set" in MiniStack's records; ECS leaves such members out.
    return {key: value for key, value in detail.items() if value != ""}


def start() -> None:
    """Publish what is queued, in this order."""
    threading.Thread(target=_publish, name="ecs-task-events", daemon=True).start()


logger = logging.getLogger("outpost.ecs")

OVERRIDES_LIMIT = 8192
COUNT_LIMIT = 10
_DEFAULT_STOP_TIMEOUT = 30

Request = dict[str, Any]


_responses: dict[tuple[str, str], tuple[str, Response]] = {}
"""(cluster, client token) -> the first request and its response."""
_responding = threading.Lock()


def _run_task(data: Request) -> Response:
    """Run tasks within the limits; return the tasks of the first call for a repeated clientToken."""
    # The scheduler of services calls the function by this name too.
    run_task: Callable[[Request], Response] = ecs._run_task
    if refused := _limit_error(data):
        return _error("InvalidParameterException", refused)
    data = {"group": f"family:{_family(data)}", **data}
    token = data.get("clientToken")
    if not token:
        return run_task(data)
    key = (str(ecs._resolve_cluster_name(data.get("cluster", "default"))), token)
    request = json.dumps(data, sort_keys=True)
    with _responding:
        if key not in _responses:
            response = run_task(data)
            if response[0] >= 400:
                return response
            _responses[key] = (request, response)
        first_request, response = _responses[key]
    if first_request != request:
        message = "The clientToken is already in use with a different request."
        arns = [task["taskArn"] for task in json.loads(response[2])["tasks"]]
        return _error("ConflictException", message, {"resourceIds": arns})
    return response


def _error(code: str, message: str, members: dict[str, Any] | None = None) -> Response:
    response: Response = error_response_json(code, message, 400, members)
    return response


def _family(data: Request) -> str:
    return str(data.get("taskDefinition", "")).rpartition("/")[2].partition(":")[0]


def _limit_error(data: Request) -> str | None:
    count = data.get("count", 1)
    if not 1 <= count <= COUNT_LIMIT:
        return f"count {count} is out of range: must be between 1 and {COUNT_LIMIT}."
    length = len(json.dumps(data.get("overrides", {})).encode())
    if length > OVERRIDES_LIMIT:
        return f"Container Overrides length must be at most {OVERRIDES_LIMIT}, it is {length}."
    return None


def _stop(stop_code: str, data: Request) -> Response:
    cluster = ecs._resolve_cluster_name(data.get("cluster", "default"))
    task = ecs._resolve_task(data.get("task", ""), cluster) if cluster else None
    if task is None:
        return _error("InvalidParameterException", "The referenced task was not found.")
    begun = _begin_stop(task, data.get("reason", "Task stopped by user"), stop_code)
    response: Response = json_response({"task": ecs._sanitize(task)})
    if begun:
        changed(task)
        spawn_background(_finish_stop, task, thread_name="ecs-stop-task")
    return response


def _begin_stop(task: Task, reason: str, stop_code: str) -> bool:
    """Mark the task as stopping and take it out of its target groups; return False if it was stopping already."""
    arn = task["taskArn"]
    with resource_lock("ecs-task", arn):
        if not ecs._task_is_active(arn, task):
            return False
        ecs._bump_task_version(task)
        task.update(
            desiredStatus="STOPPED",
            lastStatus="DEACTIVATING",
            stoppingAt=ecs._iso(),
            stoppedReason=reason,
            stopCode=stop_code,
        )
    ecs_metadata.set_task_status(arn, known_status="DEACTIVATING", desired_status="STOPPED")
    _refresh(task)
    return True


def _finish_stop(task: Task) -> None:
    """Stop the containers as their definitions say, then report STOPPED with their own exit codes."""
    task["lastStatus"] = "STOPPING"
    codes = _stop_containers(task)
    now = ecs._iso()
    with resource_lock("ecs-task", task["taskArn"]):
        ecs._bump_task_version(task)
        for container, code in zip(task["containers"], codes, strict=False):
            container["exitCode"] = code
        for container in task["containers"]:
            container["lastStatus"] = "STOPPED"
        task.update(lastStatus="STOPPED", stoppedAt=now, executionStoppedAt=now)
    ecs_metadata.set_task_status(task["taskArn"], known_status="STOPPED")
    ecs._cleanup_task_resources(task, ecs._get_docker())
    _refresh(task)
    changed(task)


def _stop_containers(task: Task) -> list[int | None]:
    engine = ecs._get_docker()
    definition = ecs._task_defs.get(ecs._resolve_td_key(task["taskDefinitionArn"])) or {}
    timeouts = [
        int(container.get("stopTimeout", _DEFAULT_STOP_TIMEOUT))
        for container in definition.get("containerDefinitions", [])
    ]
    codes: list[int | None] = []
    for container_id, timeout in zip(list(task.get("_docker_ids") or []), timeouts, strict=False):
        try:
            container = engine.containers.get(container_id)
            container.stop(timeout=timeout)
            codes.append(int(container.wait()["StatusCode"]))
        except DockerException:
            # The task must not hang in STOPPING because the engine lost a container; its exit code stays unknown.
            logger.exception("stopping container %s", container_id)
            codes.append(None)
    return codes


def _refresh(task: Task) -> None:
    cluster = ecs._cluster_name_from_arn(task.get("clusterArn", ""))
    if cluster:
        ecs._recount_cluster(cluster)
        ecs._refresh_service_state(cluster, task.get("group", ""))


_NOT_STOPPED = "StopTask reports exit code 0 at once"


PATCHES = (
    *tuple(
        around(f"services.ecs.{name}", _mark, "no task state change events")
        for name in ("_mark_task_pending", "_mark_task_running", "_mark_task_stopped")
    ),
    Patch("services.ecs._ACTION_MAP[StopTask]", lambda _: partial(_stop, "UserInitiated"), _NOT_STOPPED),
    # The service scheduler calls it by this name.
    Patch("services.ecs._stop_task", lambda _: partial(_stop, "ServiceSchedulerInitiated"), _NOT_STOPPED),
    Patch("services.ecs._ACTION_MAP[RunTask]", lambda _: _run_task, "RunTask ignores clientToken"),
)
