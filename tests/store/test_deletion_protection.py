"""Deletion protection is switched on after a create, off when that is undone, and holds when a stack is deleted."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import boto3
import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from deletion_protection.handler import handler

CONTEXT = cast(
    LambdaContext,
    SimpleNamespace(function_name="f", memory_limit_in_mb=1, invoked_function_arn="a", aws_request_id="r"),
)
TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "DeletionPolicy": "Retain",
    "Properties": {
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    },
}


class Stack:
    """A stack with a table, and what CloudFormation hears from the function."""

    def __init__(self) -> None:
        self.cloudformation, self.name = boto3.client("cloudformation"), f"protected-{uuid4().hex[:8]}"
        template = json.dumps({"Resources": {"Table": TABLE}})
        self.id = self.cloudformation.create_stack(StackName=self.name, TemplateBody=template)["StackId"]
        self.cloudformation.get_waiter("stack_create_complete").wait(
            StackName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        resources = self.cloudformation.describe_stack_resources(StackName=self.name)["StackResources"]
        self.table = resources[0]["PhysicalResourceId"]
        balancer = boto3.client("elbv2").create_load_balancer(Name=self.name, Subnets=["subnet-1", "subnet-2"])
        self.balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        self.arn = boto3.client("dynamodb").describe_table(TableName=self.table)["Table"]["TableArn"]
        self.responses: list[dict[str, Any]] = []

    def send(self, request: str, protected: list[str], before: list[str] | None = None) -> dict[str, Any]:
        """Invoke the function as CloudFormation does; return its response."""
        event = {
            "RequestType": request,
            "StackId": self.id,
            "RequestId": "1",
            "LogicalResourceId": "Protection",
            "ResponseURL": self.url,
            "ResourceProperties": {"Protected": protected},
        }
        handler(event if before is None else event | {"OldResourceProperties": {"Protected": before}}, CONTEXT)
        return self.responses[-1]

    def states(self) -> tuple[bool, bool]:
        """Whether table and load balancer are protected."""
        table = boto3.client("dynamodb").describe_table(TableName=self.table)["Table"]
        found = boto3.client("elbv2").describe_load_balancer_attributes(LoadBalancerArn=self.balancer)["Attributes"]
        attributes = {attribute["Key"]: attribute["Value"] for attribute in found}
        return table.get("DeletionProtectionEnabled", False), attributes["deletion_protection.enabled"] == "true"

    url = ""


@pytest.fixture
def stack(aws: str) -> Iterator[Stack]:
    found = Stack()

    class Listener(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            found.responses.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_port}/"
        yield found
        server.shutdown()


def test_what_exists_is_protected_and_freed_when_its_create_is_undone(stack: Stack) -> None:
    both = [stack.arn, stack.balancer]

    assert stack.send("Create", both)["Status"] == "SUCCESS"
    assert stack.states() == (True, True)
    assert stack.send("Create", both)["Status"] == "SUCCESS"  # CloudFormation repeats requests
    assert stack.send("Delete", both)["Status"] == "SUCCESS"
    assert stack.states() == (False, False)


def test_what_was_replaced_is_freed(stack: Stack) -> None:
    stack.send("Create", [stack.arn, stack.balancer])

    assert stack.send("Update", [stack.arn], before=[stack.arn, stack.balancer])["Status"] == "SUCCESS"
    assert stack.states() == (True, False)


def test_protection_holds_when_the_stack_is_deleted(stack: Stack) -> None:
    stack.send("Create", [stack.arn, stack.balancer])
    stack.cloudformation.delete_stack(StackName=stack.name)

    assert stack.send("Delete", [stack.arn, stack.balancer])["Status"] == "SUCCESS"
    assert stack.states() == (True, True)


def test_a_refused_call_fails_the_deploy_with_its_reason(stack: Stack) -> None:
    missing = stack.send("Create", ["arn:aws:dynamodb:us-east-1:000000000000:table/missing"])

    assert missing["Status"] == "FAILED"
    assert "ResourceNotFoundException" in missing["Reason"]
