"""The secrets of an environment: generated, set by an operator after the first deploy, or brought along by tenants.

Those of tenants are made at run time by the control plane, under one prefix.
"""

import string
from collections.abc import Mapping
from typing import Any

from aws_cdk import ArnFormat, SecretValue, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IConstruct

from outpost.domain.agents import Agent
from outpost.domain.providers import PROVIDERS
from outpost.names import PROVIDER_PLACEHOLDER, Env, tenant_secrets_prefix
from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.environment_key import READ, USE_DATA_KEYS, grant_key, key_of
from outpost_constructs.nag_suppressions import acknowledge, acknowledge_wildcard
from outpost_constructs.permissions import allow
from outpost_constructs.stack import config_of

_NOT_HEXADECIMAL = sorted({*string.ascii_letters, *string.punctuation} - {*string.hexdigits.lower()})


class Secrets(Construct):
    """The first operator key, the key that signs cursors and links, and one key for each provider of `agents`."""

    def __init__(self, scope: Construct, construct_id: str, *, agents: Mapping[Agent, str | None]) -> None:
        super().__init__(scope, construct_id)
        self.bootstrap_key = self._generated("BootstrapKey", "First operator key: otp_ + key_hex")
        self.signing_key = self._generated("SigningKey", "Signs cursors and artifact links")
        configured = {
            provider: self._secret(
                f"Provider{provider.capitalize()}",
                f"API key of {provider}: set it with `aws secretsmanager put-secret-value`",
                secret_string_value=SecretValue.unsafe_plain_text(PROVIDER_PLACEHOLDER),
            )
            for provider in dict.fromkeys(agents.values())
            if provider in PROVIDERS
        }
        self.providers = {agent: configured[provider] for agent, provider in agents.items() if provider in PROVIDERS}
        """The secret with the provider key of each agent whose provider takes one: Bedrock takes none."""

    def _generated(self, construct_id: str, description: str) -> secretsmanager.Secret:
        """A JSON object with 64 hexadecimal digits, drawn at deploy time and never part of a template."""
        generator = secretsmanager.SecretStringGenerator(
            secret_string_template="{}",  # noqa: S106 - an empty JSON object
            generate_string_key="key_hex",
            password_length=64,
            exclude_characters="".join(_NOT_HEXADECIMAL),
            exclude_uppercase=True,
            exclude_punctuation=True,
        )
        return self._secret(construct_id, description, generate_secret_string=generator)

    def _secret(self, construct_id: str, description: str, **value: Any) -> secretsmanager.Secret:  # noqa: ANN401 - of the L2
        secret = secretsmanager.Secret(
            self,
            construct_id,
            description=description,
            encryption_key=key_of(self),
            removal_policy=removal_policy(self),
            **value,
        )
        acknowledge(secret, "SMG4", "A new value has to reach clients or the provider as well: an operator rotates it")
        return secret


def grant_secret(secret: secretsmanager.ISecret, grantee: iam.IGrantable) -> iam.Grant:
    """Let the grantee read the secret's value, and nothing about it."""
    grant_key(secret.encryption_key, grantee, "secretsmanager", READ)
    return allow(grantee, "secretsmanager:GetSecretValue", on=[secret.secret_arn])


def tenant_secrets_arn(scope: IConstruct) -> str:
    """Return the pattern of the ARNs of this environment's tenants' secrets."""
    return Stack.of(scope).format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{tenant_secrets_prefix(config_of(scope).name)}*",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def tenant_secrets_environment(scope: IConstruct) -> dict[str, str]:
    """Return the variable that names the key of tenants' secrets; none where AWS holds the keys."""
    key = key_of(scope)
    return {Env.KEY: key.key_arn} if key else {}


def grant_manage_tenant_secrets(role: iam.IRole) -> None:
    """Let the role make, replace and delete tenants' secrets of this environment; it can read none of them."""
    secrets = tenant_secrets_arn(role)
    actions = ("CreateSecret", "PutSecretValue", "DeleteSecret")
    allow(role, *(f"secretsmanager:{action}" for action in actions), on=[secrets])
    grant_key(key_of(role), role, "secretsmanager", USE_DATA_KEYS)
    acknowledge_wildcard(role, secrets, "Tenants add secrets at run time: their common prefix is the narrowest name")
