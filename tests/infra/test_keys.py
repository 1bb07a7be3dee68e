"""Who may use the environment's own key: everybody who uses what it encrypts, and through the service only."""

import json
from collections.abc import Iterator

import pytest

from tests.infra.assembly import Assembly, Resource

CUSTOMER = ("staging", "prod")
"""The environments with `encryption = "customer"`."""


@pytest.fixture(params=CUSTOMER)
def encrypted(request: pytest.FixtureRequest) -> str:
    """The name of each environment with a key of its own."""
    return str(request.param)


def key_policy(assembly: Assembly, environment: str) -> list[Resource]:
    """The statements of the environment's only key."""
    ((_, key),) = assembly.of_type("AWS::KMS::Key", environment)
    statements: list[Resource] = key["Properties"]["KeyPolicy"]["Statement"]
    return statements


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def role_statements(assembly: Assembly, environment: str, role: str) -> Iterator[Resource]:
    """The statements of the role with this logical id."""
    for _, policy in assembly.of_type("AWS::IAM::Policy", environment):
        if {"Ref": role} in policy["Properties"]["Roles"]:
            yield from policy["Properties"]["PolicyDocument"]["Statement"]


def allowed_through(assembly: Assembly, environment: str, role: str, service: str) -> set[str]:
    """The actions on the key that the role may take through this AWS service."""
    return {
        action
        for statement in role_statements(assembly, environment, role)
        if statement.get("Condition") == {"StringEquals": {"kms:ViaService": f"{service}.us-east-1.amazonaws.com"}}
        for action in listed(statement["Action"])
    }


def test_cloudtrail_may_encrypt_describe_and_decrypt_as_its_user_guide_asks(assembly: Assembly, encrypted: str) -> None:
    """CreateTrail is refused otherwise: describing has no encryption context, a Bucket Key takes decrypting."""
    statements = [s for s in key_policy(assembly, encrypted) if "cloudtrail" in json.dumps(s["Principal"])]
    conditions = {action: s.get("Condition", {}) for s in statements for action in listed(s["Action"])}

    assert set(conditions) == {"kms:GenerateDataKey*", "kms:DescribeKey", "kms:Decrypt"}
    assert set(conditions["kms:GenerateDataKey*"]) == {"ArnLike", "StringLike"}
    assert "EncryptionContext" not in json.dumps([conditions["kms:DescribeKey"], conditions["kms:Decrypt"]])


def test_every_reader_of_a_stream_may_decrypt_it(assembly: Assembly, encrypted: str) -> None:
    functions = dict(assembly.of_type("AWS::Lambda::Function", encrypted))
    readers = {
        functions[f"{place.split('/')[0]}/{mapping['Properties']['FunctionName']['Ref']}"]["Properties"]["Role"][
            "Fn::GetAtt"
        ][0]
        for place, mapping in assembly.of_type("AWS::Lambda::EventSourceMapping", encrypted)
    }

    assert readers
    for role in readers:
        assert "kms:Decrypt" in allowed_through(assembly, encrypted, role, "dynamodb"), role
