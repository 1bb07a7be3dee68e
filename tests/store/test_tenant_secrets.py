"""Tenants' secrets are encrypted with the environment's key, where it has one."""

import boto3
import pytest

from outpost.domain.ids import new_id, now
from outpost.names import Env
from outpost.store.secrets import TenantSecrets
from tests.store.conftest import Store


@pytest.mark.parametrize("own_key", [True, False])
def test_a_new_secret_has_the_environments_key(store: Store, monkeypatch: pytest.MonkeyPatch, own_key: bool) -> None:
    key = boto3.client("kms").create_key()["KeyMetadata"]["Arn"]
    monkeypatch.setenv(Env.ENVIRONMENT, f"test-{new_id()}")
    if own_key:
        monkeypatch.setenv(Env.KEY, key)
    secrets = TenantSecrets.from_environment(store.tenants)

    created = secrets.put("acme", "NPM_TOKEN", "value", now())
    replaced = secrets.put("acme", "NPM_TOKEN", "another", now())

    assert replaced.arn == created.arn
    described = boto3.client("secretsmanager").describe_secret(SecretId=created.arn)
    assert described.get("KmsKeyId") == (key if own_key else None)
