"""The embedded CloudFormation refuses the updates that AWS refuses, and replaces what AWS replaces."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from outpost_local.environment import LocalEnvironment
from tests.local.stacks import Stack, network, resource

TOPIC = resource("AWS::SNS::Topic")


@pytest.fixture
def other(aws: LocalEnvironment) -> Iterator[Stack]:
    """A second stack, deleted before the first."""
    new = Stack(aws)
    yield new
    new.delete()


def output(value: Any, export: str) -> dict[str, Any]:  # noqa: ANN401 - a template's
    return {"Outputs": {"Out": {"Value": value, "Export": {"Name": export}}}}


def importing(export: str) -> dict[str, Any]:
    return {"Importer": resource("AWS::SNS::Topic", DisplayName={"Fn::ImportValue": export})}


@pytest.fixture
def export() -> str:
    return f"export-{uuid4().hex[:8]}"


def test_an_export_in_use_can_neither_change_nor_go(stack: Stack, other: Stack, export: str) -> None:
    stack.deploy({"Topic": TOPIC}, **output("first", export))
    other.deploy(importing(export))

    assert f"Export {export} cannot be updated as it is in use by {other.name}" in stack.refused(
        {"Topic": TOPIC}, **output("second", export)
    )
    assert f"Export {export} cannot be deleted as it is in use by {other.name}" in stack.refused(
        {"Topic": TOPIC, "More": TOPIC}
    )
    assert stack.status() == "UPDATE_ROLLBACK_COMPLETE"

    other.deploy({"Importer": TOPIC})
    stack.deploy({"Topic": TOPIC})
    assert f"Export '{export}' not found" in other.refused(importing(export))


def test_a_stack_with_an_export_in_use_is_not_deleted(stack: Stack, other: Stack, export: str) -> None:
    stack.deploy({"Topic": TOPIC}, **output("first", export))
    other.deploy(importing(export))

    assert stack.try_delete() == "CREATE_COMPLETE"

    other.delete()
    assert stack.try_delete() is None


def test_two_stacks_cannot_export_one_name(stack: Stack, other: Stack, export: str) -> None:
    stack.deploy({"Topic": TOPIC}, **output("first", export))

    reasons = other.refused({"Topic": TOPIC}, **output("second", export))

    assert f"Export with name {export} is already exported by stack {stack.name}" in reasons


def test_a_create_only_property_replaces_the_resource_and_its_dependants_follow(
    aws: LocalEnvironment, stack: Stack
) -> None:
    def template(description: str) -> dict[str, Any]:
        group = resource("AWS::EC2::SecurityGroup", GroupDescription=description, VpcId={"Ref": "Vpc"})
        rule = resource(
            "AWS::EC2::SecurityGroupIngress",
            GroupId={"Ref": "Group"},
            IpProtocol="tcp",
            FromPort=80,
            ToPort=80,
            CidrIp="10.9.0.0/16",
        )
        return network() | {"Group": group, "Rule": rule}

    first = stack.deploy(template("one"))
    second = stack.deploy(template("two"))

    groups = aws.client("ec2").describe_security_groups()["SecurityGroups"]
    rules = {group["GroupId"]: len(group["IpPermissions"]) for group in groups}
    assert first["Group"] not in rules
    assert rules[second["Group"]] == 1


def test_a_replaced_resource_stays_when_its_policy_says_so(aws: LocalEnvironment, stack: Stack) -> None:
    def template(description: str) -> dict[str, Any]:
        group = resource("AWS::EC2::SecurityGroup", GroupDescription=description, VpcId={"Ref": "Vpc"})
        return network() | {"Group": group | {"UpdateReplacePolicy": "Retain"}}

    first = stack.deploy(template("one"))["Group"]
    assert stack.deploy(template("two"))["Group"] != first

    ec2 = aws.client("ec2")
    assert ec2.describe_security_groups(GroupIds=[first])["SecurityGroups"]
    ec2.delete_security_group(GroupId=first)


def test_a_custom_named_resource_is_not_replaced(stack: Stack) -> None:
    name = f"group-{uuid4().hex[:8]}"

    def template(description: str) -> dict[str, Any]:
        group = {"GroupName": name, "GroupDescription": description, "VpcId": {"Ref": "Vpc"}}
        return network() | {"Group": resource("AWS::EC2::SecurityGroup", **group)}

    stack.deploy(template("one"))
    reasons = stack.refused(template("two"))
    assert "CloudFormation cannot update a stack when a custom-named resource requires replacing" in reasons


def test_a_name_within_another_resource_may_stay(stack: Stack) -> None:
    def template(service: str) -> dict[str, Any]:
        target = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
        tracking = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
        return {
            "Target": resource(
                "AWS::ApplicationAutoScaling::ScalableTarget",
                ResourceId=f"service/cluster/{service}",
                MinCapacity=1,
                MaxCapacity=2,
                **target,
            ),
            "Policy": resource(
                "AWS::ApplicationAutoScaling::ScalingPolicy",
                PolicyName="cpu",
                PolicyType="TargetTrackingScaling",
                ScalingTargetId={"Ref": "Target"},
                TargetTrackingScalingPolicyConfiguration={
                    "PredefinedMetricSpecification": tracking,
                    "TargetValue": 60,
                },
            ),
        }

    first = stack.deploy(template("one"))["Policy"]
    assert stack.deploy(template("two"))["Policy"] != first


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"DispalyName": "x"}, "#: extraneous key [DispalyName] is not permitted"),
        ({"Subscription": [{"Endpoint": "x@example.org"}]}, "#/Subscription/0: required key [Protocol] not found"),
        ({"FifoTopic": "perhaps"}, "#/FifoTopic: expected type: boolean"),
    ],
)
def test_properties_that_the_schema_refuses_fail_the_resource(
    stack: Stack, properties: dict[str, Any], message: str
) -> None:
    reasons = stack.refused({"Topic": resource("AWS::SNS::Topic", **properties)})

    assert "Properties validation failed for resource Topic with message:" in reasons
    assert message in reasons


def test_keys_whose_pattern_python_cannot_compile_may_have_any_name(stack: Stack) -> None:
    stack.deploy({"Parameter": resource("AWS::SSM::Parameter", Type="String", Value="v", Tags={"a:b": "c"})})

    assert "expected type" in stack.refused(
        {"Parameter": resource("AWS::SSM::Parameter", Type="String", Value="v", Tags={"a:b": ["c"]})}
    )


def test_a_condition_compares_what_a_function_returns(stack: Stack) -> None:
    joined = {"Fn::Equals": ["", {"Fn::Join": ["", {"Ref": "List"}]}]}
    sections = {
        "Parameters": {"List": {"Type": "CommaDelimitedList", "Default": ""}},
        "Conditions": {"Empty": joined, "Given": {"Fn::Not": [{"Condition": "Empty"}]}},
    }

    ids = stack.deploy({"Made": TOPIC | {"Condition": "Empty"}, "Not": TOPIC | {"Condition": "Given"}}, **sections)

    assert set(ids) == {"Made"}
