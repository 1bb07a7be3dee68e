"""Protects tables and load balancers from deletion once they exist: a custom resource of CloudFormation.

A template that creates them protected cannot be rolled back, because DynamoDB and Elastic Load Balancing refuse the
deletion. So they are created without, protected here, and freed again when CloudFormation undoes what it did.
"""

import json
from typing import Any

import boto3
import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

logger = Logger(service="deletion_protection")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Serve one request of CloudFormation: `Protected` holds the ARNs of tables and load balancers."""
    reason = ""
    try:
        for arn, protected in changes(event).items():
            protect(arn, protected=protected)
    except (BotoCoreError, ClientError) as error:
        logger.exception("deletion protection was not changed")
        reason = str(error)
    response = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    response |= {"PhysicalResourceId": event["LogicalResourceId"], "Status": "FAILED" if reason else "SUCCESS"}
    body = json.dumps(response | {"Reason": reason})
    urllib3.request("PUT", event["ResponseURL"], body=body, headers={"Content-Type": ""})


def changes(event: dict[str, Any]) -> dict[str, bool]:
    """Return which resources to protect (True) and which to free (False).

    What an update no longer names was replaced, and is about to be deleted. When the custom resource itself is deleted
    its stack is rolled back or no longer asks for protection, unless the stack is deleted: then protection holds.
    """
    wanted = event["ResourceProperties"]["Protected"]
    if event["RequestType"] == "Delete":
        return {} if _is_deleted(event["StackId"]) else dict.fromkeys(wanted, False)
    before = event.get("OldResourceProperties", {}).get("Protected", [])
    return dict.fromkeys(before, False) | dict.fromkeys(wanted, True)


def protect(arn: str, *, protected: bool) -> None:
    """Set the deletion protection of a table or a load balancer; one that is set already stays as it is."""
    if ":table/" in arn:
        dynamodb, name = boto3.client("dynamodb"), arn.rpartition("/")[2]
        if dynamodb.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled", False) is not protected:
            dynamodb.update_table(TableName=name, DeletionProtectionEnabled=protected)
        return
    attribute = {"Key": "deletion_protection.enabled", "Value": str(protected).lower()}
    boto3.client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[attribute])


def _is_deleted(stack_id: str) -> bool:
    stacks = boto3.client("cloudformation").describe_stacks(StackName=stack_id)["Stacks"]
    return stacks[0]["StackStatus"].startswith("DELETE")
