"""The embedded CloudFormation generates names as AWS does, which is what policies are scoped by."""

import re

import pytest
from botocore.exceptions import ClientError

from outpost_local.environment import LocalEnvironment
from outpost_local.extensions.cloudformation.generated_names import physical_name
from tests.local.accounts import allow, client_as, create_role
from tests.local.stacks import Stack, network, resource

TRUST = {"Version": "2012-10-17", "Statement": []}
UNNAMED = network() | {
    "Cluster": resource("AWS::ECS::Cluster"),
    "Logs": resource("AWS::Logs::LogGroup"),
    "Topic": resource("AWS::SNS::Topic"),
    "Role": resource("AWS::IAM::Role", AssumeRolePolicyDocument=TRUST),
    "Bucket": resource("AWS::S3::Bucket"),
    "Repository": resource("AWS::ECR::Repository"),
    "Parameter": resource("AWS::SSM::Parameter", Type="String", Value="1"),
    "Secret": resource("AWS::SecretsManager::Secret", SecretString="value"),
}
RANDOM = "[0-9A-Za-z]{12}"


def name_of(physical_id: str) -> str:
    """The name in a physical id, which may be an ARN."""
    return physical_id.rpartition(":")[2]


def test_generated_names_have_the_forms_that_cloudformation_gives_them(stack: Stack, aws: LocalEnvironment) -> None:
    ids = stack.deploy(UNNAMED)

    for logical_id in ("Cluster", "Logs", "Topic", "Role"):
        assert re.fullmatch(f"{stack.name}-{logical_id}-{RANDOM}", name_of(ids[logical_id])), ids[logical_id]
    for logical_id in ("Bucket", "Repository"):
        assert re.fullmatch(f"{stack.name}-{logical_id.lower()}-[0-9a-z]{{12}}", ids[logical_id]), ids[logical_id]
    (group,) = aws.client("ec2").describe_security_groups(GroupIds=[ids["Group"]])["SecurityGroups"]
    assert re.fullmatch(f"{stack.name}-Group-{RANDOM}", group["GroupName"])
    assert re.fullmatch(f"CFN-Parameter-{RANDOM}", ids["Parameter"])
    assert re.fullmatch(f"Secret-{RANDOM}-[0-9A-Za-z]{{6}}", name_of(ids["Secret"]))


def test_generated_names_are_kept_by_updates_and_drawn_again_by_the_next_create(stack: Stack) -> None:
    first = stack.deploy(UNNAMED)
    changed = UNNAMED | {
        "Parameter": resource("AWS::SSM::Parameter", Type="String", Value="2"),
        "Secret": resource("AWS::SecretsManager::Secret", SecretString="value", Description="changed"),
        "Logs": resource("AWS::Logs::LogGroup", RetentionInDays=7),
        "Cluster": resource("AWS::ECS::Cluster", Tags=[{"Key": "changed", "Value": "yes"}]),
    }

    assert stack.deploy(changed) == first

    stack.delete()
    second = stack.deploy(UNNAMED)
    assert not set(first.values()) & set(second.values())


def test_a_policy_for_secrets_named_after_the_stack_admits_to_none_of_its_secrets(
    aws: LocalEnvironment, stack: Stack
) -> None:
    secret = stack.deploy({"ProviderKey": resource("AWS::SecretsManager::Secret", SecretString="value")})["ProviderKey"]
    read, arn = "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
    by_stack = client_as(aws, create_role(aws, allow(read, resource=f"{arn}{stack.name}-*")), "secretsmanager")
    by_logical_id = client_as(aws, create_role(aws, allow(read, resource=f"{arn}ProviderKey-*")), "secretsmanager")

    with pytest.raises(ClientError, match="AccessDenied"):
        by_stack.get_secret_value(SecretId=secret)
    assert by_logical_id.get_secret_value(SecretId=secret)["SecretString"] == "value"


@pytest.mark.parametrize(
    ("stack", "logical_id", "name"),
    [
        ("Short", "Logical", "Short-Logical-"),
        ("S" * 60, "L" * 20, f"{'S' * 30}-{'L' * 20}-"),
        ("S" * 60, "L" * 60, f"{'S' * 25}-{'L' * 25}-"),
        ("Short", "L" * 60, f"Short-{'L' * 45}-"),
        (f"{'S' * 29}-{'S' * 30}", "L" * 20, f"{'S' * 29}-{'L' * 20}-"),
    ],
)
def test_long_names_are_cut_and_keep_their_random_end(stack: str, logical_id: str, name: str) -> None:
    generated = physical_name(stack, logical_id, max_len=64)

    assert len(generated) <= 64
    assert re.fullmatch(re.escape(name) + RANDOM, generated), generated
