"""The secrets of an environment. Their values are generated, or set by an operator after the first deploy."""

import string
from collections.abc import Mapping

from aws_cdk import SecretValue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from outpost.domain.agents import Agent
from outpost.domain.providers import PROVIDERS
from outpost.names import PROVIDER_PLACEHOLDER
from outpost_constructs.cdk_enums import removal_policy
from outpost_constructs.environment_key import READ, grant_key, key_of
from outpost_constructs.nag_suppressions import acknowledge
from outpost_constructs.permissions import allow

_NOT_HEXADECIMAL = sorted({*string.ascii_letters, *string.punctuation} - {*string.hexdigits.lower()})


class Secrets(Construct):
    """The first operator key, the key that signs cursors and links, and one key for each provider of `agents`."""

    def __init__(self, scope: Construct, construct_id: str, *, agents: Mapping[Agent, str | None]) -> None:
        super().__init__(scope, construct_id)
        self.bootstrap_key = self._generated("BootstrapKey", "First operator key: otp_ + key_hex", "key_hex")
        self.signing_key = self._generated("SigningKey", "Signs cursors and artifact links", "key_hex")
        configured = {
            provider: self._provider(provider) for provider in dict.fromkeys(agents.values()) if provider in PROVIDERS
        }
        self.providers = {agent: configured[provider] for agent, provider in agents.items() if provider in PROVIDERS}
        """The secret with the provider key of each agent whose provider takes one: Bedrock takes none."""

    def _generated(self, construct_id: str, description: str, field: str) -> secretsmanager.Secret:
        """A JSON object with 64 hexadecimal digits, drawn at deploy time and never part of a template."""
        secret = secretsmanager.Secret(
            self,
            construct_id,
            description=description,
            encryption_key=key_of(self),
            removal_policy=removal_policy(self),
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template="{}",  # noqa: S106 - an empty JSON object
                generate_string_key=field,
                password_length=64,
                exclude_characters="".join(_NOT_HEXADECIMAL),
                exclude_uppercase=True,
                exclude_punctuation=True,
            ),
        )
        return _rotated_by_hand(secret)

    def _provider(self, provider: str) -> secretsmanager.Secret:
        secret = secretsmanager.Secret(
            self,
            f"Provider{provider.capitalize()}",
            description=f"API key of {provider}: set it with `aws secretsmanager put-secret-value`",
            encryption_key=key_of(self),
            removal_policy=removal_policy(self),
            secret_string_value=SecretValue.unsafe_plain_text(PROVIDER_PLACEHOLDER),
        )
        return _rotated_by_hand(secret)


def _rotated_by_hand(secret: secretsmanager.Secret) -> secretsmanager.Secret:
    acknowledge(secret, "SMG4", "A new value has to reach clients or the provider as well: an operator rotates it")
    return secret


def grant_secret(secret: secretsmanager.ISecret, grantee: iam.IGrantable) -> iam.Grant:
    """Let the grantee read the secret's value, and nothing about it."""
    grant_key(secret.encryption_key, grantee, "secretsmanager", READ)
    return allow(grantee, "secretsmanager:GetSecretValue", on=[secret.secret_arn])
