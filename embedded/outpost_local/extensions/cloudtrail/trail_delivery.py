"""A trail delivers to its bucket: MiniStack records calls, but writes no file and knows no delivery.

Files are written when somebody asks for the trail's status, as CloudTrail would have written them by then: whatever
was recorded since the last delivery; and after a batch delete in the trail's bucket, as emptying it takes longer than
the minutes between two deliveries (CloudTrail User Guide, "How CloudTrail works"). A bucket that is gone, or whose
policy does not let CloudTrail in, is an error of the delivery, as on AWS.
"""

import gzip
import json
import time
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudtrail, s3

from outpost_local.extensions.cloudformation.handlers import Response, checked, checked_json


def install() -> None:
    """Deliver before each response of GetTrailStatus, which then says how that went, and after batch deletes."""
    status_of, delete_objects = cloudtrail._DISPATCH["GetTrailStatus"], s3._delete_objects

    def deliver_and_answer(body: dict[str, Any]) -> Any:
        answer = status_of(body)
        if answer[0] >= 400:
            return answer
        _name, _region, trail = cloudtrail._find_visible_trail(body["Name"].strip())
        if trail.get("IsLogging", True):
            trail["_Delivery"] = _deliver(trail)
        return cloudtrail._ok({**checked_json(answer), **trail.get("_Delivery", {})})

    def delete_objects_and_deliver(bucket: str, *rest: Any) -> Response:
        response: Response = delete_objects(bucket, *rest)
        for trail in cloudtrail._trails.values():
            if trail["S3BucketName"] == bucket and trail.get("IsLogging", True):
                trail["_Delivery"] = _deliver(trail)
        return response

    cloudtrail._DISPATCH["GetTrailStatus"] = deliver_and_answer
    s3._delete_objects = delete_objects_and_deliver


def _deliver(trail: dict[str, Any]) -> dict[str, Any]:
    """Write what is new; answers the members of the status that tell of it."""
    bucket, last = trail["S3BucketName"], trail.get("_Delivery", {})
    error = _obstacle(bucket)
    if error:
        return {**last, "LatestDeliveryError": error}
    now, since = time.time(), last.get("LatestDeliveryTime", 0)
    new = [event for event in cloudtrail._get_event_queue() if event["EventTime"] > since]
    records = {"Records": [json.loads(event["CloudTrailEvent"]) for event in new]}
    day = time.strftime("%Y/%m/%d", time.gmtime(now))
    moment = time.strftime("%Y%m%dT%H%MZ", time.gmtime(now))
    account, region = get_account_id(), get_region()
    key = (
        f"AWSLogs/{account}/CloudTrail/{region}/{day}/{account}_CloudTrail_{region}_{moment}_{int(now * 1000)}.json.gz"
    )
    checked(s3._put_object(bucket, key, gzip.compress(json.dumps(records).encode()), {}))
    return {"LatestDeliveryTime": now}


def _obstacle(bucket: str) -> str:
    if bucket not in s3._buckets:
        return "NoSuchBucket"
    return "" if "cloudtrail.amazonaws.com" in str(s3._bucket_policies.get(bucket)) else "AccessDenied"
