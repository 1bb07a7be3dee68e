"""`nat = "none"` needs endpoints for what tasks call, and hosts inside the network."""

from pathlib import Path

import pytest

from outpost_ops.config import ConfigError, load
from outpost_ops.config.closed_network import EMBEDDED_ACCOUNT, ENDPOINTS
from tests.infra.test_configuration import edited

CLOSED = ('nat = "instance"\nendpoints = []', f'nat = "none"\nendpoints = {list(ENDPOINTS)}')
GIT = (
    'base_url = "https://github.com"\nallowed_hosts = ["github.com"]',
    'base_url = "https://git.example.internal"\nallowed_hosts = ["git.example.internal", "10.1.2.3"]',
)


def test_a_closed_network_with_endpoints_and_hosts_inside_it_is_accepted(tmp_path: Path) -> None:
    config = load(edited(tmp_path, CLOSED, GIT))

    assert config.network.nat == "none"


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_endpoint_that_tasks_call_is_needed(tmp_path: Path, endpoint: str) -> None:
    few = (CLOSED[0], CLOSED[1].replace(f"'{endpoint}'", "'sts'"))

    with pytest.raises(ConfigError, match="endpoints") as caught:
        load(edited(tmp_path, few, GIT))

    assert f'with nat = "none" also {endpoint}' in str(caught.value)
    assert "set network.nat" in str(caught.value)


@pytest.mark.parametrize(
    ("agent", "more", "given", "remedy"),
    [
        ("claude", "", "is missing", ('set agents.claude.provider = "bedrock"', "api.anthropic.com is called")),
        ("gemini", "", "is missing", ("googleapis.com is called",)),
        ("claude", "model_url = 'https://models.example'", "is 'https://models.example'", ("name the URL", "bedrock")),
    ],
)
def test_a_model_provider_must_be_inside(
    tmp_path: Path, agent: str, more: str, given: str, remedy: tuple[str, ...]
) -> None:
    added = f"[agents.{agent}]\n{more}\nmodels = {{ flagship = 'm' }}\n"
    with pytest.raises(ConfigError) as caught:
        load(edited(tmp_path, CLOSED, GIT, ("[agents.shell]", f"{added}[agents.shell]")))

    (problem,) = caught.value.problems
    assert f"agents.{agent}.model_url {given}" in str(problem)
    assert all(part in problem.remedy for part in ("set network.nat", *remedy))
    assert ("bedrock" in problem.remedy) == (agent == "claude")


def test_git_and_forge_must_be_inside(tmp_path: Path) -> None:
    secret = "arn:aws:secretsmanager:us-east-1:111111111111:secret:forge"
    forge = ("[git]", f"[git]\nforge_url = 'https://api.github.com'\ntoken_secret = '{secret}'")

    with pytest.raises(ConfigError) as caught:
        load(edited(tmp_path, CLOSED, forge))

    assert {problem.field for problem in caught.value.problems} == {
        "git.base_url",
        "git.forge_url",
        "git.allowed_hosts",
    }


def test_a_gateway_inside_the_network_is_accepted(tmp_path: Path) -> None:
    claude = "[agents.claude]\nmodel_url = 'https://models.example.internal'\nmodels = { flagship = 'm' }"

    load(edited(tmp_path, CLOSED, GIT, ("[agents.shell]", f"{claude}\n[agents.shell]")))


BEDROCK = "[agents.claude]\nprovider = 'bedrock'\nmodels = { flagship = 'us.anthropic.claude-opus-5-5' }"


def test_bedrock_is_inside_through_its_endpoint(tmp_path: Path) -> None:
    claude = ("[agents.shell]", f"{BEDROCK}\n[agents.shell]")
    opened = (CLOSED[0], CLOSED[1].replace("'ecr.api'", "'bedrock-runtime', 'ecr.api'"))

    with pytest.raises(ConfigError, match="also bedrock-runtime"):
        load(edited(tmp_path, CLOSED, GIT, claude))
    assert load(edited(tmp_path, opened, GIT, claude)).bedrock_region == "us-east-1"


def test_bedrock_of_another_region_is_not_inside(tmp_path: Path) -> None:
    claude = ("[agents.shell]", f"{BEDROCK}\n[bedrock]\nregion = 'us-west-2'\n[agents.shell]")
    opened = (CLOSED[0], CLOSED[1].replace("'ecr.api'", "'bedrock-runtime', 'ecr.api'"))

    with pytest.raises(ConfigError) as caught:
        load(edited(tmp_path, opened, GIT, claude))

    assert [(problem.field, problem.value) for problem in caught.value.problems] == [("bedrock.region", "us-west-2")]


def test_tasks_of_the_embedded_aws_run_on_the_machine_and_need_neither(tmp_path: Path) -> None:
    load(edited(tmp_path, ('nat = "instance"', 'nat = "none"'), ("111111111111", EMBEDDED_ACCOUNT)))
