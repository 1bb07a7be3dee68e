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

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Mapping[Agent, AgentSettings],
    ) -> None:
        super().__init__(scope, construct_id)
        environment = config_of(self).name
        self._names = [
            f"/outpost/{environment}/agents/{self._digest(each)}/{agent}" for agent, each in settings.items()
        ]
        self._parameters = [
            ssm.CfnParameter(
                self,
                agent.capitalize(),
                name=name,
                type="String",
                value=each.model_dump_json(),
                tags={ENVIRONMENT_TAG: environment},
            )
            for name, (agent, each) in zip(self._names, settings.items(), strict=True)
        ]

    def _digest(self, settings: AgentSettings) -> str:
        resolved = json.dumps(Stack.of(self).resolve(settings.model_dump_json()), sort_keys=True)
        return hashlib.sha256(resolved.encode()).hexdigest()[:_DIGEST_LENGTH]

    def give_to(self, functions: Sequence[OutpostFunction]) -> None:
        """Let functions read the settings of every agent, and set the variable that names these."""
        arns = [
            Stack.of(self).format_arn(service="ssm", resource="parameter", resource_name=name.removeprefix("/"))
            for name in self._names
        ]
        for function in functions:
            allow(function.role, "ssm:GetParameters", on=arns).apply_before(function.function)
            names = ",".join(parameter.ref for parameter in self._parameters)
            function.function.add_environment(Env.AGENT_PARAMETERS, names)
