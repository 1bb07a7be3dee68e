"""A bad configuration is refused before anything is deployed, and says how to put it right."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from outpost.domain.agents import CATALOGUE, Agent
from outpost.domain.providers import PROVIDERS
from outpost_ops.config import ConfigError, EnvironmentConfig, conflict, load
from outpost_ops.config.errors import allowed_in
from outpost_ops.config.model import IngressConfig, MigrationConfig
from tests.infra.conftest import ROOT, SHIPPED

SECRET = "arn:aws:secretsmanager:us-east-1:111111111111:secret:forge"
CERTIFICATE = "arn:aws:acm:us-east-1:111111111111:certificate/0"
APP = f"{{ id = '1', key_secret = '{SECRET}' }}"
DEV = (ROOT / "config" / "dev.toml").read_text()


def edited(folder: Path, *edits: tuple[str, str]) -> Path:
    """The dev environment with a few texts replaced."""
    text = DEV
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "dev.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"10.0.0.0/8"', '"0.0.0.0/0"', ["ingress.cidrs is ['0.0.0.0/0']", "set tls.certificate_arn"]),
        ('["us-east-1a", "us-east-1b"]', '["us-east-1a"]', ["zones is ['us-east-1a']", "name a second zone"]),
        ('"us-east-1b"', '"us-east-1a"', ["zones is", "two or more different zones"]),
        ('"us-east-1b"', '"eu-west-1b"', ["zones is ['eu-west-1b']", "zones of us-east-1"]),
        ("memory = 512", "memory = 600", ["control_plane.memory is 600", "512, 1024, 1536, 2048"]),
        ("cpu = 256", "cpu = 300", ["control_plane.cpu is 300", "256, 512, 1024"]),
        ("warm = 0", "warm = 21", ["agents.shell.warm is 21", "0 to 20"]),
        ("warm = 0", "cpu = 2048\nmemory = 512", ["agents.shell.memory is 512", "pairs with 2048 CPU units"]),
        ("warm = 0", 'models = { flagship = "x" }', ["agents.shell.models", "no provider, hence no secret"]),
        ("[agents.shell]", "[agents.claude]", ["agents.claude.models is {}", "enabled = false"]),
        (
            "[agents.shell]",
            "[agents.gemini]\nprovider = 'bedrock'\nmodels = { flagship = 'm' }",
            [
                "agents.gemini.provider is 'bedrock'",
                "left out, but for claude, codex, opencode, copilot",
                "does not serve the API",
            ],
        ),
        (
            "[agents.shell]",
            "[agents.codex]\nprovider = 'bedrock'\nmodels = { flagship = 'gpt-6.1-sol' }",
            ["agents.codex.models.flagship is 'gpt-6.1-sol'", "global.openai.<model>", "the model's page"],
        ),
        ("[agents.shell]", "[agents.claude]\nprovider = 'vertex'", ["agents.claude.provider is 'vertex'", "bedrock: "]),
        ("# [tls]", "[bedrock]\nregion = 'Oregon'", ["bedrock.region is 'Oregon'", "the region whose Bedrock"]),
        ("[agents.shell]", "[agents.hal]", ["agents.hal is 'hal'", "'claude', 'codex'"]),
        ('nat = "instance"', 'nat = "gate"', ["network.nat is 'gate'", "none (no way out), instance"]),
        ('nat = "instance"', 'nat = "instance"\nnats = 2', ["network.nats is 2", "one of cidr, nat", "Remove it"]),
        ('"10.61.0.0/16"', '"10.61.0.0/28"', ["network.cidr is '10.61.0.0/28'", "a /16 to a /24"]),
        ('account = "111111111111"', 'account = "1234"', ["account is '1234'", "12 digits"]),
        ('account = "111111111111"', "", ["account is missing", "12 digits", "Add it"]),
        ("logs_days = 30", "logs_days = 31", ["retention.logs_days is 31", "CloudWatch Logs offers"]),
        ("# [tls]", '[tls]\ndomain = "a.example"', ["tls.domain is 'a.example'", "tls.certificate_arn"]),
        ("# [tls]", '[tls]\nzone_id = "Z123456"', ["tls.domain is missing", "remove tls.zone_id"]),
        ('"10.0.0.0/8"', '"10.0.0.0/8", "10.1.0.0/16"', ["networks that do not overlap", "remove 10.1.0.0/16"]),
        ('"10.0.0.0/8"', '"0.0.0.0/0"', ["ingress.waf is False", "true when everybody may connect"]),
        ('nat = "instance"', 'nat = "instance"\nnat_count = 3', ["network.nat_count is 3", "the number of zones"]),
        ("audit_days = 365", "audit_days = 365\nlock_days = 30", ["retention.lock_days is 30", 'removal = "retain"']),
        (
            "[cost]",
            "[cost]\nmodel_budget = 100\ntenant_model_budget = 200",
            ["cost.tenant_model_budget is 200", "0.01 to 100.00", "raise cost.model_budget"],
        ),
        ("[cost]", "[cost]\nmodel_budget = 0", ["cost.model_budget is 0", "0.01 or more"]),
        ("[cost]", "[cost]\ntenant_model_budget = nan", ["cost.tenant_model_budget is nan", "finite"]),
        (
            "[agents.shell]",
            "[agents.claude]\nmodels = { flagship = 'gpt-6.1-sol' }",
            ["agents.claude.models.flagship is 'gpt-6.1-sol'", "a model of anthropic: this is one of openai", "codex"],
        ),
        (
            "[agents.shell]",
            "[agents.claude]\nmodels = { flagship = 'us.anthropic.claude-opus-5-5' }",
            ["agents.claude.models.flagship is 'us.", "is one of bedrock", 'Set agents.claude.provider = "bedrock"'],
        ),
        ("audit_days = 365", "audit_days = 365\nlock_days = 400", ["retention.lock_days is 400", "0 to 365"]),
        ("spot_share = 100", "spot_share = 101", ["agents.shell.spot_share is 101", "0 to 100, percent of launches"]),
        ("[git]", "[git]\nforge_url = 'https://a.example'", ["git.token_secret is missing", "add it or git.app"]),
        ("[git]", f"[git]\napp = {APP}", ["git.forge_url is missing", "https://api.github.com"]),
        (
            "[git]",
            f"[git]\nforge_url = 'https://a.example'\napp = {APP}\ntoken_secret = '{SECRET}'",
            ["git.token_secret is", "remove one of the two"],
        ),
        ("[git]", "[git]\napp = { id = '1', key_secret = 'x' }", ["git.app.key_secret is 'x'", "ARN of a secret"]),
        (
            "# [tls]",
            f"[tls]\ncertificate_arn = '{CERTIFICATE.replace('us-east-1', 'eu-west-1')}'",
            ["tls.certificate_arn is 'arn:aws:acm:eu-west-1:", "region us-east-1 and account 111111111111"],
        ),
        (
            "# [tls]",
            f"[tls]\ncertificate_arn = '{CERTIFICATE.replace('1' * 12, '2' * 12)}'",
            ["tls.certificate_arn is 'arn:aws:acm:us-east-1:222222222222", "create it there"],
        ),
        (
            "[git]",
            f"[git]\ntoken_secret = '{SECRET.replace('us-east-1', 'eu-west-1')}'",
            ["git.token_secret is 'arn:aws:secretsmanager:eu-west-1:", "region us-east-1"],
        ),
        (
            "[git]",
            f"[git]\nforge_url = 'https://a.example'\napp = {APP.replace('1' * 12, '2' * 12)}",
            ["git.app.key_secret is 'arn:aws:secretsmanager:us-east-1:222222222222", "account 111111111111"],
        ),
        (
            "no_progress_seconds = 900",
            "no_progress_seconds = 5",
            ["agents.shell.no_progress_seconds is 5", "30 to 86400"],
        ),
        ("spot_share = 100", "spot = true", ["agents.shell.spot is True", "Remove it or correct its name"]),
    ],
)
def test_a_fault_is_named_with_file_field_value_what_is_allowed_and_the_remedy(
    tmp_path: Path, old: str, new: str, said: list[str]
) -> None:
    path = edited(tmp_path, (old, new))

    with pytest.raises(ConfigError) as caught:
        load(path)

    text = str(caught.value)
    assert text.startswith(str(path))
    for part in said:
        assert part in text


def test_behind_a_gateway_an_agent_may_call_another_providers_model(tmp_path: Path) -> None:
    claude = "[agents.claude]\nmodel_url = 'https://models.example.com'\nmodels = { flagship = 'gpt-6.1-sol' }"

    config = load(edited(tmp_path, ("[agents.shell]", f"{claude}\n[agents.shell]")))

    assert config.agents[Agent.CLAUDE].models == {"flagship": "gpt-6.1-sol"}


def test_budgets_of_models_may_have_cents(tmp_path: Path) -> None:
    config = load(edited(tmp_path, ("[cost]", "[cost]\nmodel_budget = 20\ntenant_model_budget = 2.5")))

    assert (config.cost.model_budget, config.cost.tenant_model_budget) == (20, 2.5)


def test_a_scaling_range_must_not_be_empty(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"control_plane\.maximum is 4; allowed: 5 or more"):
        load(edited(tmp_path, ("minimum = 1", "minimum = 5")))


def test_prod_is_encrypted_kept_and_runs_no_scripts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(edited(tmp_path, ('name = "dev"', 'name = "prod"')))

    assert "tls.certificate_arn is missing" in str(caught.value)
    assert {problem.field for problem in caught.value.problems} == {
        "tls.certificate_arn",
        "removal",
        "deletion_protection",
        "agents.shell.enabled",
    }


@pytest.mark.parametrize(
    ("second", "field"),
    [
        ({"network": {"cidr": "10.61.128.0/20"}}, "network.cidr"),
        ({"name": "dev"}, "name"),
        ({"migration": {"enabled": True}}, "migration.enabled"),
    ],
)
def test_environments_must_fit_beside_each_other(second: dict[str, object], field: str) -> None:
    dev = load(ROOT / "config" / "dev.toml")
    first = dev.model_copy(update={"migration": MigrationConfig(enabled=True)})
    base = dev.model_dump() | {"name": "other", "network": {"cidr": "10.99.0.0/16"}} | second
    base["network"] = dev.network.model_dump() | base["network"]
    other = EnvironmentConfig.model_validate(base)

    problem = conflict({Path("dev.toml"): first, Path("other.toml"): other})

    assert problem is not None
    assert [found.field for found in problem.problems] == [field]
    assert str(problem).startswith("other.toml")


def test_the_environments_of_this_checkout_fit_beside_each_other() -> None:
    configs = {path: load(path) for path in (ROOT / "config").glob("*.toml")}

    assert conflict(configs) is None


def test_with_a_certificate_the_world_may_connect(tmp_path: Path) -> None:
    certificate = "arn:aws:acm:us-east-1:111111111111:certificate/0b1c2d3e-0000-0000-0000-000000000000"

    config = load(
        edited(
            tmp_path,
            ("# [tls]", f'[tls]\ncertificate_arn = "{certificate}"'),
            ('cidrs = ["10.0.0.0/8"]', 'cidrs = ["0.0.0.0/0"]\nwaf = true'),
        )
    )

    assert config.tls.certificate_arn == certificate


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(edited(tmp_path, ("memory = 512", "memory = 600"), ('"us-east-1b"', '"us-east-1a"')))

    assert {problem.field for problem in caught.value.problems} == {"zones", "control_plane.memory"}


def test_a_configuration_cannot_be_changed() -> None:
    config = load(ROOT / "config" / "dev.toml")

    with pytest.raises(ValueError, match="frozen"):
        config.account = "222222222222"  # type: ignore[misc]


def test_a_missing_environment_names_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"environments here: .*dev, .*local, .*prod"):
        load(ROOT / "config" / "production.toml")


def test_text_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dev.toml"
    path.write_text("account = ")

    with pytest.raises(ConfigError, match="is not TOML"):
        load(path)


def test_the_app_ends_with_the_sentence_and_without_a_traceback(tmp_path: Path) -> None:
    path = edited(tmp_path, ('"10.0.0.0/8"', '"0.0.0.0/0"'))

    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={"JSII_NODE": os.environ["JSII_NODE"], "CDK_CONTEXT_JSON": json.dumps({"config": str(path)})},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "ingress.cidrs is ['0.0.0.0/0']" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("cidrs", "private"),
    [
        (["10.0.0.0/8", "192.168.7.0/24"], True),
        (["203.0.113.0/24"], False),  # Python's own `is_private` says yes
        (["10.0.0.0/8", "198.51.100.7/32"], False),
        (["8.0.0.0/6"], False),  # contains 10.0.0.0/8 and much else
    ],
)
def test_networks_are_private_when_no_address_of_them_is_public(cidrs: list[str], private: bool) -> None:
    assert IngressConfig.model_validate({"cidrs": cidrs}).private is private


@pytest.mark.parametrize("environment", SHIPPED)
def test_every_agent_with_a_model_has_a_token_budget_with_room_for_its_largest_call(environment: str) -> None:
    for agent, settings in load(ROOT / "config" / f"{environment}.toml").enabled_agents.items():
        provider = PROVIDERS.get(CATALOGUE[agent].provider or "")
        if provider is not None:
            assert settings.token_budget is not None, agent
            assert all(
                settings.token_budget >= provider.largest_call(model).total for model in settings.models.values()
            )


def fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a model and of those inside it, as `Model.field`."""
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name}", field
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from fields(inner)


def test_a_bound_is_written_once_and_shown_by_errors_and_pages() -> None:
    bounded = {
        name: field for name, field in fields(EnvironmentConfig) if any(hasattr(m, "le") for m in field.metadata)
    }
    shown = {name: allowed_in(field).partition(",")[0] for name, field in bounded.items()}

    assert shown["ControlPlaneConfig.minimum"] == "1 to 100"
    assert shown["AgentConfig.limit"] == "1 to 5000"
    assert [name for name, field in bounded.items() if shown[name] in str(field.description)] == []
