"""Which key encrypts what an environment keeps at rest, from its templates."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from outpost_ops.templates import Resource, Templates

EXPLANATIONS = Path(__file__).resolve().parents[2] / "docs" / "compliance" / "at-rest.toml"
_BUCKET_DEFAULT = "BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault"
KEY_PROPERTIES = {
    "AWS::Backup::BackupVault": "EncryptionKeyArn",
    "AWS::CloudTrail::Trail": "KMSKeyId",
    "AWS::DynamoDB::Table": "SSESpecification.KMSMasterKeyId",
    "AWS::EC2::Instance": "BlockDeviceMappings.Ebs.KmsKeyId",
    "AWS::ECS::Cluster": "Configuration.ManagedStorageConfiguration.FargateEphemeralStorageKmsKeyId",
    "AWS::EFS::FileSystem": "KmsKeyId",
    "AWS::Lambda::Function": "KmsKeyArn",
    "AWS::Logs::LogGroup": "KmsKeyId",
    "AWS::S3::Bucket": f"{_BUCKET_DEFAULT}.KMSMasterKeyID",
    "AWS::SNS::Topic": "KmsMasterKeyId",
    "AWS::SQS::Queue": "KmsMasterKeyId",
    "AWS::SecretsManager::Secret": "KmsKeyId",
}
"""Type -> the property that names the key; tests/infra/test_keys.py compares it with CloudFormation's schemas."""
_HASH = re.compile("[0-9A-F]{8}$")


class Explanations(NamedTuple):
    """Why something is not encrypted with the environment's own key."""

    resources: Mapping[str, str]
    """By `<stack>/<logical id without its hash>`."""
    outside: Mapping[str, str]
    """Of what no template of ours describes, by a name for readers."""


def explanations() -> Explanations:
    """Read docs/compliance/at-rest.toml."""
    found = tomllib.loads(EXPLANATIONS.read_text(encoding="utf-8"))
    return Explanations(found["resources"], found["outside"])


def under_another_key(templates: Templates) -> Iterator[Resource]:
    """Yield what keeps data and does not name the environment's own key."""
    for resource in templates.of_type(*KEY_PROPERTIES):
        named = list(_values(resource.properties, KEY_PROPERTIES[resource.type].split(".")))
        keys = [target for value in named if (target := resource.target(value))]
        if not named or [key.type for key in keys] != ["AWS::KMS::Key"] * len(named):
            yield resource


def place_of(resource: Resource) -> str:
    """Return the name of a resource in explanations: `<stack>/<logical id without its hash>`."""
    return f"{resource.stack}/{_HASH.sub('', resource.logical_id)}"


def _values(node: Any, path: list[str]) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """Yield the values at a path of property names; lists are passed through."""
    if isinstance(node, list):
        for each in node:
            yield from _values(each, path)
    elif not path:
        yield node
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _values(node[path[0]], path[1:])
