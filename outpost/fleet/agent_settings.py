"""The settings of the environment's agents, as deployed (docs/adr/0024-settings-of-agents.md)."""

import os
from typing import TYPE_CHECKING

import boto3
from pydantic import TypeAdapter

from outpost.aws.client_config import CLIENT_CONFIG
from outpost.domain.agents import Agent, AgentSettings
from outpost.names import Env

if TYPE_CHECKING:
    from types_boto3_ssm.client import SSMClient

MOST_NAMES = 10
"""Parameters that one GetParameters call takes (Systems Manager API Reference)."""
_AGENTS = TypeAdapter(dict[Agent, AgentSettings])


def load_agents() -> dict[Agent, AgentSettings]:
    """Return the settings of each enabled agent: from SSM parameters for a function, else from the environment.

    One call for a function; do it once a cold start. Raises `pydantic.ValidationError` for malformed settings,
    `LookupError` for a parameter that is missing, `botocore.exceptions.ClientError` for a refused call.
    """
    names = os.environ.get(Env.AGENT_PARAMETERS)
    if names is None:
        return _AGENTS.validate_json(os.environ[Env.AGENTS])
    client: SSMClient = boto3.client("ssm", config=CLIENT_CONFIG)
    found = client.get_parameters(Names=names.split(","))
    if missing := found["InvalidParameters"]:
        raise LookupError(f"no SSM parameter {', '.join(missing)}: deploy the stack that sets {Env.AGENT_PARAMETERS}")
    return {
        Agent(parameter["Name"].rpartition("/")[2]): AgentSettings.model_validate_json(parameter["Value"])
        for parameter in found["Parameters"]
    }
