"""The configured models on a day: those that have retired, those that retire soon, and those without a price."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime

from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.bedrock import source_regions
from outpost.domain.models import Model, ModelsError, find_model
from outpost.domain.providers import BEDROCK, has_bedrock
from outpost_ops.config.errors import Problem
from outpost_ops.config.model import AgentConfig, EnvironmentConfig

WARNED_DAYS = 60
"""The notice that Anthropic gives ("Model deprecations"); OpenAI gives half a year."""
_RENEW = 'docs/operations.md, "Renew the models"'


def today() -> date:
    """Return the day for which models are checked: OUTPOST_TODAY, or the clock's in UTC.

    Raises `ModelsError` for a text that is no date.
    """
    named = os.environ.get("OUTPOST_TODAY")
    if not named:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(named)
    except ValueError:
        raise ModelsError(f"OUTPOST_TODAY is {named!r}: set it to a date such as 2026-11-28, or unset it") from None


def retired_models(config: EnvironmentConfig, today: date) -> list[Problem]:
    """Return a problem for each configured model whose provider no longer serves it."""
    return [
        Problem(field, name, f"a model that {model.provider} serves: it retired on {model.retires}", _replaced(model))
        for field, name, model in _configured(config)
        if model is not None and model.retires is not None and model.retires <= today
    ]


def foreign_models(agent: Agent, settings: AgentConfig) -> Iterator[Problem]:
    """Yield a problem for each model that the agent's own provider does not have, as another one's.

    Behind a gateway it may be any.
    """
    own = CATALOGUE[agent].provider
    for alias, name in settings.models.items():
        model = find_model(name)
        if model is not None and own not in (None, model.provider) and settings.model_url is None:
            allowed = f"a model of {own}: this is one of {model.provider}"
            yield Problem(f"agents.{agent}.models.{alias}", name, allowed, _elsewhere(agent, model))


def _elsewhere(agent: Agent, model: Model) -> str:
    if model.provider == BEDROCK and has_bedrock(CATALOGUE[agent].provider):
        return f'Set agents.{agent}.provider = "bedrock", or name the id that {CATALOGUE[agent].provider} has.'
    able = [each for each, entry in CATALOGUE.items() if entry.provider == model.provider]
    return f"Name another one, or give this one to {' or '.join(able) or 'no agent'}."


def model_warnings(config: EnvironmentConfig, today: date) -> list[Problem]:
    """Return a problem for each configured model that retires within 60 days, and for each without a price.

    And for each inference profile that Bedrock does not document for the region.
    """
    found = [_warning(field, name, model, today) for field, name, model in _configured(config)]
    return [*(each for each in found if each), *_profiles_elsewhere(config)]


def _profiles_elsewhere(config: EnvironmentConfig) -> Iterator[Problem]:
    region = config.bedrock_region
    for agent, settings in config.enabled_agents.items():
        if settings.provider != BEDROCK or settings.model_url:
            continue
        for alias, name in settings.models.items():
            geography, regions = source_regions(name)
            if regions and not region.startswith(regions):
                allowed = (
                    f"a model or profile that {region} has: profiles {geography}. are called from {', '.join(regions)}"
                )
                remedy = f"Name one of `aws bedrock list-inference-profiles --region {region}`, or set bedrock.region."
                yield Problem(f"agents.{agent}.models.{alias}", name, allowed, remedy)


def _warning(field: str, name: str, model: Model | None, today: date) -> Problem | None:
    if model is None:
        remedy = f"What dispatches with it cost stays unknown: add it to outpost/domain/models.toml ({_RENEW})."
        return Problem(field, name, "a model with a price", remedy)
    if model.retires is None or not 0 < (left := (model.retires - today).days) <= WARNED_DAYS:
        return None
    allowed = f"a model that does not retire soon: this one does on {model.retires}, in {left} days"
    return Problem(field, name, allowed, _replaced(model))


def _replaced(model: Model) -> str:
    named = model.replacement or f"another model of {model.provider}"
    return f"Name {named}; if the date has changed, correct it in outpost/domain/models.toml ({_RENEW})."


def _configured(config: EnvironmentConfig) -> Iterator[tuple[str, str, Model | None]]:
    """Yield field, value and entry of every model that an enabled agent names."""
    for agent, settings in config.enabled_agents.items():
        for alias, name in settings.models.items():
            yield f"agents.{agent}.models.{alias}", name, find_model(name)
