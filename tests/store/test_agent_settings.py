"""Functions read the settings of agents from SSM parameters, the service from its environment."""

import json
from uuid import uuid4

import boto3
import pytest

from outpost.domain.agents import Agent, AgentSettings
from outpost.fleet.agent_settings import load_agents
from outpost.names import Env

SETTINGS = {
    Agent.CLAUDE: AgentSettings(models={"flagship": "opus"}, queue_url="https://sqs/claude", family="claude"),
    Agent.SHELL: AgentSettings(limit=3, queue_url="https://sqs/shell", family="shell"),
}


def test_a_functions_settings_come_from_its_parameters(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {agent: f"/outpost/test/agents/{uuid4().hex[:12]}/{agent}" for agent in SETTINGS}
    for agent, name in names.items():
        boto3.client("ssm").put_parameter(Name=name, Type="String", Value=SETTINGS[agent].model_dump_json())
    monkeypatch.setenv(Env.AGENT_PARAMETERS, ",".join(names.values()))

    assert load_agents() == SETTINGS


def test_a_parameter_that_is_missing_is_named(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(Env.AGENT_PARAMETERS, "/outpost/test/agents/000000000000/shell")

    with pytest.raises(LookupError, match="/outpost/test/agents/000000000000/shell"):
        load_agents()


def test_the_services_settings_come_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(Env.AGENT_PARAMETERS, raising=False)
    monkeypatch.setenv(Env.AGENTS, json.dumps({a: each.model_dump(mode="json") for a, each in SETTINGS.items()}))

    assert load_agents() == SETTINGS
