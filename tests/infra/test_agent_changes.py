"""Adding, disabling and growing agents: what a changed configuration does to the templates."""

import json
from pathlib import Path

import pytest

from app import OutpostApp
from outpost.domain.agents import CATALOGUE, MAX_WARM_WINDOWS, Agent, Alias
from outpost.fleet.agent_settings import MOST_NAMES
from outpost.names import Env
from outpost_ops.config import ConfigError, load
from tests.infra.assembly import Assembly, synthesize
from tests.infra.conftest import ROOT


def synthesized(folder: Path, text: str) -> Assembly:
    """Synthesize the environment of one configuration file."""
    (folder / "changed.toml").write_text(text, encoding="utf-8")
    return synthesize(OutpostApp(outdir=str(folder / "out"), context={"config": str(folder / "changed.toml")}))


@pytest.fixture(scope="module")
def without_gemini(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Prod with an agent disabled whose provider no other has."""
    prod = (ROOT / "config" / "prod.toml").read_text(encoding="utf-8")
    text = prod.replace("[agents.gemini]\n", "[agents.gemini]\nenabled = false\n")
    assert text != prod
    return synthesized(tmp_path_factory.mktemp("without-gemini"), text)


def test_a_disabled_agent_keeps_its_queue_and_key(without_gemini: Assembly, assembly: Assembly) -> None:
    """Data is deployed before its readers: what it deleted they would still use, and a new secret would hold no key."""
    for kind in ("AWS::SQS::Queue", "AWS::SecretsManager::Secret"):
        kept = {place for place, _ in without_gemini.of_type(kind, "prod") if "-Data/" in place}
        assert kept == {place for place, _ in assembly.of_type(kind, "prod") if "-Data/" in place}


def test_nothing_works_with_a_disabled_agent(without_gemini: Assembly) -> None:
    for stack in ("Fleet", "ControlPlane", "Observability"):
        text = json.dumps(without_gemini.templates[f"Outpost-prod-{stack}"]).lower()
        assert "gemini" not in text, stack
        assert "google" not in text, stack


WINDOW = '{ days = ["mon","tue","wed","thu","fri","sat","sun"], start = 08:00:00, end = 18:00:01, warm = 100 }'


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Staging with every agent at the bounds of its settings."""
    staging = (ROOT / "config" / "staging.toml").read_text(encoding="utf-8")
    models = ", ".join(f'{alias} = "{alias:m<128}"' for alias in Alias)
    settings = {
        "limit": "5000",
        "spot_share": "100",
        "warm": "100",
        "token_budget": "9000000000",
        "no_progress_seconds": "86400",
        "warm_windows": f"[{', '.join([WINDOW] * MAX_WARM_WINDOWS)}]",
    }
    common = "\n".join(f"{name} = {value}" for name, value in settings.items())
    agents = [
        f"[agents.{agent}]\n{common}\n" + (f"models = {{ {models} }}\n" if CATALOGUE[agent].provider else "")
        for agent in Agent
    ]
    text = staging.partition("[agents.")[0].replace("ceiling = ", "ceiling = 99")
    return synthesized(tmp_path_factory.mktemp("grown"), text + "\n".join(agents))


def test_settings_at_their_bounds_fit_into_parameters_and_functions(grown: Assembly) -> None:
    """A function's environment holds 4 KB, a parameter 4,096 characters: the rules on templates count both."""
    parameters = [p for place, p in grown.of_type("AWS::SSM::Parameter", "staging") if "-Fleet/Agents" in place]

    assert len(parameters) == len(Agent) <= MOST_NAMES
    assert max(len(json.dumps(parameter["Properties"]["Value"])) for parameter in parameters) > 2_500
    assert grown.violations() == []


def test_more_settings_than_fit_are_refused_by_name(tmp_path: Path) -> None:
    staging = (ROOT / "config" / "staging.toml").read_text(encoding="utf-8")
    windows = f"warm_windows = [{', '.join([WINDOW] * (MAX_WARM_WINDOWS + 1))}]"
    (tmp_path / "much.toml").write_text(staging.replace("[agents.gemini]\n", f"[agents.gemini]\n{windows}\n"))

    with pytest.raises(ConfigError, match=r"agents\.gemini\.warm_windows"):
        load(tmp_path / "much.toml")


def test_changed_settings_are_another_parameter_and_restart_the_functions(assembly: Assembly, grown: Assembly) -> None:
    """Functions keep what they read at their cold start; another name in their environment is another start."""

    def name(synth: Assembly) -> str:
        (shell,) = (p for place, p in synth.of_type("AWS::SSM::Parameter", "staging") if "-Fleet/AgentsShell" in place)
        return str(shell["Properties"]["Name"])

    assert name(grown) != name(assembly)
    for place, function in assembly.of_type("AWS::Lambda::Function", "staging"):
        given = function["Properties"].get("Environment", {}).get("Variables", {})
        assert Env.AGENTS not in given, place
        if Env.AGENT_PARAMETERS in given:
            assert '{"Ref": "AgentsShell' in json.dumps(given[Env.AGENT_PARAMETERS]), place


def test_a_target_group_is_replaced_with_its_load_balancer(assembly: Assembly, environment: str) -> None:
    """A target group cannot belong to two load balancers at once (TargetGroupAssociationLimit, aws-cdk#5440)."""
    (balancer,) = assembly.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer", environment)
    (group,) = assembly.of_type("AWS::ElasticLoadBalancingV2::TargetGroup", environment)
    logical_id = balancer[0].partition("/")[2]

    assert {"Fn::GetAtt": [logical_id, "LoadBalancerFullName"]} in _members(group[1]["Properties"]["Name"])


def _members(value: object) -> list[object]:
    """Return a JSON value and every value in it."""
    children = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    return [value, *(found for child in children for found in _members(child))]
