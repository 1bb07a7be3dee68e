"""CloudFormation stacks of a test's own, and MiniStack without our extensions for comparison."""

import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

from outpost.local.environment import LocalEnvironment

Resources = dict[str, dict[str, Any]]


def unextended(expression: str) -> Any:  # noqa: ANN401 - JSON
    """What an expression over `ministack` gives in a process without our extensions."""
    program = (
        f"import json\nfrom ministack.services.cloudformation import provisioners\nprint(json.dumps({expression}))"
    )
    return json.loads(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout)


class Stack:
    """A CloudFormation stack that is deployed from a dictionary of resources."""

    def __init__(self, aws: LocalEnvironment) -> None:
        self._client = aws.client("cloudformation")
        self._name = f"stack-{uuid4().hex[:12]}"
        self._exists = False

    def deploy(self, resources: Resources) -> dict[str, str]:
        """Create or update; answers the physical ids."""
        verb = "update" if self._exists else "create"
        template = json.dumps({"Resources": resources})
        getattr(self._client, f"{verb}_stack")(
            StackName=self._name, TemplateBody=template, Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
        )
        waiter = self._client.get_waiter(f"stack_{verb}_complete")
        waiter.wait(StackName=self._name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        self._exists = True
        found = self._client.describe_stack_resources(StackName=self._name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}

    def delete(self) -> None:
        """Delete; an absent stack is fine."""
        if self._exists:
            self._client.delete_stack(StackName=self._name)
            waiter = self._client.get_waiter("stack_delete_complete")
            waiter.wait(StackName=self._name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
            self._exists = False


def resource(kind: str, **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - a template's
    return {"Type": kind, "Properties": properties}


def network() -> Resources:
    return {
        "Vpc": resource("AWS::EC2::VPC", CidrBlock="10.9.0.0/16"),
        "Subnet": resource(
            "AWS::EC2::Subnet", VpcId={"Ref": "Vpc"}, CidrBlock="10.9.0.0/24", AvailabilityZone="us-east-1a"
        ),
        "Group": resource("AWS::EC2::SecurityGroup", GroupDescription="g", VpcId={"Ref": "Vpc"}),
    }
