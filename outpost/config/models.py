"""The configured models on a day: those that have retired, those that retire soon, and those without a price."""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime

from outpost.config.errors import Problem
from outpost.config.model import EnvironmentConfig
from outpost.domain.models import Model, ModelsError, find_model

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


def model_warnings(config: EnvironmentConfig, today: date) -> list[Problem]:
    """Return a problem for each configured model that retires within 60 days, and for each without a price."""
    return [warning for field, name, model in _configured(config) if (warning := _warning(field, name, model, today))]


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
