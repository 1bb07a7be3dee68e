"""SendCommand in the trail and on the bus as AWS shows it.

MiniStack records its parameters in clear, leaves out the response and the caller's ARN, and publishes no "AWS API Call
via CloudTrail". AWS writes HIDDEN_DUE_TO_SECURITY_REASONS in place of the parameters, names the command's id in the
response, and hands the record to EventBridge. Code that reads commands out of the trail works without this, and never
on AWS.
"""

import json
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudtrail, eventbridge

from outpost_local.extensions.cloudformation.handlers import Response
from outpost_local.extensions.patch import around

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
    threading.Thread(target=_publish, args=(get_account_id(), get_region(), detail), daemon=True).start()


_MEMBERS = {"commandId": "CommandId", "documentName": "DocumentName", "instanceIds": "InstanceIds"}


def _publish(account: str, region: str, detail: dict[str, Any]) -> None:
    entry = {"Source": "aws.ssm", "DetailType": "AWS API Call via CloudTrail", "Detail": json.dumps(detail)}
    with request_scope(account, region):
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


_GAP = "SendCommand is recorded in clear"

PATCHES = (
    around("services.ssm._send_command", _send_command, _GAP),
    around("services.cloudtrail.record_event", _record_event, _GAP),
)
