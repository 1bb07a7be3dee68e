"""A trail delivers to its bucket, and LookupEvents has pages: MiniStack records calls, but writes no file.

Files are written when the trail's status is requested, as CloudTrail would have written them by then: whatever was
recorded since the last delivery; and after a batch delete in the trail's bucket, as emptying it takes longer than the
minutes between two deliveries (CloudTrail User Guide, "How CloudTrail works"). A bucket that is gone, or whose policy
does not let CloudTrail in, is an error of the delivery, as on AWS. MiniStack's LookupEvents returns the newest 50
events and no NextToken.

SendCommand is in the trail and on the bus as AWS shows it. MiniStack records its parameters in clear, leaves out the
response and the caller's ARN, and publishes no "AWS API Call via CloudTrail". AWS writes HIDDEN_DUE_TO_SECURITY_REASONS
in place of the parameters, names the command's id in the response, and hands the record to EventBridge. Code that reads
commands out of the trail works without this, and never on AWS.
"""

import gzip
import json
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from itertools import dropwhile, islice
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.concurrency import spawn_background
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudtrail, eventbridge, s3

from outpost_local.extensions.cloudformation.handlers import Response, checked, revised
from outpost_local.extensions.patch import around

AFTER = ("s3.buckets",)

_PAGE = 50
_page: ContextVar[deque[Any] | None] = ContextVar("_page", default=None)
"""The events before a token, for the current request only: other calls are recorded meanwhile."""


def _get_trail_status(status_of: Callable[..., Response], body: dict[str, Any]) -> Any:
    def after_delivery(status: dict[str, Any]) -> dict[str, Any]:
        _name, _region, trail = cloudtrail._find_visible_trail(body["Name"].strip())
        _deliver_if_logging(trail)
        return {**status, **trail.get("_Delivery", {})}

    return revised(status_of(body), after_delivery)


def _delete_objects(delete: Callable[..., Response], bucket: str, *rest: Any) -> Response:
    response = delete(bucket, *rest)
    for trail in cloudtrail._trails.values():
        if trail["S3BucketName"] == bucket:
            _deliver_if_logging(trail)
    return response


def _deliver_if_logging(trail: dict[str, Any]) -> None:
    if trail.get("IsLogging", True):
        trail["_Delivery"] = _deliver(trail)


def _deliver(trail: dict[str, Any]) -> dict[str, Any]:
    """Write what is new; return the members of the trail's status that report it."""
    bucket, last = trail["S3BucketName"], trail.get("_Delivery", {})
    if error := _obstacle(bucket):
        return {**last, "LatestDeliveryError": error}
    now, since = time.time(), last.get("LatestDeliveryTime", 0)
    new = [event for event in cloudtrail._get_event_queue() if event["EventTime"] > since]
    records = {"Records": [json.loads(event["CloudTrailEvent"]) for event in new]}
    day, moment = (time.strftime(form, time.gmtime(now)) for form in ("%Y/%m/%d", "%Y%m%dT%H%MZ"))
    account, region = get_account_id(), get_region()
    file = f"{account}_CloudTrail_{region}_{moment}_{int(now * 1000)}.json.gz"
    key = f"AWSLogs/{account}/CloudTrail/{region}/{day}/{file}"
    checked(s3._put_object(bucket, key, gzip.compress(json.dumps(records).encode()), {}))
    return {"LatestDeliveryTime": now}


def _obstacle(bucket: str) -> str:
    if bucket not in s3._buckets:
        return "NoSuchBucket"
    return "" if "cloudtrail.amazonaws.com" in str(s3._bucket_policies.get(bucket)) else "AccessDenied"


def _lookup_events(lookup: Callable[..., Response], body: dict[str, Any]) -> Any:
    """Return a token with each full page: the id of its last event."""
    if token := body.get("NextToken"):
        newest_first = dropwhile(lambda event: event["EventId"] != token, reversed(list(cloudtrail._get_event_queue())))
        _page.set(deque(reversed(list(islice(newest_first, 1, None)))))
    try:
        response = lookup(body)
    finally:
        _page.set(None)
    most = min(int(body.get("MaxResults") or _PAGE), _PAGE)

    def with_token(page: dict[str, Any]) -> dict[str, Any]:
        return page | {"NextToken": page["Events"][-1]["EventId"]} if len(page["Events"]) == most else page

    return revised(response, with_token)


def _get_event_queue(queue: Callable[[], deque[Any]]) -> deque[Any]:
    page = _page.get()
    return queue() if page is None else page


_DELIVERY, _ONE_PAGE = "a trail delivers nothing", "LookupEvents has no second page"


HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
_response: ContextVar[dict[str, Any] | None] = ContextVar("send_command_response", default=None)


def _send_command(send: Callable[..., Response], data: dict[str, Any]) -> Response:
    response = send(data)
    _response.set(json.loads(response[2]) if response[0] < 400 else None)
    return response


def _record_event(record: Callable[..., None], *, event_name: str, **event: Any) -> None:
    record(event_name=event_name, **event)
    if event_name == "SendCommand":
        _complete(cloudtrail._get_event_queue()[-1])


def _complete(event: dict[str, Any]) -> None:
    """Make MiniStack's last record of SendCommand what AWS would have recorded, and publish it."""
    detail = json.loads(event["CloudTrailEvent"])
    parameters = {key[:1].lower() + key[1:]: value for key, value in (detail["requestParameters"] or {}).items()}
    if "parameters" in parameters:
        parameters["parameters"] = HIDDEN
    detail["requestParameters"] = parameters
    detail["userIdentity"]["arn"] = iam_evaluator.caller_arn() or detail["userIdentity"]["arn"]
    response = _response.get()
    _response.set(None)
    if response is None:
        detail["errorCode"] = "InvalidInstanceId"
    else:
        command = {key: response["Command"].get(name) for key, name in _MEMBERS.items()}
        detail["responseElements"] = {"command": {**command, "parameters": HIDDEN}}
    event["CloudTrailEvent"] = json.dumps(detail)
    entry = {"Source": "aws.ssm", "DetailType": "AWS API Call via CloudTrail", "Detail": event["CloudTrailEvent"]}
    spawn_background(eventbridge._put_events, {"Entries": [entry]}, allow_aws_source=True, thread_name="trail-event")


_MEMBERS = {"commandId": "CommandId", "documentName": "DocumentName", "instanceIds": "InstanceIds"}


_GAP = "SendCommand is recorded in clear"


PATCHES = (
    around("services.cloudtrail._DISPATCH[GetTrailStatus]", _get_trail_status, _DELIVERY),
    around("services.s3._delete_objects", _delete_objects, _DELIVERY),
    around("services.cloudtrail._get_event_queue", _get_event_queue, _ONE_PAGE),
    around("services.cloudtrail._DISPATCH[LookupEvents]", _lookup_events, _ONE_PAGE),
    around("services.ssm._send_command", _send_command, _GAP),
    around("services.cloudtrail.record_event", _record_event, _GAP),
)
