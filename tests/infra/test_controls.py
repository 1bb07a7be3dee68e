"""OutpostControls: each rule with templates that keep and that break it, and the rules at work in a synth."""

import copy
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from app import OutpostApp
from outpost_constructs.stack import PARAMETER_TYPE
from outpost_constructs.validations import OutpostControls
from outpost_ops.controls.catalogue import Control
from outpost_ops.controls.rules import RULES, findings
from outpost_ops.templates import Templates, read_assembly
from tests.infra.assembly import Assembly, synthesize

BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
VPC = {"Ref": "Vpc"}


def group(*ingress: dict[str, Any]) -> dict[str, Any]:
    return {"Type": "AWS::EC2::SecurityGroup", "Properties": {"VpcId": VPC, "SecurityGroupIngress": list(ingress)}}


def admit(target: str, source: Any) -> dict[str, Any]:  # noqa: ANN401 - a network or a group
    rule = {"CidrIp": source} if "/" in source else {"SourceSecurityGroupId": {"Fn::GetAtt": [source, "GroupId"]}}
    group_id = {"Fn::GetAtt": [target, "GroupId"]}
    return {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": group_id, **rule}}


def typed(kind: str, **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"Type": f"AWS::{kind}", "Properties": properties}


PUBLISHED = ("Public", "Private", "Balancers", "Services", "Workers", "Files", "Cleaners")
"""Resources of Network that App refers to."""
NETWORK = {
    "Resources": {
        "Vpc": typed("EC2::VPC", CidrBlock="10.1.0.0/16"),
        "FlowLog": typed(
            "EC2::FlowLog",
            ResourceId={"Ref": "Vpc"},
            TrafficType="ALL",
            LogDestinationType="cloud-watch-logs",
        ),
        "Closed": {
            "Type": "Custom::ClosedDefaultGroup",
            "Properties": {"GroupId": {"Fn::GetAtt": ["Vpc", "DefaultSecurityGroup"]}},
        },
        "Gateway": typed("EC2::InternetGateway"),
        "Public": typed("EC2::Subnet"),
        "Private": typed("EC2::Subnet"),
        "PublicTable": typed("EC2::RouteTable"),
        "PublicRoute": typed("EC2::Route", RouteTableId={"Ref": "PublicTable"}, GatewayId={"Ref": "Gateway"}),
        "Link": typed(
            "EC2::SubnetRouteTableAssociation", SubnetId={"Ref": "Public"}, RouteTableId={"Ref": "PublicTable"}
        ),
        "Balancers": group({"CidrIp": "0.0.0.0/0"}),
        "Services": group(),
        "Workers": group(),
        "Files": group(),
        "Cleaners": group(),
        "Nat": group({"CidrIp": {"Fn::GetAtt": ["Vpc", "CidrBlock"]}}),
        "ToServices": admit("Services", "Balancers"),
        "ToFiles": admit("Files", "Workers"),
        "CleanersToFiles": admit("Files", "Cleaners"),
        **{f"Published{name}": typed("SSM::Parameter", Name=f"/{name}", Value={"Ref": name}) for name in PUBLISHED},
    },
}
PRIVATE = {"Ref": "NetworkPrivate"}
APP = {
    "Parameters": {f"Network{name}": {"Type": PARAMETER_TYPE, "Default": f"/{name}"} for name in PUBLISHED},
    "Resources": {
        "Bucket": typed(
            "S3::Bucket",
            PublicAccessBlockConfiguration=BLOCKED,
            BucketEncryption={
                "ServerSideEncryptionConfiguration": [
                    {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
                ]
            },
        ),
        "Policy": typed(
            "S3::BucketPolicy",
            PolicyDocument={
                "Statement": [
                    {"Effect": "Deny", "Principal": "*", "Action": "s3:*"},
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": "arn:aws:iam::1:root"},
                        "Action": "s3:Get*",
                    },
                ]
            },
        ),
        "Trail": typed("CloudTrail::Trail", IsLogging=True, EnableLogFileValidation=True, IsMultiRegionTrail=True),
        "Table": typed(
            "DynamoDB::Table",
            SSESpecification={"SSEEnabled": True},
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
        ),
        "Protection": {"Type": "Custom::DeletionProtection", "Properties": {"Protected": [{"Ref": "Table"}]}},
        "Balancer": typed("ElasticLoadBalancingV2::LoadBalancer", SecurityGroups=[{"Ref": "NetworkBalancers"}]),
        "Service": typed(
            "ECS::Service",
            NetworkConfiguration={
                "AwsvpcConfiguration": {
                    "AssignPublicIp": "DISABLED",
                    "SecurityGroups": [{"Ref": "NetworkServices"}],
                    "Subnets": [PRIVATE],
                }
            },
        ),
        "Mount": typed("EFS::MountTarget", SecurityGroups=[{"Ref": "NetworkFiles"}]),
        "Cleaner": typed(
            "Lambda::Function",
            FileSystemConfigs=[{"LocalMountPath": "/mnt/files"}],
            VpcConfig={"SecurityGroupIds": [{"Ref": "NetworkCleaners"}]},
        ),
        "Planner": typed(
            "Lambda::Function",
            Environment={
                "Variables": {
                    "OUTPOST_WORKER_SUBNETS": {"Fn::Join": [",", [PRIVATE]]},
                    "OUTPOST_WORKER_SECURITY_GROUP": {"Ref": "NetworkWorkers"},
                }
            },
        ),
    },
}


def without(path: str) -> dict[str, Any]:
    """The templates without one resource or property."""
    return changed(path, None)


def changed(path: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The templates with one resource, property or member set to something else."""
    stacks = copy.deepcopy({"Network": NETWORK, "App": APP})
    stack, resource, *rest = path.split(".")
    here: Any = stacks[stack]["Resources"]
    for key in [resource, *(["Properties", *rest] if rest else [])][:-1]:
        here = here[key]
    here[(rest or [resource])[-1]] = value
    if value is None:
        del here[(rest or [resource])[-1]]
    return stacks


NETWORK_OF_SERVICE = "App.Service.NetworkConfiguration.AwsvpcConfiguration"
PUBLIC = {"Statement": {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": "s3:GetObject"}}
BROKEN = [
    (Control.TRAIL, without("App.Trail"), "Bucket"),
    (Control.TRAIL, changed("App.Trail.IsLogging", False), "Trail"),
    (Control.TRAIL, without("App.Trail.EnableLogFileValidation"), "Trail"),
    (Control.TRAIL, changed("App.Trail.IsMultiRegionTrail", False), "Trail"),
    (Control.ENCRYPTION, without("App.Bucket.BucketEncryption"), "Bucket"),
    (
        Control.ENCRYPTION,
        changed(
            "App.Bucket.BucketEncryption.ServerSideEncryptionConfiguration",
            [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}],
        ),
        "Bucket",
    ),
    (Control.PUBLIC_ACCESS, without("App.Bucket.PublicAccessBlockConfiguration"), "Bucket"),
    (Control.PUBLIC_ACCESS, changed("App.Bucket.PublicAccessBlockConfiguration.BlockPublicAcls", False), "Bucket"),
    (Control.PUBLIC_ACCESS, changed("App.Policy.PolicyDocument", PUBLIC), "Policy"),
    (Control.FLOW_LOGS, without("Network.FlowLog"), "Vpc"),
    (Control.FLOW_LOGS, changed("Network.FlowLog.TrafficType", "REJECT"), "FlowLog"),
    (Control.FLOW_LOGS, changed("Network.FlowLog.LogDestinationType", "s3"), "FlowLog"),
    (Control.SECURITY_GROUPS, changed("Network.More", admit("Workers", "0.0.0.0/0")), "More"),
    (Control.SECURITY_GROUPS, changed("Network.More", admit("Workers", "Balancers")), "More"),
    (Control.SECURITY_GROUPS, changed("Network.More", admit("Services", "10.1.0.0/16")), "More"),
    (Control.SECURITY_GROUPS, changed("Network.More", admit("Services", "Workers")), "More"),
    (Control.SECURITY_GROUPS, changed("Network.More", admit("Files", "Services")), "More"),
    (Control.SECURITY_GROUPS, changed("Network.Nat", group({"CidrIpv6": "::/0"})), "Nat"),
    (Control.SECURITY_GROUPS, changed("Network.Nat", group({"SourcePrefixListId": "pl-1"})), "Nat"),
    (Control.SECURITY_GROUPS, without("App.Cleaner"), "CleanersToFiles"),
    (Control.SECURITY_GROUPS, without("Network.Closed"), "Vpc"),
    (Control.PRIVATE_TASKS, changed(f"{NETWORK_OF_SERVICE}.AssignPublicIp", "ENABLED"), "Service"),
    (Control.PRIVATE_TASKS, changed(f"{NETWORK_OF_SERVICE}.Subnets", [{"Ref": "NetworkPublic"}]), "Service"),
    (
        Control.PRIVATE_TASKS,
        changed("App.Planner.Environment.Variables.OUTPOST_WORKER_SUBNETS", {"Ref": "NetworkPublic"}),
        "Planner",
    ),
    (Control.TABLES, without("App.Table.SSESpecification"), "Table"),
    (Control.TABLES, changed("App.Table.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", False), "Table"),
    (Control.TABLES, changed("App.Protection.Protected", []), "Table"),
]


@pytest.mark.parametrize("control", Control)
def test_what_keeps_a_control_has_no_finding_of_it(control: Control) -> None:
    assert list(RULES[control](Templates("prod", {"Network": NETWORK, "App": APP}))) == []


@pytest.mark.parametrize(("control", "stacks", "resource"), BROKEN)
def test_what_breaks_a_control_is_found_by_its_rule_alone(
    control: Control, stacks: dict[str, Any], resource: str
) -> None:
    found = findings(Templates("prod", stacks))

    assert {(finding.control, finding.resource.logical_id) for finding in found} == {(control, resource)}


def test_every_control_has_a_rule_that_can_fail() -> None:
    assert set(RULES) == set(Control) == {control for control, _, _ in BROKEN}


def test_deletion_protection_is_demanded_of_prod_alone() -> None:
    assert findings(Templates("dev", changed("App.Protection.Protected", []))) == []


def test_every_environment_keeps_every_control(assembly: Assembly, environment: str) -> None:
    (templates,) = (each for each in read_assembly(assembly.folder) if each.environment == environment)

    assert len(templates.of_type("AWS::EC2::SecurityGroup")) >= 5
    assert findings(templates) == []


def test_the_app_checks_them_at_every_synth(tmp_path: Path) -> None:
    app = OutpostApp(outdir=str(tmp_path), context={"environment": "local"})
    bucket = cast(s3.CfnBucket, app.stages[0].data.artifacts.node.default_child)
    bucket.add_property_deletion_override("BucketEncryption")

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    assert (Control.ENCRYPTION, bucket.node.path) in Assembly(tmp_path).violations()


def test_a_broken_control_fails_the_synth_and_names_the_resource(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    cdk.Validations.of(app).add_plugins(OutpostControls())
    s3.CfnBucket(cdk.Stack(app, "Careless"), "Bucket")

    assert {(Control.TRAIL, "Careless/Bucket"), (Control.PUBLIC_ACCESS, "Careless/Bucket")} <= set(
        synthesize(app).violations()
    )
