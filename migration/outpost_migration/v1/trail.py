"""Reads the calls of SendCommand out of CloudTrail's event history, and what they ran out of SSM."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from outpost_migration.v1.calls import Call, SendCommand, classify, record_of, text_of

if TYPE_CHECKING:
    from types_boto3_cloudtrail.client import CloudTrailClient
    from types_boto3_ssm.client import SSMClient

_PAUSE_SECONDS = 0.5
"""Between two calls of LookupEvents: the account may make 2 a second."""


class Trail:
    """The event history of one region."""

    def __init__(
        self, cloudtrail: "CloudTrailClient", ssm: "SSMClient", sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._cloudtrail = cloudtrail
        self._ssm = ssm
        self._sleep = sleep
        self._last = float("-inf")

    def has_events(self, start: datetime, end: datetime) -> bool:
        """Return whether the history has any event of that time: if not, it proves nothing."""
        return next(self._events(start, end, MaxResults=1), None) is not None

    def gaps(self, start: datetime, end: datetime, step: timedelta) -> list[datetime]:
        """Return the starts of those parts of [start, end), each one step long, of which the history has no event."""
        parts = [start + number * step for number in range(-((start - end) // step))]
        return [part for part in parts if not self.has_events(part, min(part + step, end))]

    def calls(self, start: datetime, end: datetime, instance_id: str | None) -> list[Call]:
        """Return the calls of SendCommand in [start, end) that may have reached the instance, oldest first.

        `instance_id` None means any instance.
        """
        attribute = {"AttributeKey": "EventName", "AttributeValue": "SendCommand"}
        found = [SendCommand.of(record_of(event)) for event in self._events(start, end, LookupAttributes=[attribute])]
        ours = [
            event
            for event in found
            if start <= event.time < end and (event.command_id if instance_id is None else event.may_reach(instance_id))
        ]
        return sorted((self.classify(event) for event in ours), key=lambda call: call.time)

    def classify(self, event: SendCommand) -> Call:
        """Return what a call was, from the command's text if SSM still knows it."""
        return classify(event, self._text(event.command_id) if event.command_id else None)

    def _text(self, command_id: str) -> str | None:
        commands = self._ssm.list_commands(CommandId=command_id)["Commands"]
        return text_of(commands[0].get("Parameters") or {}) if commands else None

    def _events(self, start: datetime, end: datetime, **request: Any) -> Iterator[Any]:
        while True:
            self._sleep(max(0.0, self._last + _PAUSE_SECONDS - time.monotonic()))
            page = self._cloudtrail.lookup_events(StartTime=start, EndTime=end, **request)
            self._last = time.monotonic()
            yield from page["Events"]
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]
