"""The settings of agents for functions, in SSM parameters."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from outpost.domain.agents import Agent, AgentSettings
from outpost.names import Env
from outpost_constructs.stack import ENVIRONMENT_TAG
from outpost_ops.config import EnvironmentConfig

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
        config: EnvironmentConfig,
    ) -> None:
        super().__init__(scope, construct_id)
        self._names = [
            f"/outpost/{config.name}/agents/{self._digest(each)}/{agent}" for agent, each in settings.items()
        ]
        self._parameters = [
            ssm.CfnParameter(
                self,
                agent.capitalize(),
                name=name,
                type="String",
                value=each.model_dump_json(),
                tags={ENVIRONMENT_TAG: config.name},
            )
            for name, (agent, each) in zip(self._names, settings.items(), strict=True)
        ]

    def _digest(self, settings: AgentSettings) -> str:
        resolved = json.dumps(Stack.of(self).resolve(settings.model_dump_json()), sort_keys=True)
        return hashlib.sha256(resolved.encode()).hexdigest()[:_DIGEST_LENGTH]

    def give_to(self, functions: Sequence[lambda_.Function]) -> None:
        """Let functions read the settings of every agent, and set the variable that names these."""
        arns = [
            Stack.of(self).format_arn(service="ssm", resource="parameter", resource_name=name.removeprefix("/"))
            for name in self._names
        ]
        for function in functions:
            grant = iam.Grant.add_to_principal(grantee=function, actions=["ssm:GetParameters"], resource_arns=arns)
            grant.apply_before(function)
            names = ",".join(parameter.ref for parameter in self._parameters)
            function.add_environment(Env.AGENT_PARAMETERS, names)
