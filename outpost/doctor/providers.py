"""Providers' keys and the configured models; secrets that the configuration names."""

from collections.abc import Iterator, Mapping

import httpx
from botocore.exceptions import ClientError
from pydantic import BaseModel

from outpost.config import EnvironmentConfig
from outpost.doctor.account import Account
from outpost.doctor.finding import Finding, Level
from outpost.domain.agents import CATALOGUE
from outpost.domain.providers import PROVIDERS, Provider
from outpost.names import PROVIDER_PLACEHOLDER, provider_of

_TAG = "outpost:environment"
_SECONDS = 10.0
_PAGE = 1_000
_SHOWN = 20
_LISTS: Mapping[str, str] = {
    "anthropic": f"/v1/models?limit={_PAGE}",
    "openai": "/v1/models",
    "google": f"/v1beta/models?pageSize={_PAGE}",
    "deepseek": "/models",
    "xai": "/v1/models",
}
"""Provider -> the path of its list of models, by its API reference."""


class _Model(BaseModel):
    id: str = ""
    name: str = ""


class _Models(BaseModel):
    """A provider's list of models: Google's calls it `models`, the others' `data`."""

    data: tuple[_Model, ...] = ()
    models: tuple[_Model, ...] = ()


def configured_models(config: EnvironmentConfig) -> dict[str, set[str]]:
    """Return the model ids that the enabled agents name, by provider."""
    found: dict[str, set[str]] = {}
    for agent, settings in config.enabled_agents.items():
        if provider := CATALOGUE[agent].provider:
            found.setdefault(provider, set()).update(settings.models.values())
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
    for provider in configured_models(config):
        if keys.get(provider):
            yield Finding(check="provider keys", level=Level.OK, message=f"{provider}: set")
            continue
        when = "not set" if provider in keys else "its secret is created by the first deploy; set it then"
        message = f"{provider}: {when}"
        yield Finding(check="provider keys", level=Level.WARNING, message=message, remedy=set_key(config, provider))


def set_key(config: EnvironmentConfig, provider: str) -> str:
    """Return the command that sets a provider's key, read from standard input."""
    query = f"SecretList[?starts_with(Description, 'API key of {provider}:')].ARN"
    listed = f'aws secretsmanager list-secrets --filters Key=tag-value,Values={config.name} --query "{query}"'
    return (
        f"aws secretsmanager put-secret-value --secret-string file:///dev/stdin --secret-id $({listed} --output text)"
    )


def check_models(
    config: EnvironmentConfig, keys: Mapping[str, str | None], urls: Mapping[str, str] | None = None
) -> Iterator[Finding]:
    """Read the models of each provider whose key is set; `urls` replaces providers' addresses."""
    for name, models in configured_models(config).items():
        key, provider = keys.get(name), PROVIDERS[name]
        if not key:  # the check of the keys reports it
            continue
        url = (urls or {}).get(name, provider.url)
        try:
            offered = _offered(provider, url, key)
        except (httpx.HTTPError, ValueError) as error:
            message = f"{name}: {url} cannot be read ({type(error).__name__})"
            yield Finding(check="models", level=Level.UNCHECKED, message=message)
            continue
        yield from evaluate_models(config, name, models, offered)


def evaluate_models(
    config: EnvironmentConfig, provider: str, models: set[str], offered: set[str] | int
) -> Iterator[Finding]:
    """Compare the configured models with those that the provider offers, or with the status that it returned."""
    if isinstance(offered, int):
        message = f"{provider}: the key is refused with status {offered}"
        yield Finding(check="models", level=Level.WARNING, message=message, remedy=set_key(config, provider))
        return
    for model in sorted(models):
        # A CLI may name a model with its provider in front.
        if model.rpartition("/")[2] in offered:
            yield Finding(check="models", level=Level.OK, message=f"{provider}: {model} exists")
            continue
        some = ", ".join(sorted(offered)[:_SHOWN])
        remedy = f"set models in config/{config.name}.toml to ids of the provider's list: {some}"
        message = f"{provider}: {model} is not in the provider's list of models (which may lack an alias)"
        yield Finding(check="models", level=Level.WARNING, message=message, remedy=remedy)


def _offered(provider: Provider, url: str, key: str) -> set[str] | int:
    """Return the ids of the provider's models, or the status of its refusal. Raises HTTPError and ValueError."""
    headers = {provider.key_header: f"{provider.key_scheme}{key}"}
    if provider.name == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    response = httpx.get(f"{url}{_LISTS[provider.name]}", headers=headers, timeout=_SECONDS)
    if response.status_code in provider.rejections:
        return response.status_code
    response.raise_for_status()
    found = _Models.model_validate_json(response.content)
    return {(each.id or each.name).removeprefix("models/") for each in (*found.data, *found.models)}


def check_secrets(account: Account) -> Iterator[Finding]:
    """The secrets that the configuration names exist."""
    git = account.config.git
    named = {"git.app.key_secret": git.app.key_secret if git.app else None, "git.token_secret": git.token_secret}
    for field, arn in named.items():
        if arn is None:
            continue
        try:
            described = account.client("secretsmanager").describe_secret(SecretId=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            described = {"DeletedDate": None}
        if "DeletedDate" in described:
            yield Finding(
                check="secrets",
                level=Level.FAILURE,
                message=f"{field}: {arn} does not exist",
                remedy=f"aws secretsmanager create-secret --name {arn.rpartition(':secret:')[2][:-7]} --secret-string "
                "file:///dev/stdin, and name the ARN that it returns",
            )
        else:
            yield Finding(check="secrets", level=Level.OK, message=f"{field} exists")
