"""SendCommand in the trail and on the bus as AWS shows it (gap 9).

MiniStack records its parameters in clear, leaves out the response and the caller's ARN, and publishes no "AWS API Call
via CloudTrail". AWS writes HIDDEN_DUE_TO_SECURITY_REASONS in place of the parameters, names the command's id in the
response, and hands the record to EventBridge. Code that reads commands out of the trail works without this, and never
on AWS.
"""

import json
import threading
from contextvars import ContextVar
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudtrail, eventbridge, ssm

HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
_answer: ContextVar[dict[str, Any] | None] = ContextVar("send_command_answer", default=None)


def install() -> None:
    """Keep the answer of each call, and complete the record that is made of it."""
    record, send = cloudtrail.record_event, ssm._send_command

    def send_and_keep(data: dict[str, Any]) -> Any:
        status, headers, body = send(data)
        _answer.set(json.loads(body) if status < 400 else None)
        return status, headers, body

    def record_hidden(*, event_name: str, **event: Any) -> None:
        record(event_name=event_name, **event)
        if event_name == "SendCommand":
            _complete(cloudtrail._get_event_queue()[-1])

    ssm._send_command = send_and_keep
    cloudtrail.record_event = record_hidden


def _complete(event: dict[str, Any]) -> None:
    """Make MiniStack's last record of SendCommand what AWS would have recorded, and publish it."""
    detail = json.loads(event["CloudTrailEvent"])
    asked = {key[:1].lower() + key[1:]: value for key, value in (detail["requestParameters"] or {}).items()}
    if "parameters" in asked:
        asked["parameters"] = HIDDEN
    detail["requestParameters"] = asked
    detail["userIdentity"]["arn"] = iam_evaluator.caller_arn() or detail["userIdentity"]["arn"]
    answer = _answer.get()
    _answer.set(None)
    if answer is None:
        detail["errorCode"] = "InvalidInstanceId"
    else:
        command = {key: answer["Command"].get(name) for key, name in _RESPONSE.items()}
        detail["responseElements"] = {"command": {**command, "parameters": HIDDEN}}
    event["CloudTrailEvent"] = json.dumps(detail)
    threading.Thread(target=_publish, args=(get_account_id(), get_region(), detail), daemon=True).start()


_RESPONSE = {"commandId": "CommandId", "documentName": "DocumentName", "instanceIds": "InstanceIds"}


def _publish(account: str, region: str, detail: dict[str, Any]) -> None:
    entry = {"Source": "aws.ssm", "DetailType": "AWS API Call via CloudTrail", "Detail": json.dumps(detail)}
    with request_scope(account, region):
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
