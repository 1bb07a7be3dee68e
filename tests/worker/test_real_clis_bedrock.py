"""The real CLIs that can finish a dispatch at Bedrock: signed with the attempt's session, no key."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest

from outpost.domain.agents import Agent, AgentSettings, Alias
from outpost.domain.artifacts import Artifact
from outpost.domain.dispatch import Status
from outpost.domain.ids import new_id, now
from outpost.domain.models import find_model
from outpost.domain.protocol import Credentials
from outpost.domain.reasons import ReasonCode
from outpost.domain.usage import Tokens
from outpost.names import Env
from tests.launched import TASK_ROLE, claim_request, launch
from tests.real_clis import path_with_cli
from tests.worker.bedrock_server import REGION, bedrock_server
from tests.worker.brokers import broker_variables, create_broker
from tests.worker.conftest import GitServer, Platform
from tests.worker.model_server import CACHED, FAREWELL, INPUT, OUTPUT, ModelServer
from tests.worker.recording_sts import Sessions, recording_sts
from worker.broker import BrokerClient
from worker.lease import Fence, Heartbeat
from worker.stop import StopSignal

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

MODELS = {
    Agent.CLAUDE: "eu.anthropic.claude-opus-5-5",
    Agent.CODEX: "global.openai.gpt-6.1-sol",
    Agent.OPENCODE: "eu.anthropic.claude-opus-5-5",
    Agent.COPILOT: "global.openai.gpt-6.1-sol",
}
TASK = "Please write the file made-by-the-model.txt."


@pytest.fixture(scope="module")
def sessions(environment: pytest.MonkeyPatch, emulator: str) -> Iterator[tuple[str, Sessions]]:
    with recording_sts(emulator) as found:
        yield found


@pytest.fixture(scope="module")
def bedrock(sessions: tuple[str, Sessions]) -> Iterator[ModelServer]:
    with bedrock_server(sessions[1]) as server:
        yield server


def broker(platform: Platform, sts: str, region: str) -> str:
    """Create the real broker for agents that are at Bedrock; it has no provider's key to give."""
    agents = {
        agent: AgentSettings(
            queue_url=platform.queue_url,
            family="f",
            task_role_arn=TASK_ROLE,
            models={Alias.FLAGSHIP: model},
            bedrock_region=region,
        ).model_dump(mode="json")
        for agent, model in MODELS.items()
    }
    variables = {**broker_variables(), Env.AGENTS: json.dumps(agents), "AWS_ENDPOINT_URL_STS": sts}
    return create_broker(f"bedrock-{new_id().lower()}", variables)


def variables(platform: Platform, sts: str, agent: Agent, url: str, region: str = REGION) -> Mapping[str, str]:
    return {"PATH": path_with_cli(agent), Env.MODEL_URL: url, Env.BROKER_FUNCTION: broker(platform, sts, region)}


@pytest.mark.parametrize("agent", MODELS)
def test_a_real_cli_finishes_a_dispatch_at_bedrock(
    agent: Agent, bedrock: ModelServer, sessions: tuple[str, Sessions], platform: Platform, git_server: GitServer
) -> None:
    repo, before = git_server.create(f"bedrock-{agent}", {"README.md": b"hello\n"}), len(bedrock.seen)
    given = variables(platform, sessions[0], agent, bedrock.url)
    row = platform.run(TASK, given, agent=agent, repo=repo, model_id=MODELS[agent], timeout_seconds=300)
    assert row.status is Status.SUCCESS, platform.messages(row)
    assert "+written by the model" in platform.read(row, Artifact.PATCH).decode()
    assert FAREWELL in str(platform.summary(row).final_message)
    model, used = find_model(MODELS[agent]), Tokens(INPUT, CACHED, 0, OUTPUT)
    assert model is not None
    assert row.usage is not None
    assert (row.usage.model_calls, row.usage.input_tokens, row.usage.output_tokens) == (2, 2 * INPUT, 2 * OUTPUT)
    assert row.usage.model_cost_usd == pytest.approx(2 * model.cost_of(used), abs=1e-6)
    assert len(bedrock.seen) - before == 2
    types = {tool.get("type", "custom") for seen in bedrock.seen[before:] for tool in seen.body["tools"]}
    assert types <= {"custom", "function", "namespace"}  # Bedrock's runtime endpoint runs no tools itself
    log = "\n".join(platform.messages(row))
    assert not [each for each, _ in sessions[1].values() if each.secret_access_key in log or each.session_token in log]


def test_a_call_that_iam_refuses_is_named(
    bedrock: ModelServer, sessions: tuple[str, Sessions], platform: Platform
) -> None:
    given = variables(platform, sessions[0], Agent.CLAUDE, bedrock.url, region="us-east-2")
    row = platform.run(TASK, given, agent=Agent.CLAUDE, model_id=MODELS[Agent.CLAUDE], timeout_seconds=120)
    assert row.status is Status.FAILED, platform.messages(row)
    assert row.reason is not None
    assert row.reason.code is ReasonCode.MODEL_KEY_UNUSABLE
    assert "Credential should be scoped to eu-west-1" in row.reason.message


def test_a_run_that_outlasts_its_session_gets_another(sessions: tuple[str, Sessions], platform: Platform) -> None:
    """STS gives an hour to a role that was assumed by a role."""
    platform.dispatch(TASK, agent=Agent.CLAUDE)
    functions = BrokerClient(broker(platform, sessions[0], REGION))
    request = claim_request(launch(platform.registry, Agent.CLAUDE), Agent.CLAUDE)
    assignment = functions.claim(request).assignment
    assert assignment is not None
    assert assignment.bedrock is not None
    soon = assignment.credentials.model_copy(update={"expires_at": now() + timedelta(minutes=5)})
    taken: list[Credentials | None] = []
    expiring = assignment.model_copy(update={"credentials": soon})
    Heartbeat(Fence(functions, expiring, StopSignal(), lambda _, bedrock: taken.append(bedrock)), lambda: None).beat()
    (renewed,) = taken
    assert renewed is not None
    assert sessions[1][renewed.access_key_id][1] == sessions[1][assignment.bedrock.credentials.access_key_id][1]
    assert renewed.access_key_id != assignment.bedrock.credentials.access_key_id
