"""Tenants' secrets: values in Secrets Manager; names and ARNs in the tenants table, where they are listed exactly."""

import os
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

import boto3
from botocore.exceptions import ClientError

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.secrets import MAX_SECRETS, TenantSecret
from outpost.names import Env, tenant_secrets_prefix
from outpost.redaction.searchable import searchable
from outpost.store.tenants import Tenants

if TYPE_CHECKING:
    from types_boto3_secretsmanager.client import SecretsManagerClient


class TooManySecretsError(Exception):
    """The tenant has as many secrets as a tenant may have."""


class SecretBusyError(Exception):
    """A secret of this name was deleted a moment ago, and Secrets Manager has not finished."""


class _Encryption(TypedDict, total=False):
    KmsKeyId: str


class TenantSecrets:
    """Keeps tenants' secrets. Nothing here ever reads a value."""

    def __init__(self, tenants: Tenants, client: "SecretsManagerClient", prefix: str, key: str | None = None) -> None:
        """`key` is the ARN of the KMS key of new secrets; without one they have Secrets Manager's own."""
        self._tenants = tenants
        self._client = client
        self._prefix = prefix
        self._encryption: _Encryption = {"KmsKeyId": key} if key else {}

    @classmethod
    def from_environment(cls, tenants: Tenants) -> "TenantSecrets":
        """Connect as the environment says."""
        client = boto3.client("secretsmanager", config=CLIENT_CONFIG)
        return cls(tenants, client, tenant_secrets_prefix(os.environ[Env.ENVIRONMENT]), os.environ.get(Env.KEY))

    def put(self, tenant_id: str, name: str, value: str, at: datetime) -> TenantSecret:
        """Keep a value under a name, in place of an earlier one.

        Raises `TooManySecretsError` and `SecretBusyError`.
        """
        known = self._tenants.secrets(tenant_id)
        if name not in known and len(known) >= MAX_SECRETS:
            raise TooManySecretsError(f"the tenant has {MAX_SECRETS} secrets: delete one first")
        arn = self._write(f"{self._prefix}{tenant_id}/{name}", value)
        secret = TenantSecret(name=name, arn=arn, updated_at=at, not_searched=searchable(value))
        self._tenants.add_secret(tenant_id, secret)
        return secret

    def delete(self, tenant_id: str, name: str) -> TenantSecret | None:
        """Forget a value for good. Returns None when the tenant has no secret of this name."""
        secret = self._tenants.secrets(tenant_id).get(name)
        if secret is not None:
            # In this order: what is not listed is given to nobody.
            self._tenants.remove_secret(tenant_id, name)
            self._client.delete_secret(SecretId=secret.arn, ForceDeleteWithoutRecovery=True)
        return secret

    def _write(self, secret_id: str, value: str) -> str:
        try:
            return self._client.create_secret(Name=secret_id, SecretString=value, **self._encryption)["ARN"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRequestException":
                raise SecretBusyError("the secret was deleted a moment ago: try again") from error
            if error.response["Error"]["Code"] != "ResourceExistsException":
                raise
        return self._client.put_secret_value(SecretId=secret_id, SecretString=value)["ARN"]
