"""The audit trail of the embedded AWS."""

import json

from outpost.local.environment import LocalEnvironment


def test_the_trail_hides_what_send_command_ran(aws: LocalEnvironment) -> None:
    instance = aws.client("ec2").run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    aws.client("ssm").send_command(
        InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters={"commands": ["echo hush"]}
    )
    events = aws.client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "SendCommand"}]
    )["Events"]
    detail = json.loads(events[0]["CloudTrailEvent"])
    assert "hush" not in events[0]["CloudTrailEvent"]
    assert detail["requestParameters"]["Parameters"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    assert detail["requestParameters"]["InstanceIds"] == [instance]
