"""Closes a VPC's default security group, which EC2 creates open: a custom resource of CloudFormation."""

import json
from typing import Any

import boto3
import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

logger = Logger(service="default_group")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Respond to one request of CloudFormation. When the resource goes its VPC goes too: nothing is opened again."""
    group, reason = event["ResourceProperties"]["GroupId"], ""
    if event["RequestType"] != "Delete":
        try:
            close(group, event["ResourceProperties"]["Account"])
        except ClientError as error:
            logger.exception("the group stays open")
            reason = str(error)
    response = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    response |= {"PhysicalResourceId": group, "Status": "FAILED" if reason else "SUCCESS", "Reason": reason}
    urllib3.request("PUT", event["ResponseURL"], body=json.dumps(response), headers={"Content-Type": ""})


def close(group: str, account: str) -> None:
    """Revoke the two rules that EC2 gives the group: members may talk to each other, and to everybody."""
    ec2 = boto3.client("ec2")
    members = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group, "UserId": account}]}
    everybody = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    for revoke, rule in (
        (ec2.revoke_security_group_ingress, members),
        (ec2.revoke_security_group_egress, everybody),
    ):
        try:
            revoke(GroupId=group, IpPermissions=[rule])
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidPermission.NotFound":
                raise
