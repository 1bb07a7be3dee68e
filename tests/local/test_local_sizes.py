"""The embedded AWS refuses documents that are larger than AWS takes, through its APIs and through CloudFormation."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from outpost_local.extensions.cloudformation import document_limits
from tests.local.stacks import Stack, resource

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def policy(size: int, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - a statement's
    """A policy of exactly this size, counted as text without white space."""
    statement = {"Sid": "", "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*", **members}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    statement["Sid"] = "a" * (size - len(document_limits.text(document)))
    return document


def role_with(size: int) -> dict[str, Any]:
    """A role of two policies which together have this size."""
    halves = (size // 2, size - size // 2)
    return {
        "Role": resource("AWS::IAM::Role", AssumeRolePolicyDocument=TRUST),
        **{
            f"Policy{number}": resource(
                "AWS::IAM::Policy", PolicyName=f"p{number}", PolicyDocument=policy(half), Roles=[{"Ref": "Role"}]
            )
            | {"DependsOn": [f"Policy{number - 1}"] if number else []}
            for number, half in enumerate(halves)
        },
    }


def bucket_with(size: int) -> dict[str, Any]:
    bucket = f"bucket-{uuid4().hex}"
    document = policy(
        size, Principal={"AWS": "000000000000"}, Action="s3:GetObject", Resource=f"arn:aws:s3:::{bucket}/*"
    )
    return {
        "Bucket": resource("AWS::S3::Bucket", BucketName=bucket),
        "Policy": resource("AWS::S3::BucketPolicy", Bucket={"Ref": "Bucket"}, PolicyDocument=document),
    }


def queue_with(size: int) -> dict[str, Any]:
    document = policy(size, Principal={"AWS": "000000000000"})
    return {
        "Queue": resource("AWS::SQS::Queue"),
        "Policy": resource("AWS::SQS::QueuePolicy", Queues=[{"Ref": "Queue"}], PolicyDocument=document),
    }


def key_with(size: int) -> dict[str, Any]:
    document = policy(size, Principal={"AWS": "arn:aws:iam::000000000000:root"}, Action="kms:*")
    return {"Key": resource("AWS::KMS::Key", KeyPolicy=document)}


def function_with(size: int) -> dict[str, Any]:
    variables = {"VV": "x" * (size - len(document_limits.text({"VV": ""})))}
    properties = {"Runtime": "python3.12", "Handler": "index.handler", "Role": {"Fn::GetAtt": ["Role", "Arn"]}}
    code = {"ZipFile": "def handler(event, context): pass"}
    return {
        "Role": resource("AWS::IAM::Role", AssumeRolePolicyDocument=TRUST),
        "Function": resource("AWS::Lambda::Function", Code=code, Environment={"Variables": variables}, **properties),
    }


def parameter_with(size: int) -> dict[str, Any]:
    return {"Parameter": resource("AWS::SSM::Parameter", Type="String", Value="x" * size)}


@pytest.mark.parametrize(
    ("resources", "limit", "message"),
    [
        (role_with, 10_240, "Maximum policy size of 10240 bytes exceeded for role"),
        (bucket_with, 20_480, "Policy exceeds the maximum allowed document size"),
        (queue_with, 8_192, "OverLimit"),
        (key_with, 32_768, "key policy exceeds the maximum of 32768 bytes"),
        (function_with, 4_096, "exceeded the 4KB limit"),
        (parameter_with, 4_096, "Standard tier parameters support a maximum parameter value of 4096"),
    ],
)
def test_cloudformation_takes_a_document_of_the_limit_and_not_one_more(
    stack: Stack, resources: Callable[[int], dict[str, Any]], limit: int, message: str
) -> None:
    stack.deploy(resources(limit))
    stack.delete()
    assert message in stack.refused(resources(limit + 1))


def test_the_services_refuse_the_same(aws: LocalEnvironment) -> None:
    iam, name = aws.client("iam"), f"sizes-{uuid4().hex[:8]}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="one", PolicyDocument=json.dumps(policy(5_120), indent=4))
    queue = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    subnets = [aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): pass")
    function = {"Runtime": "python3.12", "Handler": "index.handler", "Role": role, "Code": {"ZipFile": code.getvalue()}}
    trust = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Sid": "a" * 2_048}]}  # type: ignore[dict-item]

    calls: dict[str, Callable[[], Any]] = {
        "ACLSizePerRole": lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust)),
        "PolicySize: 6144": lambda: iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(policy(6_145))),
        "exceeded for role": lambda: iam.put_role_policy(
            RoleName=name, PolicyName="two", PolicyDocument=json.dumps(policy(5_121))
        ),
        "maximum allowed document": lambda: s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy(20_481))),
        "LimitExceededException": lambda: aws.client("kms").create_key(Policy=json.dumps(policy(32_769))),
        "OverLimit": lambda: aws.client("sqs").set_queue_attributes(
            QueueUrl=queue, Attributes={"Policy": json.dumps(policy(8_193))}
        ),
        "4KB limit": lambda: aws.client("lambda").create_function(
            FunctionName=name, Environment={"Variables": {"VV": "x" * 4_096}}, **function
        ),
        "maximum parameter value": lambda: aws.client("ssm").put_parameter(Name=name, Type="String", Value="x" * 4_097),
        "cannot be longer than '32'": lambda: aws.client("elbv2").create_load_balancer(Name="x" * 33, Subnets=subnets),
        "target group name": lambda: aws.client("elbv2").create_target_group(Name="x" * 33),
    }
    for message, call in calls.items():
        with pytest.raises(ClientError, match=message):
            call()
