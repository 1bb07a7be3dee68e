"""Why a worker ended without a report: a pure function from what ECS says, the exit code and the last log lines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from outpost.domain.reasons import Reason, ReasonCode
from outpost.names import WORKER_CONTAINER


@dataclass(frozen=True)
class TaskStop:
    """A stopped task, as ECS describes it in an event or by DescribeTasks."""

    stop_code: str
    stopped_reason: str
    exit_code: int | None
    container_reason: str = ""
    stopped_at: datetime | None = None

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> "TaskStop":
        """Read the end of a worker's task from an event's `detail` or from DescribeTasks, whose forms agree.

        Other containers of the task say nothing about the worker: GuardDuty Runtime Monitoring adds one, at any place
        in the list (aws-cdk#32877).
        """
        containers: Sequence[Mapping[str, Any]] = task.get("containers") or ()
        container = next((each for each in containers if each.get("name") == WORKER_CONTAINER), {})
        return cls(
            stop_code=task.get("stopCode", ""),
            stopped_reason=task.get("stoppedReason", ""),
            exit_code=container.get("exitCode"),
            container_reason=container.get("reason", ""),
            stopped_at=_moment(task.get("stoppedAt")),
        )

    @property
    def started(self) -> bool:
        """Return whether the container ever ran: one that did has an exit code."""
        return self.exit_code is not None

    @property
    def text(self) -> str:
        """Everything that ECS says about it, the container's reason before the task's."""
        return f"{self.container_reason} {self.stopped_reason}".strip()


def _moment(stopped_at: datetime | str | None) -> datetime | None:
    """Return a time of ECS's, which is text in events and a `datetime` in botocore's responses."""
    return datetime.fromisoformat(stopped_at) if isinstance(stopped_at, str) else stopped_at


@dataclass(frozen=True)
class _Kind:
    """A kind of end: how it is recognised, and what it means. `{}` in the message takes ECS's reason."""

    is_it: Callable[[TaskStop, str], bool]
    code: ReasonCode
    message: str
    remedy: str | None = None
    """None: the code's own."""


def _says(*parts: str, begins: str = "") -> Callable[[TaskStop, str], bool]:
    """Recognise what ECS says: one of the parts, in any case, with `begins` somewhere as well."""
    return lambda stop, _: begins in stop.text and any(part.lower() in stop.text.lower() for part in parts)


def _ended(*codes: int) -> Callable[[TaskStop, str], bool]:
    return lambda stop, _: stop.exit_code in codes


def _printed(*parts: str) -> Callable[[TaskStop, str], bool]:
    return lambda _, lines: any(part in lines for part in parts)


_LOST, _PULL, _START = ReasonCode.WORKER_LOST, ReasonCode.IMAGE_PULL_FAILED, ReasonCode.WORKER_START_FAILED
_PULLING, _PREPARING = "CannotPull", "ResourceInitializationError"
_DIED_AGAIN = "Dispatch again with retryable=true; if it recurs, ask the operator to read the worker's log."

_KINDS = (
    # Exit 0 outranks any text, and the container's own end outranks what was done to the task.
    _Kind(_ended(0), _LOST, "The worker ended normally, but its report did not arrive.", _DIED_AGAIN),
    _Kind(_says("OutOfMemory"), ReasonCode.OUT_OF_MEMORY, "The container used more memory than it has."),
    _Kind(_printed("No space left on device"), ReasonCode.DISK_FULL, "The worker's disk was full."),
    _Kind(
        _says("exec format error", "does not contain descriptor matching platform", "no matching manifest"),
        ReasonCode.IMAGE_UNUSABLE,
        "The image is for another CPU architecture: {}",
        "Ask the operator to build the images for the architecture in the environment's configuration.",
    ),
    _Kind(
        _says("toomanyrequests", "rate limit", begins=_PULLING),
        _PULL,
        "The registry refused the image, because it was asked too often: {}",
        "Dispatch again later; the operator can mirror the image in the account's own registry.",
    ),
    _Kind(
        _says("no basic auth", "denied", "not authorized", "403", begins=_PULLING),
        _PULL,
        "The registry refused the image: {}",
        "Ask the operator to check the execution role's rights on the registry.",
    ),
    _Kind(
        _says("i/o timeout", "deadline exceeded", "dial tcp", "request canceled", begins=_PULLING),
        _PULL,
        "The registry could not be reached: {}",
        "Ask the operator to check the workers' way out: NAT or interface endpoints, and the S3 gateway endpoint.",
    ),
    _Kind(
        _says("no space left", begins=_PULLING),
        ReasonCode.DISK_FULL,
        "The image does not fit on the worker's disk: {}",
        "Ask the operator to make the image smaller, or the task's ephemeral storage larger.",
    ),
    _Kind(
        _says("not found", "manifest unknown", "does not exist", begins=_PULLING),
        _PULL,
        "The image is not in the registry: {}",
        "Ask the operator to deploy again: the image was removed, or was never pushed.",
    ),
    _Kind(_says("CannotPull", "ImageNotFound"), _PULL, "The image could not be pulled: {}"),
    _Kind(
        _says("EFS", "mount.nfs", begins=_PREPARING),
        _START,
        "The file system of the workspaces could not be mounted: {}",
        "Ask the operator to check the file system's mount targets, policy and security groups.",
    ),
    _Kind(
        _says("secret", begins=_PREPARING),
        _START,
        "The worker's secrets could not be read: {}",
        "Ask the operator to check the execution role and the way to Secrets Manager.",
    ),
    _Kind(
        _says("log", begins=_PREPARING),
        _START,
        "The worker's log could not be opened: {}",
        "Ask the operator to check the log group and the way to CloudWatch Logs.",
    ),
    _Kind(_says(_PREPARING), _START, "The worker's surroundings could not be prepared: {}"),
    _Kind(
        _says("executable file not found", "no such file or directory", "permission denied", begins="Cannot"),
        ReasonCode.IMAGE_UNUSABLE,
        "The image's entry point cannot be run: {}",
    ),
    _Kind(_says("CannotStartContainer", "CannotCreateContainer"), _START, "The container could not be started: {}"),
    _Kind(_says("DockerTimeout", "ContainerRuntimeTimeout"), _START, "The container runtime did not respond: {}"),
    _Kind(
        _says("limit on the number of vCPUs"),
        ReasonCode.CAPACITY_UNAVAILABLE,
        "No worker could be launched: {}",
        "Dispatch again later; the operator can ask AWS for a larger Fargate vCPU quota.",
    ),
    _Kind(
        _says("InsufficientFreeAddresses", "not enough free addresses"),
        ReasonCode.CAPACITY_UNAVAILABLE,
        "The subnets have no free address for another worker: {}",
        "Dispatch again later; the operator can give the environment a larger network.",
    ),
    _Kind(
        _says("Capacity is unavailable", "RESOURCE:", "Insufficient"),
        ReasonCode.CAPACITY_UNAVAILABLE,
        "No worker could be launched: {}",
    ),
    _Kind(
        _says("network interface", "EphemeralStorage provisioning"),
        _START,
        "AWS did not provide what the worker needs in time: {}",
        "Dispatch again.",
    ),
    _Kind(
        lambda stop, _: stop.stop_code == "SpotInterruption" or "Spot Task was interrupted" in stop.text,
        ReasonCode.SPOT_INTERRUPTED,
        "AWS took the worker's Spot capacity back.",
    ),
    _Kind(
        lambda stop, _: stop.stop_code == "TerminationNotice" or "maintenance" in stop.text,
        _LOST,
        "AWS retired the machine that the worker ran on.",
    ),
    _Kind(
        _says("outpost reconciler: silent", "outpost sweep: silent"),
        _LOST,
        "The worker did not respond any more and was stopped.",
    ),
    _Kind(
        _says("outpost reconciler: cancelled", "outpost sweep: cancelled"),
        _LOST,
        "The worker ignored a request to cancel and was stopped.",
    ),
    _Kind(
        _says("outpost reconciler:", "outpost sweep:", "outpost planner:"), _LOST, "The platform stopped the worker: {}"
    ),
    _Kind(
        lambda stop, _: stop.stop_code == "UserInitiated",
        _LOST,
        "Somebody stopped the worker's task in ECS: {}",
        "Dispatch again; the audit trail (StopTask) says who stopped it.",
    ),
    _Kind(
        _printed("the worker cannot start"),
        _START,
        "The worker refused its configuration (exit code {code}).",
        "Ask the operator to read the worker's log: it names the variable and the remedy.",
    ),
    _Kind(_ended(75), _LOST, "The worker found that another one holds its dispatch, and left."),
    _Kind(_ended(126, 127), ReasonCode.IMAGE_UNUSABLE, "The image's entry point cannot be run (exit code {code})."),
    _Kind(
        _ended(137),
        _LOST,
        "The worker was killed (exit code 137), not for want of memory as far as ECS knows.",
        _DIED_AGAIN,
    ),
    _Kind(_ended(143), _LOST, "The worker was asked to end (exit code 143) before the dispatch was done."),
    _Kind(
        _ended(132, 134, 135, 136, 139), _LOST, "The worker crashed (exit code {code}, a fatal signal).", _DIED_AGAIN
    ),
    _Kind(
        lambda stop, _: stop.started,
        _LOST,
        "The worker ended with code {code}: {}",
        _DIED_AGAIN,
    ),
    _Kind(
        lambda stop, _: stop.stop_code == "Forgotten",
        _LOST,
        "ECS does not know the worker's task.",
    ),
    _Kind(
        lambda stop, _: stop.stop_code == "Foreign",
        _LOST,
        "The worker's row named a task that the platform did not start.",
        "Dispatch again; ask the operator to look for the task in the audit trail.",
    ),
    _Kind(lambda *_: True, _LOST, "The worker never started: {}"),
)


def diagnose(stop: TaskStop, last_lines: Sequence[str] = ()) -> Reason:
    """Return the reason for a worker's end; the first kind that fits."""
    lines = "\n".join(last_lines)
    kind = next(kind for kind in _KINDS if kind.is_it(stop, lines))
    message = kind.message.format(stop.text or stop.stop_code or "no reason was given", code=stop.exit_code)
    reason = Reason.of(kind.code, message)
    return reason.model_copy(update={"remedy": kind.remedy}) if kind.remedy else reason


def launch_refused(words: str) -> Reason:
    """Return the reason for a launch that ECS refused, usually because account or zone have no room."""
    reason = diagnose(TaskStop(stop_code="TaskFailedToStart", stopped_reason=words, exit_code=None))
    if reason.code is not ReasonCode.WORKER_LOST:
        return reason
    return Reason.of(ReasonCode.CAPACITY_UNAVAILABLE, f"No worker could be launched: {words}")
