"""ECS publishes "ECS Task State Change" events (gap 2): MiniStack emits none.

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

Task = dict[str, Any]

_TRANSITIONS = ("_mark_task_pending", "_mark_task_running", "_mark_task_stopped")


class TaskEvents:
    """The publisher; `changed` may be called from any thread inside a request scope."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[str, str, Task]] = queue.SimpleQueue()

    def install(self) -> None:
        """Wrap MiniStack's transitions and start publishing."""
        for name in _TRANSITIONS:
            setattr(ecs, name, self._publishing(getattr(ecs, name)))
        threading.Thread(target=self._publish, name="ecs-task-events", daemon=True).start()

    def changed(self, task: Task) -> None:
        """Queue an event that shows the task as it is now."""
        self._queue.put((get_account_id(), get_region(), event_detail(task)))

    def _publishing(self, mark: Callable[..., bool]) -> Callable[..., bool]:
        def mark_and_publish(task_arn: str, task: Task, *arguments: Any, **options: Any) -> bool:
            changed = mark(task_arn, task, *arguments, **options)
            if changed:
                self.changed(task)
            return changed

        return mark_and_publish

    def _publish(self) -> None:
        while True:
            account, region, detail = self._queue.get()
            entry = {
                "Source": "aws.ecs",
                "DetailType": "ECS Task State Change",
                "Detail": json.dumps(detail),
                "Resources": [detail["taskArn"]],
            }
            with request_scope(account, region):
                eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


def event_detail(task: Task) -> Task:
    """The `detail` of the event ECS would send for the task."""
    detail: Task = copy.deepcopy(ecs._sanitize(task))
    detail["updatedAt"] = ecs._iso()
    # An empty text stands for "not set" in MiniStack's records; ECS leaves such members out.
    return {key: value for key, value in detail.items() if value != ""}
