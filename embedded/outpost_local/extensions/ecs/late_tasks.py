"""A new ECS task is listed and described late: MiniStack shows it at once.

"The Amazon ECS API follows an eventual consistency model": what RunTask started may be missing from the next ListTasks,
and DescribeTasks reports it in `failures` as MISSING (Amazon ECS API Reference: RunTask, "API failure reasons"). Here
each task appears after a lag of its own.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import json_response
from ministack.services import ecs

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.realism import Realism

Operation = Callable[[dict[str, Any]], Response]


def install(realism: Realism) -> None:
    """Wrap RunTask, ListTasks and DescribeTasks."""
    if realism.task_lag:
        late = LateTasks(realism)
        ecs._run_task = ecs._ACTION_MAP["RunTask"] = late.run(ecs._run_task)
        ecs._ACTION_MAP["ListTasks"] = late.list(ecs._ACTION_MAP["ListTasks"])
        ecs._ACTION_MAP["DescribeTasks"] = late.describe(ecs._ACTION_MAP["DescribeTasks"])


class LateTasks:
    """When each new task appears."""

    def __init__(self, realism: Realism) -> None:
        self._random, self._lag = realism.random("task_lag"), realism.task_lag
        self._shown_at: dict[str, float] = {}

    def _hidden(self, arn: str) -> bool:
        if self._shown_at.get(arn, 0) > time.monotonic():
            return True
        self._shown_at.pop(arn, None)
        return False

    def run(self, run: Operation) -> Operation:
        """Return RunTask, which draws the lags of its tasks."""

        def run_task(request: dict[str, Any]) -> Response:
            response = run(request)
            if response[0] == 200:
                for task in json.loads(response[2])["tasks"]:
                    self._shown_at.setdefault(
                        task["taskArn"], time.monotonic() + self._lag * self._random.random() ** 4
                    )
            return response

        return run_task

    def list(self, list_: Operation) -> Operation:
        """Return ListTasks without the tasks that do not appear yet."""

        def list_tasks(request: dict[str, Any]) -> Response:
            status, headers, body = list_(request)
            if status != 200:
                return status, headers, body
            found = json.loads(body)
            shown = [arn for arn in found["taskArns"] if not self._hidden(arn)]
            return json_response(found | {"taskArns": shown})  # type: ignore[no-any-return]

        return list_tasks

    def describe(self, describe: Operation) -> Operation:
        """Return DescribeTasks, which misses the tasks that do not appear yet."""

        def describe_tasks(request: dict[str, Any]) -> Response:
            status, headers, body = describe(request)
            if status != 200:
                return status, headers, body
            found = json.loads(body)
            hidden = [task["taskArn"] for task in found["tasks"] if self._hidden(task["taskArn"])]
            shown = [task for task in found["tasks"] if task["taskArn"] not in hidden]
            missing = [{"arn": arn, "reason": "MISSING"} for arn in hidden]
            return json_response({"tasks": shown, "failures": found["failures"] + missing})  # type: ignore[no-any-return]

        return describe_tasks
