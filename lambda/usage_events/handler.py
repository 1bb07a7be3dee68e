"""Counts each dispatch that has ended, and sends its event: invoked by `dispatch_changes`, ten dispatches at a time.

Counting comes first, and happens once for each dispatch. A failure of the one does not keep the other from being done;
Lambda then invokes the function again for both. Tags that were too long for the dispatch's row are read here.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from outpost.domain.usage_event import DETAIL_TYPE, SOURCE, DispatchEnded
from outpost.fleet.store import Store
from outpost.store.database import ContentionError

if TYPE_CHECKING:
    from types_boto3_events.client import EventBridgeClient

logger = Logger(service="usage_events")


class DeliveryError(Exception):
    """Something was not counted, or the bus did not take an event: Lambda invokes the function again."""


@cache
def _bus() -> "EventBridgeClient":
    return boto3.client("events")


@cache
def _store() -> Store:
    return Store.from_environment()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Count the dispatches of `ended`, at most ten, and send their events. Raises `DeliveryError`."""
    found = {str(one["id"]): _ended(one) for one in event["ended"]}
    ended = [one for one in found.values() if one]
    uncounted = [id_ for id_, one in found.items() if one is None or not _count(id_)]
    if ended:
        _send(ended)
    logger.info("sent", extra={"dispatches": [one.id for one in ended]})
    if uncounted:
        raise DeliveryError(f"{len(uncounted)} of {len(found)} dispatches were not counted: {', '.join(uncounted)}")


def _ended(event: dict[str, Any]) -> DispatchEnded | None:
    """Return an event with its tags; None when they cannot be read."""
    try:
        row = _store().rows.get(event["id"]) if event["tags"] is None else None
    except (BotoCoreError, ClientError):
        logger.exception("tags cannot be read", extra={"dispatch": event["id"]})
        return None
    return DispatchEnded.model_validate(event | ({"tags": row.spec.tags} if row else {"tags": event["tags"] or {}}))


def _count(dispatch_id: str) -> bool:
    try:
        _store().usage.count(dispatch_id)
    except (BotoCoreError, ClientError, ContentionError):
        logger.exception("a dispatch was not counted", extra={"dispatch": dispatch_id})
        return False
    return True


def _send(ended: Sequence[DispatchEnded]) -> None:
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
