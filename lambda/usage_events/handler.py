"""Sends an event for each dispatch that has ended to the event bus: invoked by `dispatch_changes`, ten at a time."""

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from outpost.domain.usage_event import DETAIL_TYPE, SOURCE, DispatchEnded

if TYPE_CHECKING:
    from types_boto3_events.client import EventBridgeClient

logger = Logger(service="usage_events")


class DeliveryError(Exception):
    """The bus did not take an event: Lambda invokes the function again."""


@cache
def _bus() -> "EventBridgeClient":
    return boto3.client("events")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Send the events of `ended`, at most ten. Raises `DeliveryError`."""
    ended = [DispatchEnded.model_validate(one) for one in event["ended"]]
    response = _bus().put_events(
        Entries=[
            {
                "Source": SOURCE,
                "DetailType": DETAIL_TYPE,
                "Detail": one.model_dump_json(by_alias=True),
                "Time": one.ended_at,
            }
            for one in ended
        ]
    )
    if response["FailedEntryCount"]:
        codes = {entry["ErrorCode"] for entry in response["Entries"] if "ErrorCode" in entry}
        raise DeliveryError(f"{response['FailedEntryCount']} of {len(ended)} events were not taken: {', '.join(codes)}")
    logger.info("sent", extra={"dispatches": [one.id for one in ended]})
