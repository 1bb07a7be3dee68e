"""Who may use the environment's own key: everybody who uses what it encrypts, and through the service only."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from outpost_ops.config import load
from outpost_ops.templates import Templates, read_assembly
from tests.infra.assembly import Assembly, Resource
from tests.infra.conftest import ROOT
from tools.compliance.at_rest import KEY_PROPERTIES, explanations, place_of, under_another_key

CUSTOMER = ("staging", "prod")
"""The environments with `encryption = "customer"`."""


@pytest.fixture(params=CUSTOMER)
def encrypted(request: pytest.FixtureRequest) -> str:
    """The name of each environment with a key of its own."""
    return str(request.param)


def key_policy(assembly: Assembly, environment: str) -> list[Resource]:
    """The statements of the environment's only key for what is at rest."""
    (key,) = (key for _, key in assembly.of_type("AWS::KMS::Key", environment) if not signs(key))
    statements: list[Resource] = key["Properties"]["KeyPolicy"]["Statement"]
    return statements


def signs(key: Resource) -> bool:
    return bool(key["Properties"].get("KeyUsage") == "SIGN_VERIFY")


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def statements_by_role(assembly: Assembly, environment: str) -> dict[str, list[Resource]]:
    """Role -> the statements of its own policies."""
    found: dict[str, list[Resource]] = {}
    for _, policy in assembly.of_type("AWS::IAM::Policy", environment):
        for role in policy["Properties"]["Roles"]:
            found.setdefault(role["Ref"], []).extend(policy["Properties"]["PolicyDocument"]["Statement"])
    return found


def uses_of_the_key(statements: list[Resource]) -> dict[str, set[str]]:
    """AWS service -> the actions on the key that these statements allow through it."""
    uses: dict[str, set[str]] = {}
    for statement in statements:
        actions = {action for action in listed(statement["Action"]) if action.startswith("kms:")} - {"kms:Sign"}
        if actions:
            ((operator, condition),) = statement["Condition"].items()
            assert (operator, list(condition)) == ("StringEquals", ["kms:ViaService"])
            uses.setdefault(condition["kms:ViaService"].partition(".")[0], set()).update(actions)
    return uses


def test_cloudtrail_may_encrypt_describe_and_decrypt_as_its_user_guide_asks(assembly: Assembly, encrypted: str) -> None:
    """CreateTrail is refused otherwise: describing has no encryption context, a Bucket Key takes decrypting."""
    statements = [s for s in key_policy(assembly, encrypted) if "cloudtrail" in json.dumps(s["Principal"])]
    conditions = {action: s.get("Condition", {}) for s in statements for action in listed(s["Action"])}

    assert set(conditions) == {"kms:GenerateDataKey*", "kms:DescribeKey", "kms:Decrypt"}
    assert set(conditions["kms:GenerateDataKey*"]) == {"ArnLike", "StringLike"}
    assert "EncryptionContext" not in json.dumps([conditions["kms:DescribeKey"], conditions["kms:Decrypt"]])


NEEDED = {
    "dynamodb:GetItem": {"kms:Decrypt"},
    "dynamodb:GetRecords": {"kms:Decrypt"},
    "dynamodb:Query": {"kms:Decrypt"},
    "dynamodb:DeleteItem": {"kms:Decrypt"},
    "dynamodb:PutItem": {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
    "dynamodb:UpdateItem": {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom"},
    "s3:GetObject": {"kms:Decrypt"},
    "s3:PutObject": {"kms:Decrypt", "kms:GenerateDataKey"},
    "secretsmanager:GetSecretValue": {"kms:Decrypt"},
    "secretsmanager:CreateSecret": {"kms:Decrypt", "kms:GenerateDataKey"},
    "secretsmanager:PutSecretValue": {"kms:Decrypt", "kms:GenerateDataKey"},
    "sqs:ReceiveMessage": {"kms:Decrypt"},
    "sqs:SendMessage": {"kms:Decrypt", "kms:GenerateDataKey"},
}
"""Action on encrypted data -> what the caller needs of the key, as each service's guide says. Whoever writes logs needs
nothing: CloudWatch Logs uses the key by itself."""


def test_who_may_use_encrypted_data_may_use_its_key_through_that_service_and_nobody_else(
    assembly: Assembly, encrypted: str
) -> None:
    functions = {
        f["Properties"]["Role"]["Fn::GetAtt"][0] for _, f in assembly.of_type("AWS::Lambda::Function", encrypted)
    }
    for role, statements in statements_by_role(assembly, encrypted).items():
        actions = {action for statement in statements for action in listed(statement["Action"])} & set(NEEDED)
        uses = uses_of_the_key(statements)
        for action in actions:
            missing = NEEDED[action] - uses.get(action.partition(":")[0], set())
            assert missing == set(), f"{role} may {action}, but not use the key for it"
        assert uses.pop("lambda", None) == ({"kms:Decrypt"} if role in functions else None), role
        assert set(uses) == {action.partition(":")[0] for action in actions}, f"{role} may use the key without data"


def test_every_reader_of_a_stream_may_decrypt_it(assembly: Assembly, encrypted: str) -> None:
    functions = dict(assembly.of_type("AWS::Lambda::Function", encrypted))
    readers = {
        functions[f"{place.split('/')[0]}/{mapping['Properties']['FunctionName']['Ref']}"]["Properties"]["Role"][
            "Fn::GetAtt"
        ][0]
        for place, mapping in assembly.of_type("AWS::Lambda::EventSourceMapping", encrypted)
    }
    statements = statements_by_role(assembly, encrypted)

    assert readers
    for role in readers:
        uses = uses_of_the_key(statements[role])
        assert "kms:Decrypt" in uses["dynamodb"], role
        assert {"kms:Decrypt", "kms:GenerateDataKey"} <= uses["sqs"], f"{role} sends what it cannot take to a queue"


def templates_of(assembly: Assembly, environment: str) -> Templates:
    (found,) = (each for each in read_assembly(assembly.folder) if each.environment == environment)
    return found


def test_everything_at_rest_has_the_environments_key_but_for_what_is_explained(
    assembly: Assembly, encrypted: str
) -> None:
    found = {place_of(resource) for resource in under_another_key(templates_of(assembly, encrypted))}

    assert found - set(explanations().resources) == set()


def test_nothing_is_explained_in_vain(assembly: Assembly) -> None:
    found = {place_of(r) for name in CUSTOMER for r in under_another_key(templates_of(assembly, name))}

    assert set(explanations().resources) == found


UNUSED = {
    "AWS::ECS::Cluster": {"ExecuteCommandConfiguration", "ManagedStorageConfiguration.KmsKeyId"},
    "AWS::ECS::Service": {"ServiceConnectConfiguration", "VolumeConfigurations"},
    "AWS::EFS::FileSystem": {"ReplicationConfiguration"},
    "AWS::Lambda::EventSourceMapping": {"KmsKeyArn"},  # of filter patterns, which are part of the code
    "AWS::Lambda::Function": {"Code.SourceKMSKeyArn", "DurableConfig"},  # code comes from the bootstrap bucket
    "AWS::S3::Bucket": {"MetadataConfiguration", "ReplicationConfiguration"},
    "AWS::SQS::Queue": {"KmsDataKeyReusePeriodSeconds"},
    "AWS::SecretsManager::Secret": {"ReplicaRegions"},
}
"""Type -> beginnings of properties about keys of features that we do not use."""


def test_no_property_that_names_a_key_is_overlooked(assembly: Assembly, encrypted: str) -> None:
    """Every property of CloudFormation's schemas that could name a key is either checked or of an unused feature."""
    for kind in {resource.type for resource in templates_of(assembly, encrypted).resources}:
        checked = KEY_PROPERTIES.get(kind)
        unused = UNUSED.get(kind, set())
        named = set() if kind.startswith("Custom::") else set(key_properties(kind))
        left = {path for path in named if path != checked and not any(prefix in path for prefix in unused)}
        assert left == set(), kind


def key_properties(kind: str) -> Iterator[str]:
    """Yield the properties of a resource type that are about a KMS key, as paths."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema

    def walk(node: Resource, path: tuple[str, ...]) -> Iterator[str]:
        for name, value in node.get("properties", {}).items():
            if re.search("kms|encryptionkey", name, re.IGNORECASE):
                yield ".".join((*path, name))
            inner = value.get("items", value)
            reference = inner.get("$ref", "").rpartition("/")[2]
            if len(path) < 5:
                yield from walk(schema["definitions"][reference] if reference else inner, (*path, name))

    yield from walk(schema, ())


def test_the_key_admits_cloudwatch_logs_for_our_log_groups_only(assembly: Assembly, encrypted: str) -> None:
    (statement,) = (s for s in key_policy(assembly, encrypted) if s.get("Sid") == "LogGroups")
    patterns = statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    account = load(ROOT / "config" / f"{encrypted}.toml").account
    groups = [g["Properties"]["LogGroupName"] for _, g in assembly.of_type("AWS::Logs::LogGroup", encrypted)]

    assert statement["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    for group in groups:
        arn = f"arn:aws:logs:us-east-1:{account}:log-group:{group}"
        assert any(fnmatchcase(arn, pattern) for pattern in patterns), group
    assert not any(fnmatchcase(f"arn:aws:logs:us-east-1:{account}:log-group:/other/x", each) for each in patterns)


def test_the_key_admits_who_sends_to_encrypted_topics_and_queues(assembly: Assembly, encrypted: str) -> None:
    """EventBridge's calls of KMS carry no source: with such a condition undelivered events would be lost silently."""
    account = load(ROOT / "config" / f"{encrypted}.toml").account
    admitted = {
        statement["Principal"]["Service"].removesuffix(".amazonaws.com"): statement
        for statement in key_policy(assembly, encrypted)
        if "Service" in statement["Principal"] and statement["Sid"] in {"Alarms", "Budgets", "UndeliveredEvents"}
    }

    assert set(admitted) == {"cloudwatch", "budgets", "events"}
    for service in ("cloudwatch", "budgets"):
        assert set(admitted[service]["Action"]) == {"kms:GenerateDataKey*", "kms:Decrypt"}
        assert admitted[service]["Condition"] == {"StringEquals": {"aws:SourceAccount": account}}
    assert set(admitted["events"]["Action"]) == {"kms:GenerateDataKey", "kms:Decrypt"}
    assert "Condition" not in admitted["events"]


def test_environments_without_a_key_of_their_own_have_none(assembly: Assembly) -> None:
    for environment in ("dev", "local"):
        assert all(signs(key) for _, key in assembly.of_type("AWS::KMS::Key", environment))
        granted = json.dumps(statements_by_role(assembly, environment)).replace("kms:SigningAlgorithm", "")
        assert set(re.findall(r"kms:\w+", granted)) == {"kms:Sign"}


def test_the_key_of_the_audit_log_signs_only_and_its_policy_admits_the_account_alone(
    assembly: Assembly, environment: str
) -> None:
    """Rights come from IAM: two roles may sign, an auditor with kms:GetPublicKey can verify and cannot sign."""
    (key,) = (key["Properties"] for _, key in assembly.of_type("AWS::KMS::Key", environment) if signs(key))
    (statement,) = key["KeyPolicy"]["Statement"]

    assert (key["KeySpec"], key["KeyUsage"]) == ("RSA_3072", "SIGN_VERIFY")
    assert ":root" in json.dumps(statement["Principal"])
