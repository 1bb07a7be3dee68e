"""Providers' keys, and whether the configured models are among those that each provider offers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta

import pytest

from outpost.domain.agents import Agent
from outpost.names import PROVIDER_PLACEHOLDER
from outpost_ops.doctor.finding import Level
from outpost_ops.doctor.models import check_models, evaluate_model
from tests.doctor.conftest import NOW, Case
from tests.ports import free_port

OPENAI = "SecretsProvideropenai"


@contextmanager
def key(case: Case, value: str) -> Iterator[None]:
    """While OpenAI's key is another."""
    secrets = case.client("secretsmanager")
    secrets.put_secret_value(SecretId=OPENAI, SecretString=value)
    try:
        yield
    finally:
        secrets.put_secret_value(SecretId=OPENAI, SecretString="key-openai")


def test_a_key_that_was_never_set(case: Case) -> None:
    with key(case, PROVIDER_PLACEHOLDER):
        found = case.found()

    assert [(each.check, each.level) for each in found] == [("provider keys", Level.WARNING)]
    assert "put-secret-value" in found[0].remedy


def test_a_key_that_the_provider_refuses(case: Case) -> None:
    with key(case, "wrong"):
        finding = case.only("models", Level.WARNING)

    assert finding.message == "openai: the key is refused with status 401"


def test_the_newline_after_a_key_is_no_part_of_it(case: Case) -> None:
    with key(case, "key-openai\n"):
        assert case.found() == []


def test_a_model_that_the_provider_does_not_offer(case: Case) -> None:
    model = "gpt-6.1-sol"
    case.provider.models["openai"] = {"gpt-6"}
    try:
        finding = case.only("models", Level.WARNING)
    finally:
        case.provider.models["openai"] = {model}
    assert model in finding.message
    assert finding.remedy.endswith(": gpt-6")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"data": [{"id": 1}]}', b'{"error": {"message": "busy"}}'])
def test_a_response_that_is_no_list_of_models_is_unchecked(
    case: Case, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    monkeypatch.setitem(case.provider.bodies, "openai", body)

    finding = case.only("models", Level.UNCHECKED)

    assert finding.message == f"openai: {case.provider.url}/openai returns no list of models"


def test_a_provider_that_fails_is_unchecked(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(case.provider.statuses, "google", 503)

    finding = case.only("models", Level.UNCHECKED)

    assert finding.message == f"google: {case.provider.url}/google returns status 503"
    assert finding.remedy.startswith("run the doctor again later, or look")


def test_a_provider_that_is_silent_or_away_is_unchecked(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case.provider, "silent", {"openai"})
    keys = {"openai": "key-openai", "xai": "key-xai"}
    urls = {"openai": f"{case.provider.url}/openai", "xai": f"http://127.0.0.1:{free_port()}"}

    silent, away = check_models(case.config, keys, NOW.date(), urls, seconds=0.3)

    assert (silent.level, away.level) == (Level.UNCHECKED, Level.UNCHECKED)
    assert silent.message.endswith("does not respond in time")
    assert away.message == f"xai: {urls['xai']} cannot be reached (ConnectError)"
    assert away.remedy.startswith(f"let this machine reach {urls['xai']}, or look")


@pytest.mark.parametrize(
    ("days", "level", "message"),
    [
        (-1, Level.FAILURE, "was shut down on"),
        (0, Level.FAILURE, "was shut down on"),
        (60, Level.WARNING, "shuts down on"),
    ],
)
def test_a_model_that_its_provider_shuts_down(
    case: Case, monkeypatch: pytest.MonkeyPatch, days: int, level: Level, message: str
) -> None:
    day = (NOW + timedelta(days=days)).date()
    monkeypatch.setitem(case.provider.shutdowns, "gpt-6.1-sol", day.isoformat())
    monkeypatch.setitem(case.provider.models, "openai", {"gpt-6.1-sol", "gpt-7"})

    finding = case.only("models", level)

    assert finding.message == f"openai: gpt-6.1-sol {message} {day}"
    assert finding.remedy == "set models in config/prod.toml to gpt-7"


def test_a_shutdown_that_is_far_away_is_said(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    day = (NOW + timedelta(days=62)).date()
    monkeypatch.setitem(case.provider.shutdowns, "gpt-6.1-sol", day.isoformat())

    assert case.found() == []
    messages = [each.message for each in case.all() if each.check == "models"]
    assert f"openai: gpt-6.1-sol exists, shuts down on {day}" in messages


def test_a_retirement_that_only_our_data_knows(case: Case) -> None:
    day = date(2026, 11, 30)
    offered: dict[str, date | None] = {"claude-sonnet-4-5-20250929": None, "claude-sonnet-5-5": None}
    model = "claude-sonnet-4-5"

    before, after = (evaluate_model(case.config, "anthropic", model, offered, day - timedelta(left)) for left in (1, 0))

    assert before.message == "anthropic: claude-sonnet-4-5 shuts down on 2026-11-30"
    assert (before.level, after.level) == (Level.WARNING, Level.FAILURE)
    assert after.remedy == "set models in config/prod.toml to claude-sonnet-5-5"


def test_a_model_that_is_listed_under_its_present_name(case: Case) -> None:
    finding = evaluate_model(
        case.config, "deepseek", "deepseek/deepseek-v4-flash", {"deepseek-flash": None}, NOW.date()
    )

    assert finding.level is Level.OK


def test_a_gateway_is_asked_in_its_providers_place(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(case.provider.statuses, "openai", 500)
    gateway = case.config.agents[Agent.CODEX].model_copy(update={"model_url": f"{case.provider.url}/openai"})
    config = case.config.model_copy(update={"agents": {Agent.CODEX: gateway}})
    unused = {"openai": f"http://127.0.0.1:{free_port()}"}

    (finding,) = check_models(config, {"openai": "key-openai"}, NOW.date(), unused)

    assert finding.message == f"openai: {case.provider.url}/openai returns status 500"


def test_no_finding_shows_a_key(case: Case) -> None:
    with key(case, "wrong"):
        shown = "".join(str(each) for each in case.all())

    assert "wrong" not in shown
    assert "key-anthropic" not in shown
