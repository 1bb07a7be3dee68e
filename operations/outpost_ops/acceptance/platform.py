"""What an operator sees: alarms, the seven controls, and how long the last deploy took."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from outpost.report import Check
from outpost_ops.verify.controls import verify_controls
from outpost_ops.verify.deployed import Deployed

_PAGE = 100
"""Names that DescribeAlarms takes at once."""
_BEGUN = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")


def check_alarms(deployed: Deployed) -> Check:
    """No alarm of the environment is in the state ALARM, and each has an action."""
    names = deployed.of_type("AWS::CloudWatch::Alarm")
    alarms = [alarm for page in _pages(names) for alarm in _alarms(deployed, page)]
    raised = [f"{alarm['AlarmName']}: {alarm['StateValue']}" for alarm in alarms if alarm["StateValue"] == "ALARM"]
    silent = [f"{alarm['AlarmName']} has no action" for alarm in alarms if not alarm.get("AlarmActions")]
    evidence = [f"{len(alarms)} of {len(names)} alarms described", *raised, *silent]
    holds = len(alarms) == len(names) > 0 and not raised and not silent
    return Check.of("alarms", "No alarm is raised, and each has an action", holds, evidence, "see docs/operations.md")


def check_controls(deployed: Deployed) -> list[Check]:
    """Return the seven controls, as `outpost verify controls` reports them."""
    return verify_controls(deployed)


def deploy_seconds(deployed: Deployed) -> dict[str, float]:
    """Return how long the last create or update of each stack took, by its events."""
    cloudformation = deployed.client("cloudformation")
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    prefix = f"Outpost-{deployed.config.name}-"
    names = [stack["StackName"] for page in pages for stack in page["Stacks"] if stack["StackName"].startswith(prefix)]
    return {name: _last_operation(cloudformation, name) for name in sorted(names)}


def _last_operation(cloudformation: Any, name: str) -> float:  # noqa: ANN401 - a client of boto3
    """Events come newest first: the stack's own last event ends the operation that its nearest start began."""
    ended: datetime | None = None
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=name):
        for event in page["StackEvents"]:
            if event["ResourceType"] != "AWS::CloudFormation::Stack" or event["LogicalResourceId"] != name:
                continue
            ended = ended or event["Timestamp"]
            if event["ResourceStatus"] in _BEGUN:
                return float((ended - event["Timestamp"]).total_seconds())
    return 0.0


def _pages(names: list[str]) -> Iterable[list[str]]:
    return (names[start : start + _PAGE] for start in range(0, len(names), _PAGE))


def _alarms(deployed: Deployed, names: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployed.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    return found
