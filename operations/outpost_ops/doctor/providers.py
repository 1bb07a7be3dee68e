"""Providers' keys, and secrets that the configuration names."""

from collections.abc import Iterator, Mapping

from outpost.domain.providers import PROVIDERS
from outpost.names import PROVIDER_PLACEHOLDER, provider_of
from outpost_ops.config import EnvironmentConfig
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.verify.deployed import Account

_TAG = "outpost:environment"


def configured_models(config: EnvironmentConfig) -> dict[tuple[str, str | None], set[str]]:
    """Return the model ids that the enabled agents name, by provider with a key and by gateway (None: without one)."""
    found: dict[tuple[str, str | None], set[str]] = {}
    for agent, settings in config.enabled_agents.items():
        provider = config.provider_of(agent)
        if provider in PROVIDERS:
            found.setdefault((provider, settings.model_url), set()).update(settings.models.values())
    return found


def read_keys(account: Account) -> dict[str, str | None]:
    """Return the key of each provider's secret of the environment; None for one that still holds the placeholder."""
    secrets, keys = account.client("secretsmanager"), dict[str, str | None]()
    # CloudFormation names a secret without its stack; its tag says whose it is. Filters match beginnings.
    tag = {"Key": _TAG, "Value": account.config.name}
    tagged = [{"Key": "tag-key", "Values": [_TAG]}, {"Key": "tag-value", "Values": [account.config.name]}]
    for secret in account.pages("secretsmanager", "list_secrets", "SecretList", Filters=tagged):
        provider = provider_of(secret.get("Description", ""))
        if provider and tag in secret.get("Tags", []):
            value = secrets.get_secret_value(SecretId=secret["ARN"])["SecretString"].strip()
            keys[provider] = None if value == PROVIDER_PLACEHOLDER else value
    return keys


def check_keys(config: EnvironmentConfig, keys: Mapping[str, str | None]) -> Iterator[Finding]:
    """Each provider of an enabled agent has a key, or will get one after the first deploy."""
    for provider in dict.fromkeys(provider for provider, _ in configured_models(config)):
        if keys.get(provider):
            yield Finding("provider keys", Level.OK, f"{provider}: set")
            continue
        when = "not set" if provider in keys else "its secret is created by the first deploy; set it then"
        yield Finding("provider keys", Level.WARNING, f"{provider}: {when}", set_key(config, provider))


def set_key(config: EnvironmentConfig, provider: str) -> str:
    """Return the command that sets a provider's key, read from standard input."""
    query = f"SecretList[?starts_with(Description, 'API key of {provider}:')].ARN"
    listed = f'aws secretsmanager list-secrets --filters Key=tag-value,Values={config.name} --query "{query}"'
    return (
        f"aws secretsmanager put-secret-value --secret-string file:///dev/stdin --secret-id $({listed} --output text)"
    )


def check_secrets(account: Account) -> Iterator[Finding]:
    """The secrets that the configuration names exist."""
    git = account.config.git
    named = {"git.app.key_secret": git.app.key_secret if git.app else None, "git.token_secret": git.token_secret}
    secrets = account.client("secretsmanager")
    for field, arn in named.items():
        if arn is None:
            continue
        try:
            exists = "DeletedDate" not in secrets.describe_secret(SecretId=arn)
        except secrets.exceptions.ResourceNotFoundException:
            exists = False
        if exists:
            yield Finding("secrets", Level.OK, f"{field} exists")
            continue
        create = f"aws secretsmanager create-secret --name {arn.rpartition(':secret:')[2][:-7]}"
        remedy = f"{create} --secret-string file:///dev/stdin, and name the ARN that it returns"
        yield Finding("secrets", Level.FAILURE, f"{field}: {arn} does not exist", remedy)
