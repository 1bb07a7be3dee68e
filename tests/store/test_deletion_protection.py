"""Deletion protection is set after a create, removed when the first create is rolled back, and holds otherwise."""

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
from tests.eventually import eventually

CONTEXT = cast(
    LambdaContext,
    SimpleNamespace(function_name="f", memory_limit_in_mb=1, invoked_function_arn="a", aws_request_id="r"),
)
TOPIC = {"Topic": {"Type": "AWS::SNS::Topic"}}
FAILING = TOPIC | {"Failing": {"Type": "Custom::Failing", "DependsOn": "Topic", "Properties": {"ServiceToken": "none"}}}


class Stack:
    """A stack, a table and a load balancer, and what CloudFormation hears from the function."""

    def __init__(self) -> None:
        self.cloudformation, self.name = boto3.client("cloudformation"), f"protected-{uuid4().hex[:8]}"
        balancer = boto3.client("elbv2").create_load_balancer(Name=self.name, Subnets=["subnet-1", "subnet-2"])
        self.balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
        self.dynamodb = boto3.client("dynamodb")
        self.arn = self.new_table()
        self.table = self.arn.rpartition("/")[2]
        self.responses: list[dict[str, Any]] = []
        self.id = ""

    def new_table(self) -> str:
        """Create a table; return its ARN."""
        created = self.dynamodb.create_table(
            TableName=f"table-{uuid4().hex[:8]}",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return created["TableDescription"]["TableArn"]

    def deploy(self, resources: dict[str, Any]) -> str:
        """Create or update the stack; return the status in which it ends."""
        template = json.dumps({"Resources": resources})
        if self.id:
            self.cloudformation.update_stack(StackName=self.name, TemplateBody=template)
        else:
            self.id = self.cloudformation.create_stack(StackName=self.name, TemplateBody=template)["StackId"]
        return eventually(lambda: None if self.status().endswith("IN_PROGRESS") else self.status())

    def status(self) -> str:
        return self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]

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
        table = self.dynamodb.describe_table(TableName=self.table)["Table"]
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


def test_what_exists_is_protected_and_freed_when_the_first_create_is_rolled_back(stack: Stack) -> None:
    both = [stack.arn, stack.balancer]
    assert stack.deploy(FAILING) == "ROLLBACK_COMPLETE"

    assert stack.send("Create", both)["Status"] == "SUCCESS"
    assert stack.states() == (True, True)
    assert stack.send("Create", both)["Status"] == "SUCCESS"  # CloudFormation repeats requests
    assert stack.send("Delete", both)["Status"] == "SUCCESS"
    assert stack.states() == (False, False)


def test_what_was_replaced_is_freed(stack: Stack) -> None:
    stack.deploy(TOPIC)
    stack.send("Create", [stack.arn, stack.balancer])

    assert stack.send("Update", [stack.arn], before=[stack.arn, stack.balancer])["Status"] == "SUCCESS"
    assert stack.states() == (True, False)


@pytest.mark.parametrize("ending", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "DELETE_COMPLETE"])
def test_protection_holds_unless_the_first_create_is_rolled_back(stack: Stack, ending: str) -> None:
    stack.deploy(TOPIC)
    stack.send("Create", [stack.arn, stack.balancer])
    if ending == "UPDATE_ROLLBACK_COMPLETE":
        assert stack.deploy(FAILING) == ending
    if ending == "DELETE_COMPLETE":
        stack.cloudformation.delete_stack(StackName=stack.name)

    assert stack.send("Delete", [stack.arn, stack.balancer])["Status"] == "SUCCESS"
    assert stack.states() == (True, True)


def test_each_table_is_active_again_when_the_response_is_sent(stack: Stack) -> None:
    tables = [stack.new_table() for _ in range(3)]

    assert stack.send("Create", tables)["Status"] == "SUCCESS"

    states = [stack.dynamodb.describe_table(TableName=arn.rpartition("/")[2])["Table"]["TableStatus"] for arn in tables]
    assert states == ["ACTIVE"] * 3


def test_a_table_that_somebody_else_is_updating_is_protected_afterwards(stack: Stack) -> None:
    def update() -> None:
        stack.dynamodb.update_table(TableName=stack.table, TableClass="STANDARD_INFREQUENT_ACCESS")

    update()
    with pytest.raises(stack.dynamodb.exceptions.ResourceInUseException):
        update()
    with pytest.raises(stack.dynamodb.exceptions.ResourceInUseException):
        stack.dynamodb.delete_table(TableName=stack.table)

    assert stack.send("Create", [stack.arn])["Status"] == "SUCCESS"
    assert stack.states() == (True, False)


def test_a_refused_call_fails_the_deploy_with_its_reason(stack: Stack) -> None:
    missing = stack.send("Create", ["arn:aws:dynamodb:us-east-1:000000000000:table/missing"])

    assert missing["Status"] == "FAILED"
    assert "ResourceNotFoundException" in missing["Reason"]
