"""A closed network whose agents are at Bedrock: no NAT, no key, and exact permissions."""

import json

import pytest

from outpost.domain.agents import Agent
from outpost.domain.bedrock import agent_models, statements
from outpost_ops.config.closed_network import BEDROCK_ENDPOINT, ENDPOINTS
from tests.infra.assembly import Assembly
from tests.infra.conftest import ROOT
from tests.infra.test_agent_changes import synthesized

pytestmark = pytest.mark.full

MODELS = {Agent.CLAUDE: "us.anthropic.claude-opus-5-5", Agent.CODEX: "us.openai.gpt-6.1-sol"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """Dev without a NAT."""
    text = (ROOT / "config" / "dev.toml").read_text(encoding="utf-8").partition("[agents.")[0]
    edits = {
        'nat = "instance"': 'nat = "none"',
        "endpoints = []": f"endpoints = {json.dumps([*ENDPOINTS, BEDROCK_ENDPOINT])}",
        "https://github.com": "https://git.example.internal",
        '"github.com"': '"git.example.internal"',
        "ceiling = 53": "ceiling = 300",
    }
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    for agent, model in MODELS.items():
        text += f'[agents.{agent}]\nprovider = "bedrock"\nmodels = {{ flagship = "{model}" }}\n'
    return synthesized(tmp_path_factory.mktemp("closed"), text)


def test_tasks_reach_bedrock_through_an_endpoint_and_nothing_else(closed: Assembly) -> None:
    endpoints = [e["Properties"] for _, e in closed.of_type("AWS::EC2::VPCEndpoint", "dev")]
    services = {e["ServiceName"] for e in endpoints if e["VpcEndpointType"] == "Interface"}
    assert services == {f"com.amazonaws.us-east-1.{name}" for name in (*ENDPOINTS, BEDROCK_ENDPOINT)}
    (bedrock,) = (e for e in endpoints if str(e["ServiceName"]).endswith(BEDROCK_ENDPOINT))
    assert bedrock["PrivateDnsEnabled"] is True
    assert not [*closed.of_type("AWS::EC2::NatGateway", "dev"), *closed.of_type("AWS::EC2::Instance", "dev")]
    private = [r for place, r in closed.of_type("AWS::EC2::Route", "dev") if "Private" in place]
    assert private == []


def test_there_is_no_key_of_a_provider(closed: Assembly) -> None:
    secrets = [place for place, _ in closed.of_type("AWS::SecretsManager::Secret", "dev")]
    assert not [place for place in secrets if "Provider" in place]
    settings = json.dumps([p["Properties"] for _, p in closed.of_type("AWS::SSM::Parameter", "dev")])
    assert settings.count('\\"bedrock_region\\":\\"us-east-1\\"') == len(MODELS), settings


def test_an_attempt_may_call_the_configured_models_and_no_others(closed: Assembly) -> None:
    (policy,) = (
        p["Properties"]["PolicyDocument"]["Statement"]
        for place, p in closed.of_type("AWS::IAM::Policy", "dev")
        if "/BrokerAttemptRoleDefaultPolicy" in place
    )
    models = [model for agent, id_ in MODELS.items() for model in agent_models(agent, [id_])]
    found = [each for each in policy if "bedrock:InvokeModel" in each["Action"]]
    assert found == _as_in_templates(statements(models, "us-east-1", "111111111111"))
    others = json.dumps(
        [policy for place, policy in closed.of_type("AWS::IAM::Policy", "dev") if "Attempt" not in place]
    )
    assert "bedrock" not in others


def test_the_rules_on_templates_hold_and_each_acknowledgement_is_used(closed: Assembly) -> None:
    assert closed.violations() == []
    given = {key for key in closed.given_acknowledgements() if "bedrock" in str(key)}
    assert len(given) == len(MODELS)
    assert given <= {*closed.used_acknowledgements()}


def _as_in_templates(written: list[dict[str, object]]) -> list[dict[str, object]]:
    """CloudFormation's templates hold a list of one as its element."""
    return json.loads(json.dumps(written), object_hook=_without_lists_of_one)  # type: ignore[no-any-return]


def _without_lists_of_one(part: dict[str, object]) -> dict[str, object]:
    return {name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in part.items()}
