"""Configured models on a given day: a warning before one retires, an error afterwards, a warning without a price."""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from outpost.domain.models import find_model, models
from outpost_ops.config import load
from outpost_ops.config.models import WARNED_DAYS, model_warnings, retired_models
from tests.infra.conftest import ROOT, SHIPPED
from tests.infra.test_configuration import edited

RETIRES = date(2026, 11, 30)
FIELD = "agents.claude.models.flagship is 'claude-sonnet-4-5'"


def configured(folder: Path, model: str = "claude-sonnet-4-5", more: str = "") -> Path:
    agent = f'[agents.claude]\nmodels = {{ flagship = "{model}" }}\n{more}'
    return edited(folder, ("[agents.shell]", f"{agent}\n[agents.shell]"))


def synth(config: Path, today: date) -> "subprocess.CompletedProcess[str]":
    environ = {
        "JSII_NODE": os.environ["JSII_NODE"],
        "PATH": os.environ["PATH"],
        "CDK_CONTEXT_JSON": json.dumps({"config": str(config)}),
        "CDK_OUTDIR": str(config.parent / "out"),
        "OUTPOST_TODAY": today.isoformat(),
    }
    command = [sys.executable, "app.py"]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_a_model_that_retires_soon_is_warned_about_from_sixty_days_before(tmp_path: Path) -> None:
    config = load(configured(tmp_path))
    first = RETIRES - timedelta(days=WARNED_DAYS)

    assert model_warnings(config, first - timedelta(days=1)) == []
    (warning,) = model_warnings(config, first)
    assert str(warning) == (
        f"{FIELD}; allowed: a model that does not retire soon: this one does on 2026-11-30, in 60 days. "
        "Name claude-sonnet-5-5; if the date has changed, correct it in outpost/domain/models.toml "
        '(docs/operations.md, "Renew the models").'
    )
    (warning,) = model_warnings(config, RETIRES - timedelta(days=1))
    assert "in 1 days" in str(warning)
    assert retired_models(config, RETIRES - timedelta(days=1)) == []


def test_a_retired_model_is_a_problem_and_no_longer_a_warning(tmp_path: Path) -> None:
    config = load(configured(tmp_path))

    (problem,) = retired_models(config, RETIRES)
    assert str(problem).startswith(
        f"{FIELD}; allowed: a model that anthropic serves: it retired on 2026-11-30. Name claude-sonnet-5-5; "
    )
    assert model_warnings(config, RETIRES) == []


def test_an_agent_that_is_not_enabled_may_name_any_model(tmp_path: Path) -> None:
    config = load(configured(tmp_path, more="enabled = false\n"))

    assert retired_models(config, RETIRES) == model_warnings(config, RETIRES) == []


def test_a_model_without_a_price_is_named_behind_a_gateway_too(tmp_path: Path) -> None:
    config = load(configured(tmp_path, "our-own", 'model_url = "https://models.example.com"\n'))

    (warning,) = model_warnings(config, RETIRES)
    assert str(warning).startswith("agents.claude.models.flagship is 'our-own'; allowed: a model with a price. What ")


@pytest.mark.parametrize(
    ("profile", "region", "elsewhere"),
    [
        ("eu.anthropic.claude-opus-5-5", "us-east-1", True),
        ("us.anthropic.claude-opus-5-5", "us-east-1", False),
        ("global.anthropic.claude-opus-5-5", "us-east-1", False),
        ("anthropic.claude-opus-5-5", "us-east-1", False),
        ("us.anthropic.claude-opus-5-5", "eu-west-1", True),
        ("jp.anthropic.claude-opus-5-5", "ap-southeast-2", True),
    ],
)
def test_an_inference_profile_of_another_geography_is_warned_about(
    tmp_path: Path, profile: str, region: str, elsewhere: bool
) -> None:
    more = f'provider = "bedrock"\n[bedrock]\nregion = "{region}"\n'
    warnings = model_warnings(load(configured(tmp_path, profile, more)), RETIRES)

    assert len(warnings) == elsewhere
    for warning in warnings:
        assert str(warning).startswith(
            f"agents.claude.models.flagship is '{profile}'; allowed: a model or profile that"
        )
        assert warning.remedy.endswith(f"list-inference-profiles --region {region}`, or set bedrock.region.")


def test_the_app_warns_before_and_fails_after_the_day(tmp_path: Path) -> None:
    config = configured(tmp_path)

    before, after = synth(config, RETIRES - timedelta(days=1)), synth(config, RETIRES)

    assert before.returncode == 0, before.stderr
    assert f"warning: {config}: {FIELD}" in before.stderr
    assert after.returncode == 1
    assert f"{config} (environment dev):\n  - {FIELD}" in after.stderr
    assert "Traceback" not in after.stderr


@pytest.mark.parametrize("environment", SHIPPED)
def test_the_shipped_models_have_prices_and_none_retires_soon(environment: str) -> None:
    config = load(ROOT / "config" / f"{environment}.toml")
    checked = max(model.checked for model in models())

    assert retired_models(config, checked) == model_warnings(config, checked) == []
    named = {name for settings in config.enabled_agents.values() for name in settings.models.values()}
    assert {name for name in named if (model := find_model(name)) and model.replacement} == set()
