"""Adding, disabling and growing agents: what a changed configuration does to the templates."""

import json
from pathlib import Path

import pytest

from app import OutpostApp
from tests.infra.assembly import Assembly, synthesize
from tests.infra.conftest import ROOT


def synthesized(folder: Path, text: str) -> Assembly:
    """Synthesize the environment of one configuration file."""
    (folder / "changed.toml").write_text(text, encoding="utf-8")
    return synthesize(OutpostApp(outdir=str(folder / "out"), context={"config": str(folder / "changed.toml")}))


@pytest.fixture(scope="module")
def without_claude(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Prod with its first agent disabled."""
    prod = (ROOT / "config" / "prod.toml").read_text(encoding="utf-8")
    text = prod.replace("[agents.claude]\n", "[agents.claude]\nenabled = false\n")
    assert text != prod
    return synthesized(tmp_path_factory.mktemp("without-claude"), text)


def test_a_disabled_agent_keeps_its_queue_and_key(without_claude: Assembly, assembly: Assembly) -> None:
    """Data is deployed before its readers: what it deleted they would still use, and a new secret would hold no key."""
    for kind in ("AWS::SQS::Queue", "AWS::SecretsManager::Secret"):
        kept = {place for place, _ in without_claude.of_type(kind, "prod") if "-Data/" in place}
        assert kept == {place for place, _ in assembly.of_type(kind, "prod") if "-Data/" in place}


def test_nothing_works_with_a_disabled_agent(without_claude: Assembly) -> None:
    for stack in ("Fleet", "ControlPlane", "Observability"):
        text = json.dumps(without_claude.templates[f"Outpost-prod-{stack}"]).lower()
        assert "claude" not in text, stack
        assert "anthropic" not in text, stack


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
