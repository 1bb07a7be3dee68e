"""What a new environment needs before its first request: the signing key, and the operator's first API key."""

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import boto3

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.ids import now
from outpost.domain.tenants import KEY_PATTERN, KEY_PREFIX_LENGTH, OPERATOR, ApiKey, Scope, Tenant, hash_key
from outpost.names import Env
from outpost.store.tenants import ExistsError, Tenants

if TYPE_CHECKING:
    from types_boto3_secretsmanager.client import SecretsManagerClient


class Secrets:
    """The two secrets that the deployment generated for this service."""

    def __init__(self, client: "SecretsManagerClient", bootstrap_key: str, signing: str) -> None:
        self._client = client
        self._bootstrap_key = bootstrap_key
        self._signing = signing

    @classmethod
    def from_environment(cls) -> "Secrets":
        """Connect as the environment says. Raises `KeyError` naming a variable that is missing."""
        client = boto3.client("secretsmanager", config=CLIENT_CONFIG)
        return cls(client, os.environ[Env.BOOTSTRAP_KEY_SECRET], os.environ[Env.SIGNING_SECRET])

    def signing(self) -> str:
        """Read the key that cursors and links are signed with."""
        return self._client.get_secret_value(SecretId=self._signing)["SecretString"]

    def bootstrap_key(self) -> str:
        """Read the operator's first key. Raises `ValueError` when the secret does not hold one."""
        document = json.loads(self._client.get_secret_value(SecretId=self._bootstrap_key)["SecretString"])
        key = f"otp_{document.get('key_hex', '')}"
        if KEY_PATTERN.fullmatch(key) is None:
            raise ValueError(f"secret {self._bootstrap_key}: field key_hex is not 64 lower-case hexadecimal digits")
        return key


def register_operator(tenants: Tenants, key: str) -> None:
    """Make sure that the operator tenant and its first key exist; one that was revoked stays revoked."""
    at = now()
    with suppress(ExistsError):  # every start but the first
        tenants.add(Tenant(id=OPERATOR, name="Operator", tier="enterprise", created_at=at))
    tenants.add_key(
        ApiKey(
            sha256=hash_key(key),
            prefix=key[:KEY_PREFIX_LENGTH],
            tenant_id=OPERATOR,
            name="bootstrap",
            scopes=frozenset({Scope.ADMIN}),
            created_at=at,
        ),
    )
