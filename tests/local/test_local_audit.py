"""The audit trail of the embedded AWS."""

import json

import pytest

from outpost_local.environment import LocalEnvironment


def test_the_trail_hides_what_send_command_ran(aws: LocalEnvironment) -> None:
    ssm = aws.client("ssm")
    with pytest.raises(ssm.exceptions.InvalidInstanceId):  # refused calls are recorded as well
        ssm.send_command(
            InstanceIds=["i-00000000000000000"],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": ["echo hush"]},
        )
    events = aws.client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "SendCommand"}]
    )["Events"]
    assert "hush" not in events[0]["CloudTrailEvent"]
    detail = json.loads(events[0]["CloudTrailEvent"])
    assert detail["requestParameters"]["parameters"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert detail["requestParameters"]["documentName"] == "AWS-RunShellScript"
