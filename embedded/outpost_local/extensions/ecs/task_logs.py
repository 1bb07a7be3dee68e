"""The awslogs driver: each line that a container writes becomes one event of its log stream.

MiniStack takes what an engine gives for whole lines, drops all output when the group is missing, logs nothing when it
stops halfway, and lets a container be removed before its output was read. Sources: "Send Amazon ECS logs to CloudWatch"
(ECS Developer Guide), "Amazon CloudWatch Logs logging driver" (Docker), PutLogEvents (an event has at least one byte).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch_logs, ecs

from outpost_local.extensions.patch import Patch, around

logger = logging.getLogger("outpost.ecs")

EVENT_BYTES = 262_144 - 26
"""The driver cuts a longer line into several events."""
_REMOVAL_SECONDS = 10.0
"""How long a container that ended waits to be removed until its output was read."""

_forwarders: dict[str, threading.Thread] = {}


def _run(run: Callable[..., Any], client: Any, definition: dict[str, Any], options: dict[str, Any], **rest: Any) -> Any:
    """Run a container, and forward its output until its end."""
    task_id = str(options["labels"]["com.amazonaws.ecs.task-arn"]).rpartition("/")[2]
    if ecs._awslogs_config(definition, task_id, ""):
        _require_group(definition, task_id)
    container = run(client, definition, options, **rest)
    _start_forwarder(container, definition, task_id)
    return container


def _remove(remove: Callable[..., None], client: Any, container_or_id: Any) -> None:
    container_id = str(getattr(container_or_id, "id", container_or_id))
    forwarder = _forwarders.get(container_id)
    if client and forwarder:
        _end(client, container_id)
        forwarder.join(_REMOVAL_SECONDS)
    remove(client, container_or_id)


def split_lines(pieces: Iterable[bytes]) -> Iterator[list[str]]:
    """Yield the lines that each piece completes, and at the end what no line break ended; empty lines are dropped.

    A line of more than `EVENT_BYTES` is cut, never within a character.
    """
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        parts = [part for line in lines for part in _cut(line)]
        if len(rest) > EVENT_BYTES:
            *full, rest = _cut(rest)
            parts += full
        if parts:
            yield [part.decode(errors="replace") for part in parts]
    if rest:
        yield [part.decode(errors="replace") for part in _cut(rest)]


def _cut(line: bytes) -> Iterator[bytes]:
    while len(line) > EVENT_BYTES:
        end = EVENT_BYTES
        while end > EVENT_BYTES - 3 and line[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        yield line[:end]
        line = line[end:]
    if line:
        yield line


def _require_group(definition: dict[str, Any], task_id: str) -> None:
    """Create the log group if the definition asks for it; raises ValueError when there is none, as the driver does."""
    config = ecs._awslogs_config(definition, task_id, "")
    with request_scope(get_account_id(), config["region"] or get_region()):
        if config["create_group"]:
            cloudwatch_logs._create_log_group({"logGroupName": config["group"]})
        if config["group"] not in cloudwatch_logs._log_groups:
            raise ValueError(
                "failed to validate logger args: failed to create Cloudwatch log stream: "
                f"ResourceNotFoundException: The specified log group does not exist: {config['group']}"
            )


def _start_forwarder(container: Any, definition: dict[str, Any], task_id: str) -> None:
    config = ecs._awslogs_config(definition, task_id, container.id)
    if config:
        arguments = (container, config, get_account_id(), config["region"] or get_region())
        thread = threading.Thread(target=_forward, args=arguments, name=f"task-logs-{task_id[:8]}", daemon=True)
        _forwarders[container.id] = thread
        thread.start()


def _forward(container: Any, config: dict[str, Any], account: str, region: str) -> None:
    stream = {"logGroupName": config["group"], "logStreamName": config["stream"]}
    try:
        with request_scope(account, region):
            cloudwatch_logs._create_log_stream(stream)
            for lines in split_lines(container.logs(stream=True, follow=True, stdout=True, stderr=True)):
                timestamp = int(time.time() * 1000)
                events = [{"timestamp": timestamp, "message": line} for line in lines]
                status, _, body = cloudwatch_logs._put_log_events({**stream, "logEvents": events})
                if status >= 400:
                    logger.warning("logs of %s: %s", config["stream"], body)
    except Exception:
        logger.exception("forwarding the logs of %s", config["stream"])
    finally:
        _forwarders.pop(container.id, None)


def _end(client: Any, container_id: str) -> None:
    """Stop the container: its output ends with it. What cannot be stopped is removed all the same."""
    try:
        client.containers.get(container_id).stop(timeout=5)
    except Exception:
        logger.warning("stopping container %s before it is removed", container_id, exc_info=True)


_GAP = "output is not forwarded without a log group"

PATCHES = (
    around("services.ecs._run_docker_container", _run, _GAP),
    around("services.ecs._remove_docker_container", _remove, _GAP),
    # It would begin only once the task has its container.
    Patch("services.ecs._start_awslogs_forwarder", lambda _: lambda *_arguments: None, _GAP),
)
