"""PutLogEvents refuses what CloudWatch Logs refuses: MiniStack stores anything.

A batch has at most 10,000 events and 1,048,576 bytes, 26 bytes of overhead for each event; an event has at most 1 MB; a
batch is in chronological order and spans at most 24 hours; events older than 14 days, older than the group's retention
or more than 2 hours in the future are left out and reported (Amazon CloudWatch Logs API Reference: PutLogEvents).
"""

import time
from collections.abc import Callable
from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import cloudwatch, cloudwatch_logs

from outpost_local.extensions.cloudformation.handlers import Response, with_members
from outpost_local.extensions.patch import around

_BATCH_BYTES = 1_048_576
_EVENT_BYTES = 1_048_576
_EVENTS = 10_000
_OVERHEAD = 26
_DAY = 24 * 3600 * 1000
_OLDEST, _NEWEST = 14 * _DAY, 2 * 3600 * 1000

AFTER = ("logs.log_groups",)


def _put_log_events(put: Callable[..., Response], request: dict[str, Any]) -> Response:
    events = request.get("logEvents", [])
    if problem := _problem(events):
        return error_response_json("InvalidParameterException", problem, 400)  # type: ignore[no-any-return]
    group = cloudwatch_logs._log_groups.get(request.get("logGroupName")) or {}
    rejected, kept = _rejected(events, group.get("retentionInDays"))
    response = put(request | {"logEvents": kept})
    return with_members(response, {"rejectedLogEventsInfo": rejected}) if rejected else response


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


PATCHES = (around("services.cloudwatch_logs._put_log_events", _put_log_events, "log batches may have any size"),)
