"""A log group belongs to the stack that makes it, and is made once.

MiniStack lets a stack create a group that exists, and empties it; and a function that still runs when its group is
deleted makes it again, whatever its role allows, so that the next deployment would find the name taken. It also looks
whether a group exists before it creates it: of two threads that do so at once, the second one replaces the group of
the first, with the lines in it.

A group has a key only if the key's policy lets CloudWatch Logs use it: MiniStack takes any key. The principal is
`logs.<region>.amazonaws.com`, the encryption context the group's ARN (Amazon CloudWatch Logs User Guide: "Encrypt log
data in CloudWatch Logs using AWS Key Management Service").

PutLogEvents refuses what CloudWatch Logs refuses: MiniStack stores anything. A batch has at most 10,000 events and
1,048,576 bytes, 26 bytes of overhead for each event; an event has at most 1 MB; a batch is in chronological order and
spans at most 24 hours; events older than 14 days, older than the group's retention or more than 2 hours in the future
are left out and reported (Amazon CloudWatch Logs API Reference: PutLogEvents).
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import cloudwatch, cloudwatch_logs

from outpost_local.extensions.cloudformation.handlers import Created, Properties, Response, handler, revised
from outpost_local.extensions.kms.keys import KeyUse, customer_key, service_refused
from outpost_local.extensions.patch import around

_LOCK = threading.RLock()

_BATCH_BYTES = 1_048_576
_EVENT_BYTES = 1_048_576
_EVENTS = 10_000
_OVERHEAD = 26
_DAY = 24 * 3600 * 1000
_OLDEST, _NEWEST = 14 * _DAY, 2 * 3600 * 1000


def _create_new(create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    with _LOCK:
        if (name := props.get("LogGroupName")) in cloudwatch_logs._log_groups:
            raise ValueError(f"LogGroupName: {name} already exists")
        return create(logical_id, props, stack)


def _emit_to_existing(emit: Callable[..., None], function: dict[str, Any], *arguments: Any, **options: Any) -> None:
    config = function.get("config", function)
    default = f"/aws/lambda/{config['FunctionName']}"  # Lambda creates this one itself
    with _LOCK:
        if config.get("LoggingConfig", {}).get("LogGroup", default) in {default, *cloudwatch_logs._log_groups}:
            emit(function, *arguments, **options)


def _one_at_a_time(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    with _LOCK:
        return function(*arguments, **options)


_LOGS = ("Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo", "GenerateDataKey", "DescribeKey")


def _group_problem(name: str | None, key: str | None) -> str | None:
    arn = customer_key(key)
    if arn is None:
        return None
    group = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{name}"
    actions = tuple(f"kms:{action}" for action in _LOGS)
    use = KeyUse(actions, arn, "logs", {"aws:logs:arn": group})
    refused = service_refused(use, f"logs.{get_region()}.amazonaws.com", group)
    if refused is None:
        return None
    message = f"The specified KMS key does not exist or is not allowed to be used with Arn '{group}'"
    return f"{message}: its policy does not allow {refused}"


def _create_group(create: Callable[..., Any], request: dict[str, Any]) -> Any:
    if problem := _group_problem(request.get("logGroupName"), request.get("kmsKeyId")):
        return error_response_json("InvalidParameterException", problem, 400)
    return create(request)


def _create_with_key(create: Callable[..., Created], logical_id: str, props: Properties, stack: str) -> Created:
    if problem := _group_problem(props.get("LogGroupName") or f"{stack}-{logical_id}", props.get("KmsKeyId")):
        raise ValueError(problem)
    return create(logical_id, props, stack)


def _update_key(update: Callable[..., Created], name: str, old: Properties, new: Properties, *rest: Any) -> Created:
    if problem := _group_problem(name, new.get("KmsKeyId")):
        raise ValueError(problem)
    return update(name, old, new, *rest)


def _put_log_events(put: Callable[..., Response], request: dict[str, Any]) -> Response:
    events = request.get("logEvents", [])
    if problem := _problem(events):
        return error_response_json("InvalidParameterException", problem, 400)  # type: ignore[no-any-return]
    group = cloudwatch_logs._log_groups.get(request.get("logGroupName")) or {}
    rejected, kept = _rejected(events, group.get("retentionInDays"))
    response = put(request | {"logEvents": kept})
    return revised(response, lambda found: found | {"rejectedLogEventsInfo": rejected}) if rejected else response


def _problem(events: list[dict[str, Any]]) -> str | None:
    sizes = [len(event["message"].encode()) + _OVERHEAD for event in events]
    times = [event["timestamp"] for event in events]
    if len(events) > _EVENTS:
        return f"Log events in a single PutLogEvents request exceed {_EVENTS}."
    if any(size > _EVENT_BYTES for size in sizes):
        return f"Log event too large: {max(sizes)} bytes exceeds limit of {_EVENT_BYTES}"
    if sum(sizes) > _BATCH_BYTES:
        return f"Upload too large: {sum(sizes)} bytes exceeds limit of {_BATCH_BYTES}"
    if times != sorted(times):
        return "Log events in a single PutLogEvents request must be in chronological order."
    if times and times[-1] - times[0] > _DAY:
        return "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
    return None


def _rejected(events: list[dict[str, Any]], retention_days: int | None) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Return what to report of the events that are left out, and the events that are kept."""
    now = int(time.time() * 1000)
    expired = sum(event["timestamp"] < now - (retention_days or 36_500) * _DAY for event in events)
    old = sum(event["timestamp"] < now - _OLDEST for event in events)
    # The clock of CloudWatch's metrics: tests that move it also write what was logged until then.
    newest = int(cloudwatch.time.time() * 1000) + _NEWEST
    soon = next((place for place, event in enumerate(events) if event["timestamp"] > newest), len(events))
    rejected = {"expiredLogEventEndIndex": expired} if expired else {}
    rejected |= {"tooOldLogEventEndIndex": old} if old else {}
    rejected |= {"tooNewLogEventStartIndex": soon} if soon < len(events) else {}
    return rejected, events[max(expired, old) : soon]


_KIND, _GAP = "AWS::Logs::LogGroup", "a log group takes any key"


PATCHES = (
    around(
        # The update handler, which replaces a renamed group, calls the function by its module-level name.
        "services.cloudformation.provisioners._cwlogs_create",
        _create_new,
        "a stack takes over a log group that exists",
        handler("AWS::Logs::LogGroup", "create"),
    ),
    around("services.lambda_svc._emit_lambda_logs", _emit_to_existing, "a function makes its deleted log group again"),
    *(
        around(f"services.cloudwatch_logs.{name}", _one_at_a_time, "a log group is created without a lock")
        for name in (
            "_create_log_group",
            "_delete_log_group",
            "_create_log_stream",
            "_delete_log_stream",
            "_put_log_events",
        )
    ),
    around("services.cloudwatch_logs._create_log_group", _create_group, _GAP),
    around("services.cloudformation.provisioners._cwlogs_create", _create_with_key, _GAP, handler(_KIND, "create")),
    around(handler(_KIND, "update"), _update_key, _GAP),
    around("services.cloudwatch_logs._put_log_events", _put_log_events, "log batches may have any size"),
)
