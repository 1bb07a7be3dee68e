"""The endpoint's secret as the Migration stack creates it: without a value."""

import pytest

from outpost_local.environment import LocalEnvironment
from outpost_migration.endpoint import EndpointSecret, V1Endpoint
from outpost_ops.errors import OperationError
from tests.local.stacks import Stack, resource


def test_a_secret_without_a_value_is_not_probed(aws: LocalEnvironment, stack: Stack) -> None:
    """The first version of a secret always becomes the one that clients read (Secrets Manager: PutSecretValue)."""
    client = aws.client("secretsmanager")
    secret = EndpointSecret(client, stack.deploy({"Endpoint": resource("AWS::SecretsManager::Secret")})["Endpoint"])

    with pytest.raises(OperationError, match="has no value yet"):
        secret.probe()
    assert client.list_secret_version_ids(SecretId=secret.secret_id, IncludeDeprecated=True)["Versions"] == []

    value = V1Endpoint.model_validate({"instanceId": "mi-1", "region": "us-east-1"})
    secret.write(value)
    secret.probe()
    assert (secret.current() or ("", None))[1] == value
