"""Whether each provider offers the configured models, and until when; whether the account may call those at Bedrock."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import httpx
from pydantic import BaseModel

from outpost.domain.bedrock import BedrockModel
from outpost.domain.models import find_model, provider_id
from outpost.domain.providers import PROVIDERS, Provider
from outpost_ops.config import EnvironmentConfig
from outpost_ops.config.models import WARNED_DAYS
from outpost_ops.doctor.finding import Finding, Level
from outpost_ops.doctor.providers import configured_models, set_key
from outpost_ops.verify.deployed import Account

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
_REQUIRED = {"authorizationStatus": "AUTHORIZED", "entitlementAvailability": "AVAILABLE"}


class _Model(BaseModel):
    id: str = ""
    name: str = ""
    shutdown_date: date | None = None
    """Only OpenAI's list has it (developers.openai.com, "Deprecations")."""


class _Models(BaseModel):
    """A provider's list of models: Google's calls it `models`, the others' `data`."""

    data: tuple[_Model, ...] = ()
    models: tuple[_Model, ...] = ()


Offered = Mapping[str, date | None]
"""The ids that a provider offers, each with the day of its shutdown where the provider names one."""


def check_models(
    config: EnvironmentConfig,
    keys: Mapping[str, str | None],
    today: date,
    urls: Mapping[str, str] | None = None,
    seconds: float = _SECONDS,
) -> Iterator[Finding]:
    """Read the models of each provider, or gateway, whose key is set; `urls` replaces providers' addresses."""
    for (name, gateway), models in configured_models(config).items():
        key = keys.get(name)
        if not key:  # the check of the keys reports it
            continue
        url = gateway or (urls or {}).get(name, PROVIDERS[name].url)
        try:
            offered = _offered(PROVIDERS[name], url, key, seconds)
        except (httpx.HTTPError, ValueError) as error:
            yield _unread(name, url, error)
            continue
        if isinstance(offered, int):
            message = f"{name}: the key is refused with status {offered}"
            yield Finding("models", Level.WARNING, message, set_key(config, name))
            continue
        for model in sorted(models):
            yield evaluate_model(config, name, model, offered, today)


def _unread(name: str, url: str, error: Exception) -> Finding:
    """Return the finding of a list that could not be read, with what to do about it."""
    if isinstance(error, httpx.HTTPStatusError):
        why, remedy = f"returns status {error.response.status_code}", "run the doctor again later"
    elif isinstance(error, httpx.TimeoutException):
        why, remedy = "does not respond in time", "run the doctor again later"
    elif isinstance(error, httpx.HTTPError):
        why, remedy = f"cannot be reached ({type(error).__name__})", f"let this machine reach {url}"
    else:
        why, remedy = "returns no list of models", "look for a proxy or gateway that responds in its place"
    remedy += ", or look the configured models up in the provider's console"
    return Finding("models", Level.UNCHECKED, f"{name}: {url} {why}", remedy)


def evaluate_model(config: EnvironmentConfig, provider: str, model: str, offered: Offered, today: date) -> Finding:
    """Return whether a provider that offers these models offers a configured one, and whether it retires soon."""
    known = find_model(model)
    # A provider may list it under its present id alone.
    names = {provider_id(model), *((known.id, *known.aliases) if known else ())}
    listed = next((name for name in sorted(names) if name in offered), None)
    ends = (offered[listed] if listed else None) or (known.retires if known else None)
    others = ", ".join(sorted(set(offered) - names)[:_SHOWN]) or "another model"
    if ends is not None and (ends - today).days <= WARNED_DAYS:
        retired = ends <= today
        message = f"{provider}: {model} {'was shut down' if retired else 'shuts down'} on {ends}"
        remedy = f"set models in config/{config.name}.toml to {(known and known.replacement) or others}"
        level = Level.FAILURE if retired else Level.WARNING
        return Finding("models", level, message, remedy)
    if listed is None:
        message = f"{provider}: {model} is not in the provider's list of models (which may lack an alias)"
        remedy = f"set models in config/{config.name}.toml to ids of the provider's list: {others}"
        return Finding("models", Level.WARNING, message, remedy)
    until = f", shuts down on {ends}" if ends else ", no shutdown is announced" if provider == "openai" else ""
    return Finding("models", Level.OK, f"{provider}: {model} exists{until}")


def _offered(provider: Provider, url: str, key: str, seconds: float) -> dict[str, date | None] | int:
    """Return the provider's models, or the status of its refusal. Raises HTTPError and ValueError."""
    headers = {provider.key_header: f"{provider.key_scheme}{key}"}
    if provider.name == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    response = httpx.get(f"{url}{_LISTS[provider.name]}", headers=headers, timeout=seconds)
    if response.status_code in provider.rejections:
        return response.status_code
    response.raise_for_status()
    found = _Models.model_validate_json(response.content)
    if not found.data and not found.models:
        raise ValueError("no models")
    return {provider_id(each.id or each.name): each.shutdown_date for each in (*found.data, *found.models)}


def check_bedrock(account: Account) -> Iterator[Finding]:
    """Each configured model or inference profile exists in the region, and the account has access to the model.

    ("GetInferenceProfile", "GetFoundationModelAvailability", Amazon Bedrock API reference.)
    """
    config = account.config
    for model in config.bedrock_models:
        yield _evaluate_bedrock(account.client("bedrock", config.bedrock_region), model, config)


def _evaluate_bedrock(client: Any, model: BedrockModel, config: EnvironmentConfig) -> Finding:  # noqa: ANN401 - boto3's
    region = config.bedrock_region
    try:
        if model.profile:
            client.get_inference_profile(inferenceProfileIdentifier=model.id)
        access = client.get_foundation_model_availability(modelId=model.model)
    except (client.exceptions.ResourceNotFoundException, client.exceptions.ValidationException):
        remedy = (
            f"set models in config/{config.name}.toml to ids of: aws bedrock list-inference-profiles --region {region}"
        )
        return Finding("bedrock", Level.WARNING, f"{model.id} is not at Bedrock in {region}", remedy)
    if missing := [name for name, fine in _REQUIRED.items() if access.get(name, fine) != fine]:
        message = f"{model.id}: the account may not call it ({', '.join(missing)})"
        remedy = f"accept the model's terms on its page in Bedrock's console, region {region}"
        return Finding("bedrock", Level.WARNING, message, remedy)
    return Finding("bedrock", Level.OK, f"{model.id} can be called in {region}")
