"""A new ECS task is listed and described late: MiniStack shows it at once.

"The Amazon ECS API follows an eventual consistency model": what RunTask started may be missing from the next ListTasks,
and DescribeTasks reports it in `failures` as MISSING (Amazon ECS API Reference: RunTask, "API failure reasons"). Here
each task appears after a lag of its own.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from outpost_local.extensions.cloudformation.handlers import Response, revised
from outpost_local.extensions.patch import Patch, around
from outpost_local.realism import Realism
from outpost_local.settings import Settings

Operation = Callable[[dict[str, Any]], Response]


def patches(settings: Settings) -> tuple[Patch, ...]:
    """Wrap RunTask, ListTasks and DescribeTasks."""
    if not settings.realism.task_lag:
        return ()
    late, reason = _LateTasks(settings.realism), "a new task is listed at once"
    actions = "services.ecs._ACTION_MAP"
    return (
        around("services.ecs._run_task", late.run, reason, f"{actions}[RunTask]"),
        around(f"{actions}[ListTasks]", late.list, reason),
        around(f"{actions}[DescribeTasks]", late.describe, reason),
    )


class _LateTasks:
    """When each new task appears."""

    def __init__(self, realism: Realism) -> None:
        self._random, self._lag = realism.random("task_lag"), realism.task_lag
        self._shown_at: dict[str, float] = {}

    def _hidden(self, arn: str) -> bool:
        if self._shown_at.get(arn, 0) > time.monotonic():
            return True
        self._shown_at.pop(arn, None)
        return False

    def run(self, run: Operation, request: dict[str, Any]) -> Response:
        response = run(request)
        if response[0] == 200:
            for task in json.loads(response[2])["tasks"]:
                shown_at = time.monotonic() + self._lag * self._random.random() ** 4
                self._shown_at.setdefault(task["taskArn"], shown_at)
        return response

    def list(self, list_: Operation, request: dict[str, Any]) -> Response:
        return revised(
            list_(request),
            lambda found: found | {"taskArns": [arn for arn in found["taskArns"] if not self._hidden(arn)]},
        )

    def describe(self, describe: Operation, request: dict[str, Any]) -> Response:
        def without_hidden(found: dict[str, Any]) -> dict[str, Any]:
            hidden = [task["taskArn"] for task in found["tasks"] if self._hidden(task["taskArn"])]
            shown = [task for task in found["tasks"] if task["taskArn"] not in hidden]
            missing = [{"arn": arn, "reason": "MISSING"} for arn in hidden]
            return {"tasks": shown, "failures": found["failures"] + missing}

        return revised(describe(request), without_hidden)
