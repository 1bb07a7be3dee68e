"""Protects tables and load balancers from deletion once they exist: a custom resource of CloudFormation.

A template that creates them protected cannot be rolled back, because DynamoDB and Elastic Load Balancing refuse the
deletion. So they are created without, protected here, and freed again when CloudFormation undoes their create.
"""

import json
import time
from typing import Any

import boto3
import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

PAUSE_SECONDS = 1
RETRY_SECONDS = 90
"""How long refused calls are retried: changes of IAM are eventually consistent (IAM User Guide, "Troubleshoot IAM")."""
TABLE_SECONDS = 300
"""How long all tables together may take to be ACTIVE: they are waited for once all of them were changed."""
_RETRIED = frozenset({"AccessDenied", "AccessDeniedException", "ResourceInUseException"})
"""The policy of this function's role is as new as the tables; somebody else may be updating a table."""

logger = Logger(service="deletion_protection")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Serve one request of CloudFormation: `Protected` holds the ARNs of tables and load balancers."""
    reason = ""
    try:
        change(event)
    except (BotoCoreError, ClientError) as error:
        logger.exception("deletion protection was not changed")
        reason = str(error)
    response = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    response |= {"PhysicalResourceId": event["LogicalResourceId"], "Status": "FAILED" if reason else "SUCCESS"}
    body = json.dumps(response | {"Reason": reason})
    urllib3.request("PUT", event["ResponseURL"], body=body, headers={"Content-Type": ""})


def changes(event: dict[str, Any]) -> dict[str, bool]:
    """Return which resources to protect (True) and which to free (False).

    What an update no longer names was replaced, and is about to be deleted. A deleted custom resource frees nothing,
    unless the first create of its stack is rolled back: the rollback of an update that added it, a new logical id or
    a template without it leave the resources where they are.
    """
    wanted = event["ResourceProperties"]["Protected"]
    if event["RequestType"] == "Delete":
        return dict.fromkeys(wanted, False) if _create_is_rolled_back(event["StackId"]) else {}
    before = event.get("OldResourceProperties", {}).get("Protected", [])
    return dict.fromkeys(before, False) | dict.fromkeys(wanted, True)


def change(event: dict[str, Any]) -> None:
    """Make the changes of a request and wait until they are done; retry a call that is refused for now.

    Raises `ClientError` and `WaiterError`.
    """
    give_up = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            wanted = changes(event)
            for arn, protected in wanted.items():
                protect(arn, protected=protected)
            break
        except ClientError as error:
            if error.response["Error"]["Code"] not in _RETRIED or time.monotonic() > give_up:
                raise
            time.sleep(PAUSE_SECONDS)
    give_up = time.monotonic() + TABLE_SECONDS
    for name in filter(None, map(_table_name, wanted)):
        _wait_until_active(name, give_up)


def protect(arn: str, *, protected: bool) -> None:
    """Set the deletion protection of a table or a load balancer; one that is set already stays as it is.

    Raises `ClientError`: ResourceInUseException for a table that is being updated.
    """
    if name := _table_name(arn):
        dynamodb = boto3.client("dynamodb")
        if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled", False) is not protected:
            dynamodb.update_table(TableName=name, DeletionProtectionEnabled=protected)
        return
    attribute = {"Key": "deletion_protection.enabled", "Value": str(protected).lower()}
    boto3.client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[attribute])


def _table_name(arn: str) -> str | None:
    return arn.rpartition("/")[2] if ":table/" in arn else None


def _wait_until_active(table: str, give_up: float) -> None:
    """Wait for a table until `give_up` of the monotonic clock. Raises `WaiterError`.

    UpdateTable returns while the table is UPDATING, and another update or a delete is refused until it is ACTIVE again
    (DynamoDB API Reference: UpdateTable, DeleteTable).
    """
    attempts = 1 + max(0, int((give_up - time.monotonic()) / PAUSE_SECONDS))
    waiter = boto3.client("dynamodb").get_waiter("table_exists")
    waiter.wait(TableName=table, WaiterConfig={"Delay": PAUSE_SECONDS, "MaxAttempts": attempts})


def _create_is_rolled_back(stack_id: str) -> bool:
    """`UPDATE_ROLLBACK_IN_PROGRESS` is another status: the resources were there before."""
    stacks = boto3.client("cloudformation").describe_stacks(StackName=stack_id)["Stacks"]
    return stacks[0]["StackStatus"].startswith("ROLLBACK_")
