"""Tells the event bus of every dispatch that has ended: invoked by the stream of the dispatches, filtered to those."""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from outpost.domain.usage_event import DETAIL_TYPE, SOURCE, DispatchEnded, dispatch_ended
from outpost.names import Env
from outpost.store.rows import row_of

if TYPE_CHECKING:
    from types_boto3_events.client import EventBridgeClient

logger = Logger(service="usage_events")


class DeliveryError(Exception):
    """The bus did not take an event: the stream delivers the record again."""


@cache
def _bus() -> "EventBridgeClient":
    return boto3.client("events")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Send one event for each record. Raises `DeliveryError`."""
    rows = [row_of(record["dynamodb"]["NewImage"]) for record in event["Records"]]
    ended = [dispatch_ended(row, os.environ[Env.ENVIRONMENT]) for row in rows if row.status.terminal]
    for start in range(0, len(ended), 10):  # what one call takes
        _send(ended[start : start + 10])


def _send(ended: list[DispatchEnded]) -> None:
    answer = _bus().put_events(
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
    if answer["FailedEntryCount"]:
        codes = {entry["ErrorCode"] for entry in answer["Entries"] if "ErrorCode" in entry}
        raise DeliveryError(f"{answer['FailedEntryCount']} of {len(ended)} events were not taken: {', '.join(codes)}")
    logger.info("told", extra={"dispatches": [one.id for one in ended]})
