"""CloudFormation stacks of a test's own, and MiniStack without our extensions for comparison."""

import json
import subprocess
import sys
from contextlib import suppress
from typing import Any
from uuid import uuid4

from outpost_local.environment import LocalEnvironment
from tests.eventually import eventually

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
        self.name = f"stack-{uuid4().hex[:12]}"

    def deploy(self, resources: Resources, **sections: Any) -> dict[str, str]:  # noqa: ANN401 - a template's
        """Create or update, with further sections of the template if given; return the physical ids."""
        status = self._write(resources, sections)
        assert status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, self.failures()
        found = self._client.describe_stack_resources(StackName=self.name)["StackResources"]
        return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}

    def refused(self, resources: Resources, **sections: Any) -> str:  # noqa: ANN401 - a template's
        """Create or update what must fail and roll back; return the reasons."""
        status = self._write(resources, sections)
        assert "ROLLBACK" in status, status
        return self.failures()

    def physical_id(self, logical_id: str) -> str:
        """The physical id of one resource, of a stack in any state."""
        events = self._client.describe_stack_events(StackName=self.id)["StackEvents"]
        ids = (event.get("PhysicalResourceId") for event in events if event["LogicalResourceId"] == logical_id)
        return str(next(filter(None, ids)))

    def failures(self) -> str:
        """Every reason of a failed event, the newest first."""
        events = self._client.describe_stack_events(StackName=self.id)["StackEvents"]
        reasons = [event.get("ResourceStatusReason", "") for event in events if "FAILED" in event["ResourceStatus"]]
        return "\n".join(reasons)

    def events(self, logical_id: str) -> list[str]:
        """The states that a resource of the stack went through, the newest first."""
        events = self._client.describe_stack_events(StackName=self.id)["StackEvents"]
        return [event["ResourceStatus"] for event in events if event["LogicalResourceId"] == logical_id]

    def delete(self) -> None:
        """Delete; an absent stack is fine."""
        if self.status() is not None:
            assert self.try_delete() is None, self.failures()

    def try_delete(self) -> str | None:
        """Ask for deletion and return the state that the stack ends in, None when it is gone."""
        self._client.delete_stack(StackName=self.name)
        return self._settled()

    def status(self) -> str | None:
        """The stack's state, None without a stack."""
        with suppress(self._client.exceptions.ClientError):
            status: str = self._client.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            return status
        return None

    def _write(self, resources: Resources, sections: dict[str, Any]) -> str:
        template = json.dumps({"Resources": resources} | sections)
        verb = self._client.update_stack if self.status() else self._client.create_stack
        response = verb(
            StackName=self.name, TemplateBody=template, Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
        )
        self.id = response["StackId"]
        status = self._settled()
        assert status is not None
        return status

    def _settled(self) -> str | None:
        def settled() -> tuple[str | None] | None:
            status = self.status()
            return None if status and status.endswith("_IN_PROGRESS") else (status,)

        found = eventually(settled, what=f"{self.name} has settled")
        assert found is not None
        return found[0]


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


def trail_policy(bucket: str) -> dict[str, Any]:
    """The bucket policy that CloudTrail asks for."""
    common = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    files = f"arn:aws:s3:::{bucket}/AWSLogs/000000000000/*"
    statements = [
        {**common, "Action": "s3:GetBucketAcl", "Resource": f"arn:aws:s3:::{bucket}"},
        {**common, "Action": "s3:PutObject", "Resource": files},
    ]
    return {"Version": "2012-10-17", "Statement": statements}
