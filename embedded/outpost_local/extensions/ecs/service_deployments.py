"""A service's deployment is complete only when its tasks run, and failing tasks are not restarted in a tight loop.

MiniStack calls the first deployment of a service completed before any task started, so that its circuit breaker never
opens, and replaces a task that cannot start some thirty times a second. ECS throttles restarts, ever longer.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import ecs

LONGEST_DELAY = 10.0
_STABLE_SECONDS = 10.0

Task = dict[str, Any]


def install() -> None:
    """Start deployments in progress and delay replacements of tasks that keep failing."""
    make = ecs._make_deployment

    def make_in_progress(*arguments: Any, **options: Any) -> dict[str, Any]:
        deployment: dict[str, Any] = make(*arguments, **options)
        return {**deployment, "rolloutState": "IN_PROGRESS", "rolloutStateReason": ""}

    ecs._make_deployment = make_in_progress
    ecs._record_service_task_failure = _Throttle(ecs._record_service_task_failure)


@dataclass(frozen=True)
class Failures:
    """How often a service's tasks failed in a row."""

    count: int = 0

    def delay(self) -> float:
        """Seconds until the next replacement: none for the first failure, then 1, 2, 4 up to `LONGEST_DELAY`."""
        return 0.0 if self.count <= 1 else min(LONGEST_DELAY, 2.0 ** (self.count - 2))

    def after(self, lived_seconds: float) -> "Failures":
        """The failures after another task failed that had lived so long."""
        return Failures(1 if lived_seconds >= _STABLE_SECONDS else self.count + 1)


class _Throttle:
    """MiniStack's reaction to a failed task, later: it counts the failure and starts the replacement."""

    def __init__(self, react: Callable[..., None]) -> None:
        self._react = react
        self._failures: dict[tuple[str, str], Failures] = {}
        self._lock = threading.Lock()

    def __call__(self, task: Task, *arguments: Any, **options: Any) -> None:
        with self._lock:
            key = (task.get("clusterArn", ""), task.get("group", ""))
            failures = self._failures.get(key, Failures()).after(_lived(task))
            self._failures[key] = failures
        account, region = get_account_id(), get_region()

        def react() -> None:
            time.sleep(failures.delay())
            with request_scope(account, region):
                self._react(task, *arguments, **options)

        spawn_background(react, thread_name="ecs-service-failure")


def _lived(task: Task) -> float:
    if not task.get("startedAt") or not task.get("stoppedAt"):
        return 0.0
    started, stopped = (
        datetime.fromisoformat(str(task[key]).replace("Z", "+00:00")) for key in ("startedAt", "stoppedAt")
    )
    return (stopped - started).total_seconds()
