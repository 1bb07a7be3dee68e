"""An attempt whose agent is at Bedrock gets a session that calls its models; every other attempt gets none."""

import json
from dataclasses import replace
from typing import Any

import pytest

from broker.broker import Broker
from outpost.domain.agents import Agent, AgentSettings, Alias
from outpost.domain.ids import new_id
from outpost.domain.protocol import Assignment, ClaimResponse, LeaseResponse, RenewRequest
from tests.launched import TASK_ROLE, claim_request, launch
from tests.store.test_broker import promotion

Store = Any
MODELS = {Alias.FLAGSHIP: "eu.anthropic.claude-opus-5-5", Alias.FAST: "anthropic.claude-haiku-5-5"}


@pytest.fixture
def asked(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The session policies that STS is asked for."""
    client, asked = broker.credentials._client, list[str]()
    assume = client.assume_role

    def assume_role(**request: Any) -> Any:  # noqa: ANN401 - boto3's request and response
        asked.append(request["Policy"])
        return assume(**request)

    monkeypatch.setattr(client, "assume_role", assume_role)
    return asked


@pytest.fixture
def at_bedrock(store: Store, broker: Broker) -> Broker:
    settings = AgentSettings(
        queue_url=store.queue_url, family="f", task_role_arn=TASK_ROLE, models=MODELS, bedrock_region="eu-west-1"
    )
    return replace(broker, agents={**broker.agents, Agent.CLAUDE: settings})


def assigned(broker: Broker, agent: Agent) -> Assignment:
    response = broker.handle(claim_request(launch(broker.store.workers, agent), agent))
    assert isinstance(response, ClaimResponse)
    assert response.assignment is not None
    return response.assignment


def test_the_session_calls_the_configured_models_and_nothing_else(
    store: Store, at_bedrock: Broker, asked: list[str]
) -> None:
    store.dispatch(agent=Agent.CLAUDE)
    assignment = assigned(at_bedrock, Agent.CLAUDE)
    assert assignment.bedrock is not None
    assert assignment.bedrock.region == "eu-west-1"
    assert assignment.bedrock.credentials.access_key_id != assignment.credentials.access_key_id
    attempts, models = asked
    assert "bedrock" not in attempts
    found = json.loads(models)["Statement"]
    assert {action for each in found for action in each["Action"]} == {
        "bedrock:InvokeModel",
        "bedrock:InvokeModelWithResponseStream",
    }
    assert {arn.rpartition("/")[2] for each in found for arn in each["Resource"]} == {
        *MODELS.values(),
        "anthropic.claude-opus-5-5",
    }
    assert assignment.secrets == {}


def test_the_session_is_renewed_with_that_of_the_attempt(store: Store, at_bedrock: Broker) -> None:
    store.dispatch(agent=Agent.CLAUDE)
    got = assigned(at_bedrock, Agent.CLAUDE)
    renew = RenewRequest(dispatch_id=got.dispatch_id, lease=got.lease)
    first = at_bedrock.handle(renew)
    assert isinstance(first, LeaseResponse)
    assert first.bedrock_credentials is None
    second = at_bedrock.handle(renew.model_copy(update={"want_credentials": True}))
    assert isinstance(second, LeaseResponse)
    assert second.bedrock_credentials is not None
    assert got.bedrock is not None
    assert second.bedrock_credentials.access_key_id != got.bedrock.credentials.access_key_id


def test_other_agents_and_promotions_get_no_session(store: Store, at_bedrock: Broker, asked: list[str]) -> None:
    store.dispatch()
    assert assigned(at_bedrock, Agent.SHELL).bedrock is None
    store.dispatch(agent=Agent.CLAUDE, kind="promote", repo="owner/name", promotes=promotion(new_id()))
    assert assigned(at_bedrock, Agent.CLAUDE).bedrock is None
    assert not [policy for policy in asked if "bedrock" in policy]
