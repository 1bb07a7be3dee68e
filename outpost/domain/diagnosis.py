"""Why a task ended without a report: a pure function from what ECS says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outpost.domain.reasons import Reason, ReasonCode

_OUT_OF_MEMORY = "OutOfMemory"
_PULL = ("CannotPullContainer", "CannotPullImage", "ImageNotFound")
_CAPACITY = ("Capacity is unavailable", "RESOURCE:", "limit on the number of vCPUs", "Insufficient")


@dataclass(frozen=True)
class TaskStop:
    """A stopped task, as ECS describes it in an event or by DescribeTasks."""

    stop_code: str
    stopped_reason: str
    exit_code: int | None
    container_reason: str = ""

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> "TaskStop":
        """Read the end of a task from an event's `detail` or from DescribeTasks, whose forms agree."""
        containers: list[Mapping[str, Any]] = task.get("containers") or [{}]
        container = containers[0]
        return cls(
            stop_code=task.get("stopCode", ""),
            stopped_reason=task.get("stoppedReason", ""),
            exit_code=container.get("exitCode"),
            container_reason=container.get("reason", ""),
        )

    @property
    def started(self) -> bool:
        """Say whether the container ever ran: one that did has an exit code."""
        return self.exit_code is not None


def diagnose(stop: TaskStop) -> Reason:
    """Return the reason for a worker's end. The container's own words come before the task's."""
    words = f"{stop.container_reason} {stop.stopped_reason}"
    if _OUT_OF_MEMORY in words:
        return Reason.of(ReasonCode.OUT_OF_MEMORY, "The container used more memory than it has.")
    if any(word in words for word in _PULL):
        return Reason.of(ReasonCode.IMAGE_PULL_FAILED, f"The image could not be pulled: {stop.stopped_reason}")
    if any(word in words for word in _CAPACITY):
        return launch_refused(stop.stopped_reason)
    if not stop.started:
        return Reason.of(ReasonCode.WORKER_LOST, f"The worker never started: {stop.stopped_reason or stop.stop_code}")
    detail = stop.stopped_reason or stop.stop_code
    return Reason.of(ReasonCode.WORKER_LOST, f"The worker ended with code {stop.exit_code}: {detail}")


def launch_refused(words: str) -> Reason:
    """Return the reason for a launch that the account or the zone has no room for."""
    return Reason.of(ReasonCode.CAPACITY_UNAVAILABLE, f"No worker could be launched: {words}")
