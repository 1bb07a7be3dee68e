"""ECS publishes "ECS Task State Change" events: MiniStack emits none.

The functions through which MiniStack moves a task are wrapped: whenever one has changed a task, an event with the
task's fields at that moment goes to the default bus. One thread publishes, in the order of the changes.
"""

import copy
import json
import queue
import threading
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import ecs, eventbridge

from outpost_local.extensions.patch import around

Task = dict[str, Any]

_changes: queue.SimpleQueue[tuple[str, str, Task]] = queue.SimpleQueue()
"""Account, region, and the detail of the event."""


def changed(task: Task) -> None:
    """Queue an event that shows the task as it is now; call it inside a request scope."""
    _changes.put((get_account_id(), get_region(), event_detail(task)))


def _mark(mark: Callable[..., bool], task_arn: str, task: Task, *arguments: Any, **options: Any) -> bool:
    marked = mark(task_arn, task, *arguments, **options)
    if marked:
        changed(task)
    return marked


def _publish() -> None:
    while True:
        account, region, detail = _changes.get()
        entry = {
            "Source": "aws.ecs",
            "DetailType": "ECS Task State Change",
            "Detail": json.dumps(detail),
            "Resources": [detail["taskArn"]],
        }
        with request_scope(account, region):
            eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def event_detail(task: Task) -> Task:
    """Return the `detail` of the event that ECS would send for the task."""
    detail: Task = copy.deepcopy(ecs._sanitize(task))
    detail["updatedAt"] = ecs._iso()
    # An empty text stands for "not set" in MiniStack's records; ECS leaves such members out.
    return {key: value for key, value in detail.items() if value != ""}


def start() -> None:
    """Publish what is queued, in this order."""
    threading.Thread(target=_publish, name="ecs-task-events", daemon=True).start()


PATCHES = tuple(
    around(f"services.ecs.{name}", _mark, "no task state change events")
    for name in ("_mark_task_pending", "_mark_task_running", "_mark_task_stopped")
)
