"""What an operator sees: alarms, and how long the last deploy took."""

from datetime import datetime

from outpost.report import Check
from outpost_ops.verify.deployed import Deployed

_PAGE = 100
"""Names that DescribeAlarms takes at once."""
_BEGUN = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")


def check_alarms(deployed: Deployed) -> Check:
    """No alarm of the environment is in the state ALARM, and each has an action."""
    names = deployed.of_type("AWS::CloudWatch::Alarm")
    alarms = [
        alarm
        for start in range(0, len(names), _PAGE)
        for alarm in deployed.pages(
            "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNames=names[start : start + _PAGE]
        )
    ]
    raised = [f"{alarm['AlarmName']}: {alarm['StateValue']}" for alarm in alarms if alarm["StateValue"] == "ALARM"]
    silent = [f"{alarm['AlarmName']} has no action" for alarm in alarms if not alarm.get("AlarmActions")]
    evidence = [f"{len(alarms)} of {len(names)} alarms described", *raised, *silent]
    holds = len(alarms) == len(names) > 0 and not raised and not silent
    return Check.of("alarms", "No alarm is raised, and each has an action", holds, evidence, "see docs/operations.md")


def deploy_seconds(deployed: Deployed) -> dict[str, float]:
    """Return how long the last create or update of each stack took, by its events."""
    return {name: _last_operation(deployed, name) for name in sorted(deployed.stack_states())}


def _last_operation(deployed: Deployed, name: str) -> float:
    """Events come newest first: the stack's own last event ends the operation that its nearest start began."""
    ended: datetime | None = None
    for event in deployed.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=name):
        if event["ResourceType"] == "AWS::CloudFormation::Stack" and event["LogicalResourceId"] == name:
            ended = ended or event["Timestamp"]
            if event["ResourceStatus"] in _BEGUN:
                return float((ended - event["Timestamp"]).total_seconds())
    return 0.0
