"""The faults that real AWS would have refused, put back into prod's templates one at a time: a rule finds each."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from outpost_ops.aws_rules.registry import RULES
from outpost_ops.templates import Resource, Templates, read_assembly
from tests.infra.assembly import Assembly

Fault = Callable[[Templates], None]


@pytest.fixture(scope="module")
def prod(assembly: Assembly) -> Templates:
    return next(each for each in read_assembly(assembly.folder) if each.environment == "prod")


def properties(resource: Resource) -> dict[str, Any]:
    """The properties of a resource, to be changed."""
    assert isinstance(resource.properties, dict)
    return resource.properties


def first(templates: Templates, kind: str, **having: str) -> dict[str, Any]:
    """The properties of the first resource of a type that has these texts in its properties."""
    return next(
        properties(each)
        for each in templates.of_type(f"AWS::{kind}")
        if all(text in str(each.properties.get(name)) for name, text in having.items())
    )


def trail_without_decrypt(templates: Templates) -> None:
    for statement in first(templates, "KMS::Key", KeyPolicy="cloudtrail")["KeyPolicy"]["Statement"]:
        if "cloudtrail" in str(statement["Principal"]):
            statement["Action"] = "kms:GenerateDataKey*"


def endpoint_in_public_subnets(templates: Templates) -> None:
    public = first(templates, "EC2::Route", GatewayId="Ref")["RouteTableId"]
    first(templates, "EC2::VPCEndpoint", PolicyDocument="Statement")["RouteTableIds"].append(public)


def exported_bucket(templates: Templates) -> None:
    first(templates, "CloudTrail::Trail")["S3BucketName"] = {"Fn::ImportValue": "Outpost-prod-Data:Bucket"}


def retained_table(templates: Templates) -> None:
    table = templates.of_type("AWS::DynamoDB::Table")[0]
    templates.stacks[table.stack]["Resources"][table.logical_id]["DeletionPolicy"] = "Retain"


def protected_table(templates: Templates) -> None:
    first(templates, "DynamoDB::Table")["DeletionProtectionEnabled"] = True


def agents_in_environment(templates: Templates) -> None:
    first(templates, "Lambda::Function", Environment="Variables")["Environment"]["Variables"]["AGENTS"] = "x" * 4000


def stream_without_key(templates: Templates) -> None:
    for policy in templates.of_type("AWS::IAM::Policy"):
        document = properties(policy)["PolicyDocument"]
        if "GetRecords" in str(document):
            document["Statement"] = [each for each in document["Statement"] if "kms:" not in str(each["Action"])]


def third_reader(templates: Templates) -> None:
    mapping = next(
        each for each in templates.of_type("AWS::Lambda::EventSourceMapping") if "Stream" in str(each.properties)
    )
    resources = templates.stacks[mapping.stack]["Resources"]
    resources |= {f"Reader{n}": resources[mapping.logical_id] for n in range(2)}


def desired_count(templates: Templates) -> None:
    first(templates, "ECS::Service", LoadBalancers="TargetGroupArn")["DesiredCount"] = 2


FAULTS: dict[str, tuple[str, Fault]] = {
    "1": ("trail-may-use-key", trail_without_decrypt),
    "2": ("endpoint-not-public", endpoint_in_public_subnets),
    "3": ("no-exported-value", exported_bucket),
    "5a": ("retained-on-create", retained_table),
    "5b": ("protected-on-create", protected_table),
    "6": ("function-environment-size", agents_in_environment),
    "11": ("role-may-use-key", stream_without_key),
    "13": ("stream-readers", third_reader),
    "16": ("scaled-desired-count", desired_count),
}
"""By the number of the fault in the review of the templates: the rule that finds it, and how to put it back."""


@pytest.mark.parametrize(("rule", "fault"), FAULTS.values(), ids=[f"{row}-{rule}" for row, (rule, _) in FAULTS.items()])
def test_a_fault_put_back_is_found(prod: Templates, rule: str, fault: Fault) -> None:
    check = next(each.check for each in RULES if each.id == rule)
    before = {finding.text for finding in check(prod)}
    stacks = copy.deepcopy(dict(prod.stacks))

    fault(Templates("prod", stacks))

    assert {finding.text for finding in check(Templates("prod", stacks))} - before
