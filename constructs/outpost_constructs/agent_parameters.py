"""The settings of agents for functions, in SSM parameters."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from aws_cdk import Stack
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from outpost.domain.agents import Agent, AgentSettings
from outpost.names import Env
from outpost_constructs.function import OutpostFunction
from outpost_constructs.permissions import allow
from outpost_constructs.stack import ENVIRONMENT_TAG, config_of

_DIGEST_LENGTH = 12


class AgentParameters(Construct):
    """A parameter for each enabled agent, `/outpost/<environment>/agents/<digest of its settings>/<agent>`.

    Changed settings have another name, so that they reach functions together with their code: CloudFormation creates
    the new parameter, updates the functions, then deletes the old one; a rollback leaves functions what they read.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Mapping[Agent, AgentSettings]) -> None:
        super().__init__(scope, construct_id)
        self._parameters = [self._parameter(agent, each) for agent, each in settings.items()]

    def _parameter(self, agent: Agent, settings: AgentSettings) -> ssm.CfnParameter:
        value, environment = settings.model_dump_json(), config_of(self).name
        resolved = json.dumps(Stack.of(self).resolve(value), sort_keys=True)
        digest = hashlib.sha256(resolved.encode()).hexdigest()[:_DIGEST_LENGTH]
        name = f"/outpost/{environment}/agents/{digest}/{agent}"
        tags = {ENVIRONMENT_TAG: environment}
        return ssm.CfnParameter(self, agent.capitalize(), name=name, type="String", value=value, tags=tags)

    def give_to(self, functions: Sequence[OutpostFunction]) -> None:
        """Let functions read the settings of every agent, and set the variable that names these."""
        arns = [
            Stack.of(self).format_arn(
                service="ssm", resource="parameter", resource_name=str(each.name).removeprefix("/")
            )
            for each in self._parameters
        ]
        for function in functions:
            allow(function.role, "ssm:GetParameters", on=arns).apply_before(function.function)
            references = ",".join(each.ref for each in self._parameters)
            function.function.add_environment(Env.AGENT_PARAMETERS, references)
