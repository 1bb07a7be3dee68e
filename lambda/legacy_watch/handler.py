"""Who still calls v1: a metric and a log line for each event of a SendCommand that may have reached v1's host.

The metric is for the alarm: 1 for a dispatch, 0 for any other use of Run Command. Its sum is not the number of
dispatches, as EventBridge and Lambda may deliver an event more than once (Amazon EventBridge User Guide: "Events");
the number of distinct `command`s in the lines is, and so is `ssm_calls` of the monitoring report.
"""

import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.names import LEGACY_DISPATCHES, Env
from outpost_migration.monitor.documents import Documents
from outpost_migration.monitor.metrics import put_metric
from outpost_migration.monitor.model import HOST, V1Host
from outpost_migration.v1.calls import SendCommand
from outpost_migration.v1.trail import Trail

logger = Logger(service="legacy_watch")


@cache
def _documents() -> Documents:
    return Documents(boto3.client("s3", config=CLIENT_CONFIG), os.environ[Env.AUDIT_BUCKET])


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle one "AWS API Call via CloudTrail" event of SendCommand. Lambda repeats it after an error."""
    call = SendCommand.of(event["detail"])
    host = _documents().value(V1Host, HOST)
    if call.command_id is None or (host and not call.may_reach(host.instance_id)):
        return
    trail = Trail(boto3.client("cloudtrail", config=CLIENT_CONFIG), boto3.client("ssm", config=CLIENT_CONFIG))
    found = trail.classify(call)
    level = logger.warning if found.counts else logger.info
    level(
        "SendCommand",
        extra={
            "kind": found.kind,
            "caller": found.caller,
            "command": found.command_id,
            "at": found.time.isoformat(),
        },
    )
    cloudwatch = boto3.client("cloudwatch", config=CLIENT_CONFIG)
    put_metric(cloudwatch, LEGACY_DISPATCHES, int(found.counts), "Count")
