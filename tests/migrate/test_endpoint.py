"""The secret that clients look the endpoint up in, on Secrets Manager itself."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest

from outpost.domain.ids import new_id
from outpost.names import CONTROL_PLANE_CONTAINER, MigrationOutput
from outpost_migration.context import Context, Deployment
from outpost_migration.endpoint import EndpointSecret, V1Endpoint, V2Endpoint
from outpost_migration.steps import preflight
from outpost_ops.errors import OperationError
from tests.conftest import CREDENTIALS

V1 = V1Endpoint.model_validate({"instanceId": "mi-1", "region": "us-east-1"})
V2 = V2Endpoint(endpoint="https://outpost.example.com")


@pytest.fixture
def secret(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EndpointSecret]:
    """A secret of the test's own."""
    for name, value in (CREDENTIALS | {"AWS_ENDPOINT_URL": emulator}).items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("secretsmanager")
    arn = client.create_secret(Name=f"endpoint-{new_id()}", SecretString=V1.model_dump_json(by_alias=True))["ARN"]
    yield EndpointSecret(client, arn)
    client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


def versions(secret: EndpointSecret) -> list[dict[str, Any]]:
    found = secret.client.list_secret_version_ids(SecretId=secret.secret_id, IncludeDeprecated=True)["Versions"]
    return [version for version in found if version.get("VersionStages")]


def test_a_probe_changes_nothing_that_clients_read(secret: EndpointSecret) -> None:
    before = versions(secret)
    secret.probe()
    assert versions(secret) == before
    assert secret.current() == (before[0]["VersionId"], V1)


@pytest.mark.parametrize("exists", [True, False])
def test_a_secret_without_a_value_is_not_probed_as_the_first_version_becomes_current(
    secret: EndpointSecret, exists: bool
) -> None:
    """Secrets Manager: PutSecretValue labels the first version AWSCURRENT, whatever its stage."""
    empty = replace(secret, secret_id=f"endpoint-{new_id()}")
    if exists:
        secret.client.create_secret(Name=empty.secret_id)
    with pytest.raises(OperationError, match="has no value yet"):
        empty.probe()
    checked = preflight.secret_writable(_context(empty))
    assert (checked.status, checked.evidence[0]) == (
        "pass",
        "secretsmanager:GetSecretValue: no version; the step audit writes the first one",
    )
    assert empty.current() is None


def test_preflight_writes_no_version_that_clients_read(secret: EndpointSecret) -> None:
    before = versions(secret)
    assert preflight.secret_writable(_context(secret)).status == "pass"
    assert versions(secret) == before


def test_preflight_names_no_image_of_a_container_that_guardduty_added() -> None:
    """GuardDuty Runtime Monitoring adds a container to tasks, at any place in the list (aws-cdk#32877)."""
    agent = {"name": "aws-guardduty-agent-3xkq1", "image": "guardduty"}
    ours = {"name": CONTROL_PLANE_CONTAINER, "image": "outpost"}
    assert preflight.images([{"containers": [agent, ours]}, {"containers": [ours, agent]}]) == ["outpost"]


def _context(secret: EndpointSecret) -> Context:
    outputs: dict[str, str] = {MigrationOutput.ENDPOINT_SECRET: secret.secret_id}
    return Context(Deployment("dev", "us-east-1", outputs, boto3.Session()), "run", "operator", "http://127.0.0.1")


def test_the_version_that_named_v1_can_be_restored(secret: EndpointSecret) -> None:
    first, _ = secret.current() or ("", None)
    second = secret.write(V2)
    assert secret.current() == (second, V2)
    assert secret.restore_v1() == first
    assert secret.current() == (first, V1)


@pytest.mark.parametrize("text", ['{"probe": true}', "[]", "http://outpost.example.com"])
def test_a_value_that_is_no_endpoint_is_an_error_with_a_remedy(secret: EndpointSecret, text: str) -> None:
    secret.client.put_secret_value(SecretId=secret.secret_id, SecretString=text)
    with pytest.raises(OperationError, match=r"is no endpoint.*put-secret-value"):
        secret.current()
