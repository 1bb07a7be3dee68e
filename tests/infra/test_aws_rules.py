"""The template rules at work: in every environment, in the app, next to the CDK's own validation."""

import json
import runpy
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from app import OutpostApp
from outpost_constructs.validations import AwsRules
from outpost_ops.aws_rules.registry import violations
from outpost_ops.templates import read_assembly
from tests.infra.assembly import Assembly, synthesize

ROOT = Path(__file__).resolve().parents[2]
CODE = {"S3Bucket": "assets", "S3Key": "code.zip"}
FUNCTION = {"Code": CODE, "Role": "arn:aws:iam::111111111111:role/r", "Handler": "a.b", "Runtime": "python3.14"}
CONTAINERS = [{"Name": "a", "Image": "b"}]
TARGETS = [{"Id": str(n), "Arn": "arn:aws:sqs:us-east-1:111111111111:q"} for n in range(6)]
TASK = {"RequiresCompatibilities": ["FARGATE"], "NetworkMode": "awsvpc", "ContainerDefinitions": CONTAINERS}
KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}]
ATTRIBUTES = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "unused")]
LEFT_TO_THE_CDK: dict[str, tuple[str, dict[str, Any]]] = {
    "Unknown": ("AWS::SQS::Queue", {"Colour": "red"}),
    "Missing": ("AWS::Lambda::Function", {"Role": FUNCTION["Role"]}),
    "Type": ("AWS::Lambda::Function", {**FUNCTION, "MemorySize": {"much": 1}}),
    "Pattern": ("AWS::Lambda::Function", {**FUNCTION, "FunctionName": "a b"}),
    "Length": ("AWS::IAM::Role", {"RoleName": "a" * 65, "AssumeRolePolicyDocument": {}}),
    "Range": ("AWS::SQS::Queue", {"VisibilityTimeout": 43_201}),
    "Enumeration": ("AWS::Logs::LogGroup", {"RetentionInDays": 91}),
    "Runtime": ("AWS::Lambda::Function", {**FUNCTION, "Runtime": "python3.6"}),
    "Reserved": ("AWS::Lambda::Function", {**FUNCTION, "Environment": {"Variables": {"AWS_REGION": "x"}}}),
    "Fargate": ("AWS::ECS::TaskDefinition", {**TASK, "Cpu": "256", "Memory": "8192"}),
    "Targets": ("AWS::Events::Rule", {"ScheduleExpression": "rate(1 minute)", "Targets": TARGETS}),
    "Schedule": ("AWS::Events::Rule", {"ScheduleExpression": "rate(1 minutes)", "Targets": TARGETS[:1]}),
    "Attribute": ("AWS::DynamoDB::Table", {"KeySchema": KEYS, "AttributeDefinitions": ATTRIBUTES}),
    "Outside": ("AWS::EC2::Subnet", {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.2.0.0/24"}),
    "Overlap": ("AWS::EC2::Subnet", {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.1.0.0/25"}),
    "Effect": ("AWS::IAM::ManagedPolicy", {"PolicyDocument": {"Statement": [{"Effect": "Permit", "Action": "*"}]}}),
}
"""A fault of each kind that docs/template-rules.md leaves to the CDK's own validation."""
FAULTLESS: dict[str, tuple[str, dict[str, Any]]] = {
    "Vpc": ("AWS::EC2::VPC", {"CidrBlock": "10.1.0.0/16"}),
    "Subnet": ("AWS::EC2::Subnet", {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.1.0.0/24"}),
}
"""What those that are at fault lie in, or lie over."""


def test_every_environment_keeps_every_rule(assembly: Assembly, environment: str) -> None:
    (templates,) = (each for each in read_assembly(assembly.folder) if each.environment == environment)

    assert len(templates.resources) > 100
    assert [f"{rule.id}: {finding.text}" for rule, finding in violations(templates)] == []


def test_the_app_checks_them_at_every_synth(tmp_path: Path) -> None:
    app = OutpostApp(outdir=str(tmp_path), context={"environment": "local"})
    function = next(each for each in app.stages[0].node.find_all() if isinstance(each, lambda_.CfnFunction))
    function.add_property_override("Environment.Variables.OUTPOST_AGENTS", "x" * 4096)

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    assert ("function-environment-size", function.node.path) in Assembly(tmp_path).violations()


def test_a_finding_names_resource_property_value_and_remedy(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path))
    cdk.Validations.of(app).add_plugins(AwsRules())
    queue = sqs.CfnQueue(cdk.Stack(app, "Careless"), "Queue", queue_name="a.b")

    report = synthesize(app).report

    (found,) = (
        each
        for plugin in report["pluginReports"]
        if plugin["pluginName"] == "OutpostAwsRules"
        for each in plugin["violations"]
    )
    assert found["ruleName"] == "name-form"
    assert "Careless/Queue QueueName: a.b. Allowed: at most 80 characters" in found["description"]
    assert found["violatingConstructs"][0]["constructPath"] == queue.node.path


def test_the_cdks_own_validation_refuses_what_is_left_to_it(tmp_path: Path) -> None:
    flags = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = cdk.App(outdir=str(tmp_path), context=flags)
    stack = cdk.Stack(app, "Faulty")
    for name, (kind, properties) in (FAULTLESS | LEFT_TO_THE_CDK).items():
        cdk.CfnResource(stack, name, type=kind, properties=properties)

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()

    refused = {path.partition("/")[2] for _, path in Assembly(tmp_path).violations()}
    assert refused == set(LEFT_TO_THE_CDK)


def test_the_page_of_the_rules_is_what_make_docs_writes() -> None:
    page = cast("str", runpy.run_path(str(ROOT / "tools" / "template_rules_page.py"))["page"]())

    assert (ROOT / "docs" / "template-rules.md").read_text(encoding="utf-8") == page, "run `make docs`"
